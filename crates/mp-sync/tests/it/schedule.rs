//! Schedules at random: processes that do something at any time and are killed at any time, and an account of it all.
//!
//! `MP_SCHEDULE` says for how many seconds each of these tests runs; `MP_SEED` repeats the decisions of a run that has
//! printed it, though not what the scheduler made of them.

use std::{
    env,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release, SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use mp_sync::{Barrier, BarrierError, Condvar, Deadline, LockError, Mutex, RwLock};
use mp_testkit::{Child, Random, fork_child, isolated_for};

use crate::{
    shared::Words,
    sweep::{LATER, LIMIT},
};

/// Processes at a time, and threads in each.
const PROCESSES: usize = 4;
const THREADS: usize = 2;
const WORKERS: usize = PROCESSES * THREADS;

/// Where in the words the test keeps its own.
const STOP: usize = 600;
const FAILED: usize = 601;
const JOURNALS: usize = 640;
const OTHERS: usize = 700;

/// What a worker knows.
struct Worker<'w> {
    words: &'w Words,
    index: usize,
    random: Random,
}

impl Worker<'_> {
    fn stops(&self) -> bool {
        self.words.at(STOP, 1)[0].load(Acquire) != 0
    }

    /// What this worker says that it has done, which outlives it and is continued by the next one in its stead.
    fn journal(&self) -> &AtomicU64 {
        &self.words.at(JOURNALS + self.index, 1)[0]
    }
}

/// One who panics is noticed even if he is killed before his process ends.
impl Drop for Worker<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.words.at(FAILED, 1)[0].store(1, Relaxed);
        }
    }
}

/// What has come of it.
struct Account {
    kills: u64,
    /// The sum of the journals.
    done: u64,
}

/// Keeps processes of workers going and kills one of them now and then, each of which is replaced; at the end all stop.
fn storm(name: &str, words: &Words, work: impl Fn(Worker<'_>) + Sync, stop: impl Fn()) -> Account {
    let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("MP_SEED").unwrap_or_else(|| u64::from(std::process::id()) << 8 | 1);
    let time = number("MP_SCHEDULE").map_or(Duration::from_millis(700), Duration::from_secs);
    println!("{name}: MP_SEED={seed}");
    let mut random = Random::new(seed);
    let mut start = |process: usize| {
        let randoms = [0; THREADS].map(|_| random.fork(process as u64));
        fork_child(|| {
            thread::scope(|scope| {
                for (thread, random) in randoms.into_iter().enumerate() {
                    let (work, index) = (&work, process * THREADS + thread);
                    scope.spawn(move || work(Worker { words, index, random }));
                }
            });
            0
        })
    };
    let mut children: Vec<Child> = (0..PROCESSES).map(&mut start).collect();
    let mut schedule = Random::new(seed).fork(99);
    let (begin, mut kills) = (Instant::now(), 0);
    while begin.elapsed() < time {
        let process = schedule.below(PROCESSES as u64) as usize;
        // Somebody who has ended by himself has panicked.
        let pause = Duration::from_micros(schedule.below(8000));
        match children.remove(process).wait_timeout(pause) {
            Ok(status) => panic!("{name}: a worker has failed: {status}; MP_SEED={seed}"),
            Err(child) => drop(child.kill()),
        }
        kills += 1;
        children.insert(process, start(process));
    }
    let end = Deadline::after(LATER);
    let done = || words.at(JOURNALS, WORKERS).iter().map(|journal| journal.load(Relaxed)).sum();
    // On a busy machine nobody may have come to anything between two kills.
    while done() == 0_u64 {
        assert!(!end.is_past(), "{name}: nobody has done anything; MP_SEED={seed}");
        thread::yield_now();
    }
    words.at(STOP, 1)[0].store(1, Release);
    for mut child in children {
        let status = loop {
            stop();
            match child.wait_timeout(Duration::from_millis(20)) {
                Ok(status) => break status,
                Err(other) => child = other,
            }
            assert!(!end.is_past(), "{name}: somebody is stuck; MP_SEED={seed}");
        };
        assert!(status.success(), "{name}: {status}; MP_SEED={seed}");
    }
    let failed = words.at(FAILED, 1)[0].load(Relaxed) != 0;
    assert!(!failed, "{name}: a worker has failed; MP_SEED={seed}");
    let done = done();
    println!("{name}: {done} operations, {kills} kills, 0 failures");
    Account { kills, done }
}

/// Nothing that was committed is lost; each kill may leave something for each thread that its journal does not know of.
fn accounted(committed: u64, account: &Account) {
    let Account { kills, done } = *account;
    assert!(committed >= done, "{} are lost", done - committed);
    let most = done + kills * THREADS as u64;
    assert!(committed <= most, "{committed} of which no more than {most} can be");
}

#[test]
fn rwlock() {
    isolated_for(LIMIT, || {
        let words = Words::new();
        let lock =
            RwLock::<[u64; 2]>::attach(words.at(0, RwLock::<[u64; 2]>::words(2 * PROCESSES)));
        let lock = lock.unwrap();
        // Who writes, or has written last: nobody else does meanwhile.
        let writer = &words.at(OTHERS, 1)[0];
        let work = |mut worker: Worker<'_>| {
            let own = worker.random.number();
            while !worker.stops() {
                worker.random.dawdle();
                let soon = Duration::from_micros(worker.random.below(500));
                if worker.random.below(3) == 0 {
                    let Ok(mut guard) = lock.write_timeout(soon).or_else(LockError::recover) else {
                        continue;
                    };
                    assert_eq!(guard[0], guard[1], "a torn value");
                    writer.store(own, SeqCst);
                    *guard = guard.map(|count| count + 1);
                    worker.random.dawdle();
                    assert_eq!(writer.load(SeqCst), own, "another one writes");
                    drop(guard);
                    worker.journal().fetch_add(1, Relaxed);
                } else if let Ok(guard) = lock.read_timeout(soon).or_else(LockError::recover) {
                    let now = writer.load(SeqCst);
                    worker.random.dawdle();
                    assert_eq!(guard[0], guard[1], "a torn value");
                    assert_eq!(writer.load(SeqCst), now, "somebody writes");
                }
            }
        };
        let account = storm("read-write lock", &words, work, || {});
        let guard = lock.write_timeout(LATER).or_else(LockError::recover).unwrap();
        accounted(guard[0], &account);
    });
}

