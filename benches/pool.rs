//! What a pool of processes adds to a task, next to Python's `multiprocessing` doing the same.

use std::{
    cell::{LazyCell, RefCell},
    hint::black_box,
    iter,
    ops::Range,
    time::Instant,
};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use mp_benches::{Cores, Group, Python, Ratio, in_rounds, pin_to, run, unpin};
use mp_core::Pool;

const MAP: &str = "pool-map";
const CHUNK_1: &str = "pool-map-chunk-1";
const ONE_BY_ONE: &str = "pool-submit-get";
const BYTES_64_KIB: &str = "pool-map-65536";
const BYTES_1_MIB: &str = "pool-map-1048576";
const SHORT_LIFE: &str = "pool-life";
const BY_SIZE: &str = "pool-task-us";

fn main() {
    run(
        &[map, map_in_chunks_of_one, one_by_one, map_64_kib, map_1_mib, short_life, by_size],
        &[
            Ratio::new(MAP, "python/1", "Pool/1"),
            Ratio::new(MAP, "python/2", "Pool/2"),
            Ratio::new(MAP, "Pool/1", "Pool/2"),
            Ratio::new(CHUNK_1, "python/1", "Pool/1"),
            Ratio::new(CHUNK_1, "python/2", "Pool/2"),
            Ratio::new(ONE_BY_ONE, "python/1", "Pool/1"),
            Ratio::new(BYTES_64_KIB, "python/2", "Pool/2"),
            Ratio::new(BYTES_1_MIB, "python/2", "Pool/2"),
            Ratio::new(BY_SIZE, "sequential/1000", "Pool/1000"),
            Ratio::new(BY_SIZE, "sequential/100", "Pool/100"),
            Ratio::new(BY_SIZE, "sequential/10", "Pool/10"),
            Ratio::new(BY_SIZE, "python/1000", "Pool/1000"),
            Ratio::new(SHORT_LIFE, "python/2", "Pool/2"),
        ],
    );
}

fn square(number: u64) -> u64 {
    number * number
}

/// Many tiny tasks, as many in a message as the pool likes.
fn map(criterion: &mut Criterion) {
    map_numbers(criterion, MAP, 1_000_000, None);
}

/// Each task in a message of its own.
fn map_in_chunks_of_one(criterion: &mut Criterion) {
    map_numbers(criterion, CHUNK_1, 5_000, Some(1));
}

fn map_numbers(criterion: &mut Criterion, name: &str, tasks: u64, chunk_size: Option<u32>) {
    let mut group = slow_group(criterion, name);
    group.throughput(Throughput::Elements(tasks));
    for workers in [1, 2] {
        let pool = LazyCell::new(|| pool(workers, chunk_size));
        group.bench_function(BenchmarkId::new("Pool", workers), |bencher| {
            let pool = &*pool;
            bencher.iter(|| squares(pool, 0..tasks));
        });
        let case = ["map_numbers", &workers.to_string(), &tasks.to_string()];
        let chunk_size = chunk_size.unwrap_or(0).to_string();
        python(&mut group, workers, &[&case[..], &[&chunk_size]].concat());
    }
    unpin();
    group.finish();
}

fn squares(pool: &Pool, numbers: Range<u64>) -> Vec<u64> {
    let last = numbers.end - 1;
    let squares = pool.map(square, numbers).expect("a pool that works");
    assert_eq!(squares.last(), Some(&square(last)), "results are in order");
    squares
}

/// Two processes on two cores; with two workers there are three, and the kernel places them.
fn pool(workers: usize, chunk_size: Option<u32>) -> Pool {
    let mut builder = Pool::builder().workers(workers);
    unpin();
    if workers == 1 {
        let (ours, theirs) = Cores::Two.numbers();
        pin_to(ours);
        builder = builder.initializer(pin_to, theirs).expect("a number can be sent");
    }
    if let Some(tasks) = chunk_size {
        builder = builder.chunk_size(tasks);
    }
    builder.build().expect("a pool")
}

/// The next task is submitted when the result of the one before is there.
fn one_by_one(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(ONE_BY_ONE);
    let pool = LazyCell::new(|| pool(1, None));
    group.bench_function(
        BenchmarkId::new("Pool", 1),
        in_rounds(|count| {
            let pool = &*pool;
            let start = Instant::now();
            for number in 0..count {
                let number = number % 1000;
                let task = pool.submit(square, number).expect("a pool that works");
                assert_eq!(task.get().expect("a square"), square(number));
            }
            start.elapsed()
        }),
    );
    python(&mut group, 1, &["one_at_a_time", "1"]);
    unpin();
    group.finish();
}

