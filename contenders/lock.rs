//! What a lock costs between threads, and by Python: the groups of the bench `lock`.

use std::{
    cell::LazyCell,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use criterion::{BenchmarkId, Criterion};
use mp_benches::{Cores, Group, Peer, in_rounds, run};
use mp_contenders::{Case, python};

fn main() {
    run(&[uncontended, contended], &[]);
}

fn uncontended(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lock-uncontended");
    python(&mut group, BenchmarkId::from_parameter("python-Lock"), &Case::new("lock_alone"));
    group.finish();
}

/// Two add to one number, each half of the times: two threads of one process by its locks, two processes by Python's.
fn contended(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lock-contended");
    together(&mut group, "std-threads", || {
        let lock = Mutex::new(());
        move |number: &AtomicU64| {
            let _guard = lock.lock().expect("nobody panics in it");
            add_one(number);
        }
    });
    together(&mut group, "parking_lot-threads", || {
        let lock = parking_lot::Mutex::new(());
        move |number: &AtomicU64| {
            let _guard = lock.lock();
            add_one(number);
        }
    });
    let case = Case::new("lock_together").on(Cores::Two);
    python(&mut group, BenchmarkId::from_parameter("python-Lock"), &case);
    group.finish();
}

/// Not one atomic operation, on purpose: the sum shows that threads exclude each other.
fn add_one(number: &AtomicU64) {
    number.store(number.load(Relaxed) + 1, Relaxed);
}

fn together<S>(group: &mut Group<'_>, name: &str, section: impl FnOnce() -> S)
where
    S: Fn(&AtomicU64) + Send + Sync + 'static,
{
    let shared = Arc::new((section(), AtomicU64::new(0)));
    let add = |(section, number): &(S, AtomicU64), count| (0..count).for_each(|_| section(number));
    let peer = LazyCell::new(|| {
        let shared = Arc::clone(&shared);
        Peer::start_thread(Cores::Two, move |rounds| rounds.serve(|count| add(&shared, count)))
    });
    let mut sum = 0;
    group.bench_function(
        name,
        in_rounds(|count| {
            let count = count.div_ceil(2);
            sum += 2 * count;
            peer.round(count, || add(&shared, count))
        }),
    );
    assert_eq!(shared.1.load(Relaxed), sum, "two were in the lock at a time");
}