/// Producers and consumers of a buffer that holds no more than some.
#[test]
fn condvar() {
    const ROOM: u64 = 3;
    isolated_for(LIMIT, || {
        let words = Words::new();
        let places = Condvar::words(4 * WORKERS);
        let [full, empty] = [0, 200].map(|start| Condvar::attach(words.at(start, places)).unwrap());
        // How many there ever were, and how many were taken.
        let buffer = Mutex::<[u64; 2]>::attach(words.at(400, Mutex::<[u64; 2]>::WORDS)).unwrap();
        let everybody = || {
            full.notify_all().unwrap();
            empty.notify_all().unwrap();
        };
        let work = |mut worker: Worker<'_>| {
            let produces = worker.index.is_multiple_of(2);
            let (own, other) = if produces { (full, empty) } else { (empty, full) };
            while !worker.stops() {
                worker.random.dawdle();
                let guard = buffer.lock().or_else(|error| {
                    // One who died may have owed a notification.
                    everybody();
                    error.recover()
                });
                let waits = |[made, taken]: &mut [u64; 2]| {
                    assert!(*made >= *taken && *made - *taken <= ROOM, "{made} and {taken}");
                    let held = *made - *taken;
                    !worker.stops() && if produces { held == ROOM } else { held == 0 }
                };
                let waited = own.wait_timeout_while(guard.unwrap(), LATER, waits);
                let (mut guard, in_time) = match waited {
                    Ok(outcome) => outcome,
                    // The condition is asked again.
                    Err(LockError::OwnerDied((guard, _))) => {
                        guard.mark_consistent();
                        drop(guard);
                        everybody();
                        continue;
                    }
                    Err(LockError::Failed(error)) => panic!("{error}"),
                };
                assert!(in_time, "nobody has notified us");
                if worker.stops() {
                    break;
                }
                guard[usize::from(!produces)] += 1;
                guard.commit();
                worker.random.dawdle();
                other.notify_one().unwrap();
                drop(guard);
                worker.journal().fetch_add(1, Relaxed);
            }
        };
        let account = storm("condition variable", &words, work, everybody);
        let [made, taken] = *buffer.lock_timeout(LATER).or_else(LockError::recover).unwrap();
        assert!(made >= taken && made - taken <= ROOM);
        accounted(made + taken, &account);
    });
}

/// In each round all come before anybody goes on, and one runs the action.
#[test]
fn barrier() {
    isolated_for(LIMIT, || {
        let words = Words::new();
        let barrier = Barrier::create(words.at(0, Barrier::words(WORKERS)), WORKERS).unwrap();
        let round = &words.at(OTHERS, 1)[0];
        // In which round somebody has come, counted from one; of one who has come in the stead of another, no matter when.
        const NEW: u64 = u64::MAX;
        let came = words.at(OTHERS + 1, WORKERS);
        // How often not all had come. One who has come and then dies in the instant in which the last one looks who is
        // alive counts, and so may the next one in its stead: seldom.
        let missed = &words.at(OTHERS + 50, 1)[0];
        let work = |mut worker: Worker<'_>| {
            let mut is_new = true;
            while !worker.stops() {
                worker.random.dawdle();
                let now = round.load(SeqCst);
                came[worker.index].store(if is_new { NEW } else { now + 1 }, SeqCst);
                worker.random.dawdle();
                let action = || {
                    let this = round.load(SeqCst);
                    let has_come = |came: &AtomicU64| [this + 1, NEW].contains(&came.load(SeqCst));
                    missed.fetch_add(u64::from(!came.iter().all(has_come)), SeqCst);
                    let next = round.compare_exchange(this, this + 1, SeqCst, SeqCst);
                    assert_eq!(next, Ok(this), "two run the action");
                };
                match barrier.wait_until(Deadline::after(LATER), action) {
                    Ok(_) => {
                        assert!(round.load(SeqCst) > now, "somebody has not come");
                        worker.journal().fetch_add(1, Relaxed);
                        is_new = false;
                    }
                    // One has died while he ran the action.
                    Err(BarrierError::Broken) => {
                        if barrier.is_broken() && !worker.stops() {
                            barrier.reset().unwrap();
                        }
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let account = storm("barrier", &words, work, || barrier.abort().unwrap());
        let rounds = round.load(SeqCst);
        let missed = missed.load(SeqCst);
        println!("barrier: {rounds} rounds, {missed} of which without one who was replaced");
        assert!(missed <= 1 + account.kills / 10, "not all come before others go on");
        assert!(rounds > 0 && account.done <= rounds * WORKERS as u64, "{rounds} rounds");
    });
}
