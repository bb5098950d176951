//! What the machine can do at best, for the other figures to be held against.

use criterion::{BenchmarkId, Criterion};
use mp_benches::{
    Cores, fork_and_wait,
    link::{FutexLink, LineLink},
    memcpy, pin_to, ping_pong, run, system_call, wake_up,
};

const LIMITS: &str = "limits";

fn main() {
    run(&[limits], &[]);
}

fn limits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(LIMITS);
    pin_to(Cores::Two.numbers().0);
    group.bench_function("syscall", |bencher| bencher.iter(system_call));
    ping_pong::<LineLink>(&mut group, only("cache-line"), Cores::Two, 8);
    wake_up::<FutexLink>(&mut group, only("futex"), 8);
    ping_pong::<FutexLink>(&mut group, only("futex-same-core"), Cores::Same, 8);
    group.bench_function("fork", |bencher| bencher.iter(fork_and_wait));
    memcpy(&mut group);
    group.finish();
}

/// The name of what varies in nothing.
fn only(function: &str) -> BenchmarkId {
    BenchmarkId::from_parameter(function)
}
