//! What a message to another process costs: there and back, and one way in a stream.

use std::{cell::LazyCell, hint::black_box};

use criterion::{Criterion, Throughput};
use mp_benches::{
    Cores, Crew, Ratio,
    link::{BatchLink, BytesLink, FutexLink, LineLink, NumberLink, PipeLink, RingLink, SocketLink},
    run, stream, there_and_back, wake_and_be_woken,
};

const AWAKE: &str = "round-trip-awake";
const ASLEEP: &str = "round-trip-asleep";
const SAME_CORE: &str = "round-trip-same-core";
const MANY: &str = "many-to-many-8-B";

fn main() {
    run(
        &[awake, asleep, same_core, one_way_8, one_way_64, one_way_4_kib, one_way_1_mib, many],
        &[
            Ratio::new(AWAKE, "ring", "cache-line"),
            Ratio::new(AWAKE, "queue", "cache-line"),
            Ratio::new(ASLEEP, "ring", "futex"),
            Ratio::new(ASLEEP, "queue", "futex"),
            Ratio::new(ASLEEP, "queue", "pipe"),
            Ratio::new(SAME_CORE, "ring", "futex"),
            Ratio::new(SAME_CORE, "queue", "futex"),
            Ratio::new(SAME_CORE, "queue", "pipe"),
            Ratio::new("one-way-8-B", "queue", "pipe"),
            Ratio::new("one-way-64-B", "ring", "pipe"),
            Ratio::new("one-way-4-KiB", "ring", "memcpy"),
            Ratio::new("one-way-4-KiB", "ring", "pipe"),
            Ratio::new("one-way-1-MiB", "ring", "memcpy"),
            Ratio::new("one-way-1-MiB", "ring", "pipe"),
            Ratio::new(MANY, "1-1", "4-4"),
        ],
    );
}

/// Both processes look for the next message all the time.
fn awake(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(AWAKE);
    there_and_back::<LineLink>(&mut group, Cores::Two);
    there_and_back::<RingLink>(&mut group, Cores::Two);
    there_and_back::<NumberLink>(&mut group, Cores::Two);
    group.finish();
}

/// Only one of the processes can run at a time, so each is woken.
fn same_core(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(SAME_CORE);
    there_and_back::<FutexLink>(&mut group, Cores::Same);
    there_and_back::<RingLink>(&mut group, Cores::Same);
    there_and_back::<NumberLink>(&mut group, Cores::Same);
    there_and_back::<PipeLink>(&mut group, Cores::Same);
    there_and_back::<SocketLink>(&mut group, Cores::Same);
    group.finish();
}

/// Each message is sent when its receiver has been asleep for a while.
fn asleep(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(ASLEEP);
    wake_and_be_woken::<FutexLink>(&mut group);
    wake_and_be_woken::<RingLink>(&mut group);
    wake_and_be_woken::<NumberLink>(&mut group);
    wake_and_be_woken::<PipeLink>(&mut group);
    wake_and_be_woken::<SocketLink>(&mut group);
    group.finish();
}

fn one_way_8(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one-way-8-B");
    stream::<RingLink>(&mut group, 8);
    stream::<BatchLink>(&mut group, 8);
    stream::<NumberLink>(&mut group, 8);
    stream::<PipeLink>(&mut group, 8);
    stream::<SocketLink>(&mut group, 8);
    group.finish();
}

fn one_way_64(criterion: &mut Criterion) {
    one_way(criterion, "one-way-64-B", 64);
}

fn one_way_4_kib(criterion: &mut Criterion) {
    one_way(criterion, "one-way-4-KiB", 4 << 10);
}

fn one_way_1_mib(criterion: &mut Criterion) {
    one_way(criterion, "one-way-1-MiB", 1 << 20);
}

fn one_way(criterion: &mut Criterion, name: &str, len: usize) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(len as u64));
    group.bench_function("memcpy", |bencher| {
        let (from, mut to) = (vec![1_u8; len], vec![0_u8; len]);
        bencher.iter(|| black_box(&mut to).copy_from_slice(black_box(&from)));
    });
    stream::<RingLink>(&mut group, len);
    stream::<BatchLink>(&mut group, len);
    stream::<BytesLink>(&mut group, len);
    stream::<PipeLink>(&mut group, len);
    stream::<SocketLink>(&mut group, len);
    group.finish();
}

/// One producer and one consumer, and four of each, wherever the kernel places them: the time for each message of all.
fn many(criterion: &mut Criterion) {
    mp_benches::unpin();
    let mut group = criterion.benchmark_group(MANY);
    for (name, pairs) in [("1-1", 1), ("4-4", 4)] {
        let crew = LazyCell::new(|| Crew::start(pairs));
        group.bench_function(name, |bencher| bencher.iter_custom(|count| crew.round(count)));
    }
    group.finish();
}
