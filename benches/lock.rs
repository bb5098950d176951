//! What a lock costs: alone, and with another process that wants it all the time.

use std::{
    cell::LazyCell,
    hint::black_box,
    sync::{
        Barrier, Mutex,
        atomic::Ordering::{Relaxed, SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use criterion::Criterion;
use mp_benches::{
    Cores, FileLock, Group, Lock, Peer, Ratio, Rounds, Words, in_rounds,
    lock::{Leaf, Plain, Pthread, PthreadRobust, Robust, Semaphore},
    open_file, pin_to, run,
};
use mp_core::Value;
use mp_flock::{Flock, Ofd};
use mp_sem::{
    posix,
    sysv::{Key, SemaphoreSet},
};
use mp_sync::{Event, ReentrantLock, RwLock};

const UNCONTENDED: &str = "lock-uncontended";
const MONITORS: &str = "lock-monitors";
const CONTENDED: &str = "lock-contended";

fn main() {
    run(
        &[uncontended, monitors, contended],
        &[
            Ratio::new(UNCONTENDED, "leaf", "plain"),
            Ratio::new(UNCONTENDED, "leaf", "pthread"),
            Ratio::new(UNCONTENDED, "leaf", "pthread-robust"),
            Ratio::new(UNCONTENDED, "leaf", "std"),
            Ratio::new(UNCONTENDED, "leaf", "fetch_add"),
            Ratio::new(UNCONTENDED, "mutex", "leaf"),
            Ratio::new(UNCONTENDED, "core-lock", "leaf"),
            Ratio::new(UNCONTENDED, "core-value", "leaf"),
            Ratio::new(CONTENDED, "leaf", "plain"),
            Ratio::new(CONTENDED, "leaf", "pthread-robust"),
            Ratio::new(CONTENDED, "mutex", "pthread-robust"),
            Ratio::new(CONTENDED, "core-value", "pthread-robust"),
        ],
    );
}

fn uncontended(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(UNCONTENDED);
    lock_alone::<Leaf>(&mut group);
    lock_alone::<Robust>(&mut group);
    group.bench_function("core-lock", |bencher| {
        let lock = mp_core::Lock::new().expect("a lock");
        bencher.iter(|| drop(lock.lock().expect("nobody dies in it")));
    });
    group.bench_function("core-value", |bencher| {
        let value = Value::new(0_u64).expect("a value");
        bencher.iter(|| value.update(|value| *value += 1).expect("nobody else has it"));
    });
    lock_alone::<Plain>(&mut group);
    lock_alone::<Pthread>(&mut group);
    lock_alone::<PthreadRobust>(&mut group);
    lock_alone::<Semaphore>(&mut group);
    group.bench_function("std", |bencher| {
        let lock = Mutex::new(0);
        bencher.iter(|| *black_box(&lock).lock().expect("nobody panics in it"));
    });
    group.bench_function("parking_lot", |bencher| {
        let lock = parking_lot::Mutex::new(0);
        bencher.iter(|| *black_box(&lock).lock());
    });
    group.bench_function("posix-sem", |bencher| {
        let semaphore = posix::Semaphore::unnamed(1).expect("a semaphore");
        bencher.iter(|| drop(semaphore.acquire().expect("a permit")));
    });
    group.bench_function("sysv-sem", |bencher| {
        let set = SemaphoreSet::create_new(Key::PRIVATE, &[1]).expect("a set of semaphores");
        bencher.iter(|| drop(set.acquire(0).expect("a permit")));
    });
    file_lock_alone::<Flock>(&mut group);
    file_lock_alone::<Ofd>(&mut group);
    group.bench_function("fetch_add", |bencher| {
        let words = Words::create();
        let word = words.u64(0);
        bencher.iter(|| word.fetch_add(1, SeqCst));
    });
    group.finish();
}

fn lock_alone<L: Lock>(group: &mut Group<'_>) {
    group.bench_function(L::NAME, |bencher| {
        let words = Words::create();
        L::create(&words);
        let lock = L::attach(&words);
        bencher.iter(|| lock.with(|| black_box(())));
    });
}

fn file_lock_alone<B: FileLock>(group: &mut Group<'_>) {
    group.bench_function(B::NAME, |bencher| {
        let [file] = open_file();
        bencher.iter(|| drop(B::request().lock(&file).expect("a file of our own")));
    });
}

/// What the others cost where nobody waits: there and back.
fn monitors(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(MONITORS);
    let words = Words::create();
    let all = words.row(0, 256);
    group.bench_function("semaphore", |bencher| {
        let semaphore = mp_sync::Semaphore::create(all, 1).expect("words");
        bencher.iter(|| drop(semaphore.acquire().expect("a permit")));
    });
    let words = Words::create();
    let all = words.row(0, 256);
    group.bench_function("rwlock-read", |bencher| {
        let lock = RwLock::<u64>::attach(all).expect("words");
        bencher.iter(|| *lock.read().expect("nobody dies in it"));
    });
    group.bench_function("rwlock-write", |bencher| {
        let lock = RwLock::<u64>::attach(all).expect("words");
        bencher.iter(|| *lock.write().expect("nobody dies in it") += 1);
    });
    let words = Words::create();
    let all = words.row(0, 256);
    group.bench_function("reentrant", |bencher| {
        let lock = ReentrantLock::attach(all).expect("words");
        bencher.iter(|| drop(lock.lock().expect("nobody dies in it")));
    });
    let words = Words::create();
    let all = words.row(0, 256);
    group.bench_function("event", |bencher| {
        let event = Event::attach(all).expect("words");
        bencher.iter(|| {
            event.set();
            event.wait().expect("it is set");
            event.clear();
        });
    });
    group.finish();
}

fn contended(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(CONTENDED);
    lock_together::<Leaf>(&mut group);
    lock_together::<Robust>(&mut group);
    value_together(&mut group);
    lock_together::<Plain>(&mut group);
    lock_together::<Pthread>(&mut group);
    lock_together::<PthreadRobust>(&mut group);
    lock_together::<Semaphore>(&mut group);
    group.bench_function("std", |bencher| {
        let number = Mutex::new(0);
        let add = || *number.lock().expect("nobody panics in it") += 1;
        bencher.iter_custom(|count| two_threads(count, add));
    });
    group.bench_function("parking_lot", |bencher| {
        let number = parking_lot::Mutex::new(0);
        bencher.iter_custom(|count| two_threads(count, || *number.lock() += 1));
    });
    group.finish();
}

/// The ceiling: two threads of one process on two cores, which share half of `count` each.
fn two_threads(count: u64, step: impl Fn() + Sync) -> Duration {
    let (ours, theirs) = Cores::Two.numbers();
    let begin = Barrier::new(2);
    let half = |core| {
        pin_to(core);
        begin.wait();
        let start = Instant::now();
        (0..count.div_ceil(2)).for_each(|_| step());
        start.elapsed()
    };
    thread::scope(|scope| {
        let other = scope.spawn(|| half(theirs));
        half(ours).max(other.join().expect("a thread that counts"))
    })
}

/// Two processes add to one number, which shows that they exclude each other.
fn lock_together<L: Lock + 'static>(group: &mut Group<'_>) {
    let words = Words::create();
    L::create(&words);
    let lock = L::attach(&words);
    let peer = LazyCell::new(|| Peer::start(Cores::Two, add_in_rounds::<L>, words.clone()));
    let mut sum = 0;
    group.bench_function(
        L::NAME,
        in_rounds(|count| {
            // Each does half.
            let count = count.div_ceil(2);
            sum += 2 * count;
            peer.round(count, || add(&lock, &words, count))
        }),
    );
    assert_eq!(words.u64(NUMBER).load(Relaxed), sum, "two were in the lock at a time");
}

/// The same with a number that brings its lock along.
fn value_together(group: &mut Group<'_>) {
    let value = Value::new(0_u64).expect("a value");
    let peer = LazyCell::new(|| Peer::start(Cores::Two, update_in_rounds, value.clone()));
    let mut sum = 0;
    group.bench_function(
        "core-value",
        in_rounds(|count| {
            let count = count.div_ceil(2);
            sum += 2 * count;
            peer.round(count, || update(&value, count))
        }),
    );
    assert_eq!(value.get().expect("nobody has it"), sum, "two were in the lock at a time");
}

fn update_in_rounds((rounds, value): (Rounds, Value<u64>)) {
    rounds.serve(|count| update(&value, count));
}

fn update(value: &Value<u64>, count: u64) {
    for _ in 0..count {
        value.update(|value| *value += 1).expect("nobody dies in it");
    }
}

/// The line of the number.
const NUMBER: usize = 1;

fn add_in_rounds<L: Lock>((rounds, words): (Rounds, Words)) {
    let lock = L::attach(&words);
    rounds.serve(|count| add(&lock, &words, count));
}

fn add(lock: &impl Lock, words: &Words, count: u64) {
    let number = words.u64(NUMBER);
    for _ in 0..count {
        // Not one atomic operation, on purpose.
        lock.with(|| number.store(number.load(Relaxed) + 1, Relaxed));
    }
}