fn map_64_kib(criterion: &mut Criterion) {
    map_bytes(criterion, BYTES_64_KIB, 256, 64 << 10);
}

fn map_1_mib(criterion: &mut Criterion) {
    map_bytes(criterion, BYTES_1_MIB, 32, 1 << 20);
}

/// The length of each string. Ours are made when the pool asks for the next one, which is part of the cost, as it is for the
/// items of `one-way/Queue`; what many strings cost that are made before is mostly their memory, of which none is in the cache,
/// and giving it back. Python's are there already, and stay.
fn map_bytes(criterion: &mut Criterion, name: &str, items: usize, len: usize) {
    let mut group = slow_group(criterion, name);
    group.throughput(Throughput::Elements(items as u64));
    let pool = LazyCell::new(|| pool(2, None));
    let string = vec![7_u8; len];
    group.bench_function(BenchmarkId::new("Pool", 2), |bencher| {
        let pool = &*pool;
        bencher.iter(|| {
            let strings = iter::repeat_with(|| string.clone()).take(items);
            let lens = pool.map(|string: Vec<u8>| string.len(), strings);
            assert_eq!(lens.expect("a pool that works"), vec![len; items]);
        });
    });
    python(&mut group, 2, &["map_bytes", "2", &items.to_string(), &len.to_string()]);
    group.finish();
}

/// All that a program pays which needs a pool once.
fn short_life(criterion: &mut Criterion) {
    let mut group = slow_group(criterion, SHORT_LIFE);
    group.bench_function(BenchmarkId::new("Pool", 2), |bencher| {
        bencher.iter(|| {
            let pool = Pool::new(2).expect("a pool");
            let tasks = [1, 2].map(|number| pool.submit(square, number).expect("a new pool"));
            assert_eq!(tasks.map(|task| task.get().expect("a square")), [1, 4]);
            pool.join().expect("all tasks are done");
        });
    });
    python(&mut group, 2, &["short_life", "2"]);
    group.finish();
}

/// The same work in tasks that take so many microseconds of one core, one after the other, and by a pool of two workers:
/// how much a task must do for a second core to be worth it.
fn by_size(criterion: &mut Criterion) {
    let mut group = slow_group(criterion, BY_SIZE);
    let steps = LazyCell::new(steps_of_a_microsecond);
    let pool = LazyCell::new(|| pool(2, None));
    for (micros, tasks) in [(0, 100_000), (1, 20_000), (10, 2_000), (100, 200), (1000, 40)] {
        group.throughput(Throughput::Elements(tasks as u64));
        group.bench_function(BenchmarkId::new("sequential", micros), |bencher| {
            let steps = micros * *steps;
            bencher.iter(|| (0..tasks).for_each(|_| _ = black_box(walk(steps))));
        });
        group.bench_function(BenchmarkId::new("Pool", micros), |bencher| {
            let (pool, steps) = (&*pool, micros * *steps);
            let expected = walk(steps);
            bencher.iter(|| {
                let ends = pool.map(walk, iter::repeat_n(steps, tasks));
                let ends = ends.expect("a pool that works");
                assert_eq!((ends.len(), ends.last()), (tasks, Some(&expected)));
            });
        });
        let case = ["map_walks", "2", &tasks.to_string(), &micros.to_string()];
        python_by(&mut group, BenchmarkId::new("python", micros), &case);
    }
    group.finish();
}

/// Steps of which each needs the one before: work for a core and nothing else.
fn walk(steps: u64) -> u64 {
    (0..steps).fold(1, |place, step| black_box(place ^ step).wrapping_mul(0x5851_f42d_4c95_7f2d))
}

/// As many as this machine does in a microsecond, at its best of many tries.
fn steps_of_a_microsecond() -> u64 {
    const STEPS: u64 = 20_000;
    let try_once = |_| {
        let start = Instant::now();
        black_box(walk(STEPS));
        start.elapsed()
    };
    let best = (0..100).map(try_once).min().expect("a hundred tries");
    (STEPS as f64 / (best.as_secs_f64() * 1e6)) as u64
}

/// For what takes milliseconds.
fn slow_group<'a>(criterion: &'a mut Criterion, name: &str) -> Group<'a> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group
}

fn python(group: &mut Group<'_>, workers: usize, case: &[&str]) {
    python_by(group, BenchmarkId::new("python", workers), case);
}

fn python_by(group: &mut Group<'_>, id: BenchmarkId, case: &[&str]) {
    let Some(version) = Python::version() else {
        println!("a case of Python is skipped: there is no python3");
        return;
    };
    let python = LazyCell::new(|| {
        unpin();
        println!("{version}");
        RefCell::new(Python::start(case))
    });
    group.bench_function(id, in_rounds(|count| python.borrow_mut().measure(count)));
}
