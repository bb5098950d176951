//! What a process and a pool of them cost by `procspawn` and by Python: the groups of the benches `start` and `pool`.

use std::{cell::LazyCell, hint::black_box, iter, time::Instant};

use criterion::{BatchSize, BenchmarkId, Criterion, SamplingMode, Throughput};
use mp_benches::{Cores, Group, in_rounds, pin_to, run, unpin};
use mp_contenders::{Case, python};
use procspawn::Pool;

fn main() {
    // Its processes begin here as well.
    procspawn::init();
    run(&[start, map_in_chunks_of_one, one_by_one, map_bytes, short_life], &[]);
}

/// A process that does nothing and is waited for.
fn start(criterion: &mut Criterion) {
    let mut group = slow_group(criterion, "start");
    unpin();
    group.bench_function("procspawn", |bencher| {
        bencher.iter(|| procspawn::spawn((), |()| ()).join().expect("a child that returns"));
    });
    for method in ["fork", "forkserver", "spawn"] {
        let id = BenchmarkId::from_parameter(format!("python-{method}"));
        python(&mut group, id, &Case::new("process").with(method));
    }
    group.finish();
}

fn square(number: u64) -> u64 {
    number * number
}

/// Each task in a message of its own: there are no others here.
fn map_in_chunks_of_one(criterion: &mut Criterion) {
    const TASKS: u64 = 5_000;
    let mut group = slow_group(criterion, "pool-map-chunk-1");
    group.throughput(Throughput::Elements(TASKS));
    for workers in [1, 2] {
        let pool = LazyCell::new(|| pool(workers));
        group.bench_function(BenchmarkId::new("procspawn", workers), |bencher| {
            let pool = &*pool;
            bencher.iter(|| {
                let squares = map(pool, square, 0..TASKS);
                assert_eq!(squares.last(), Some(&square(TASKS - 1)), "results are in order");
            });
        });
    }
    unpin();
    group.finish();
}

/// Each task has four descriptors from when it is submitted until it is done, and a process may have a thousand.
const IN_FLIGHT: usize = 128;

/// The results in order, of tasks of which many are under way.
fn map<A, R>(pool: &Pool, task: fn(A) -> R, arguments: impl IntoIterator<Item = A>) -> Vec<R>
where
    A: serde::Serialize + serde::de::DeserializeOwned,
    R: serde::Serialize + serde::de::DeserializeOwned + Send + 'static,
{
    let mut arguments = arguments.into_iter().map(|argument| pool.spawn(argument, task));
    let mut running: std::collections::VecDeque<_> = arguments.by_ref().take(IN_FLIGHT).collect();
    iter::from_fn(|| {
        let result = running.pop_front()?.join().expect("a task that returns");
        running.extend(arguments.next());
        Some(result)
    })
    .collect()
}

/// Two processes on two cores; with two workers there are three, and the kernel places them.
fn pool(workers: usize) -> Pool {
    unpin();
    let pool = Pool::new(workers).expect("a pool");
    if workers == 1 {
        let (ours, theirs) = Cores::Two.numbers();
        pool.spawn(theirs, pin_to).join().expect("a worker that may be bound");
        pin_to(ours);
    }
    pool
}

/// The next task is submitted when the result of the one before is there.
fn one_by_one(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pool-submit-get");
    let pool = LazyCell::new(|| pool(1));
    group.bench_function(
        BenchmarkId::new("procspawn", 1),
        in_rounds(|count| {
            let pool = &*pool;
            let start = Instant::now();
            for number in 0..count {
                let number = number % 1000;
                let squared = pool.spawn(number, square).join().expect("a task that returns");
                assert_eq!(squared, square(number));
            }
            start.elapsed()
        }),
    );
    unpin();
    group.finish();
}

/// No longer strings: a map over some of 1 MiB does not end.
fn map_bytes(criterion: &mut Criterion) {
    const ITEMS: usize = 256;
    const LEN: usize = 64 << 10;
    let mut group = slow_group(criterion, "pool-map-65536");
    group.throughput(Throughput::Elements(ITEMS as u64));
    let pool = LazyCell::new(|| pool(2));
    let strings = vec![vec![7_u8; LEN]; ITEMS];
    group.bench_function(BenchmarkId::new("procspawn", 2), |bencher| {
        let pool = &*pool;
        let map = |strings: Vec<Vec<u8>>| {
            let lens = map(pool, |string: Vec<u8>| string.len(), strings);
            assert_eq!(lens, vec![LEN; ITEMS]);
        };
        bencher.iter_batched(|| strings.clone(), map, BatchSize::PerIteration);
    });
    group.finish();
}

/// All that a program pays which needs a pool once.
fn short_life(criterion: &mut Criterion) {
    let mut group = slow_group(criterion, "pool-life");
    group.bench_function(BenchmarkId::new("procspawn", 2), |bencher| {
        bencher.iter(|| {
            let pool = Pool::new(2).expect("a pool");
            assert_eq!(map(&pool, square, [1, 2]), [1, 4]);
            black_box(pool).shutdown();
        });
    });
    group.finish();
}

/// For what takes milliseconds.
fn slow_group<'a>(criterion: &'a mut Criterion, name: &str) -> Group<'a> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group
}
