//! A kill at every instruction of locks that are held while anything happens.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use mp_sync::{Mutex, Once, ReentrantLock, RwLock};
use mp_testkit::{Child, Point, fork_child, isolated_for, wait_asleep};

use crate::{
    shared::{Recovery, WAITERS, Words, stays},
    sweep::{LATER, LIMIT, SOON, kill_few as kill},
};

type Pair = [u64; 2];

fn mutex(words: &Words) -> Mutex<'_, Pair> {
    Mutex::attach(words.at(0, Mutex::<Pair>::WORDS)).unwrap()
}

fn outer(words: &Words) -> Mutex<'_, u64> {
    Mutex::attach(words.at(100, Mutex::<u64>::WORDS)).unwrap()
}

fn rwlock(words: &Words) -> RwLock<'_, Pair> {
    RwLock::attach(words.at(0, RwLock::<Pair>::words(4))).unwrap()
}

/// A pair as it is before, in locks that have been used before: what is known about this process is known.
fn used() -> Words {
    let words = Words::new();
    *mutex(&words).lock().unwrap() = [1, 1];
    drop(outer(&words).lock().unwrap());
    words
}

fn change(mutex: Mutex<'_, Pair>) {
    let mut guard = mutex.lock().unwrap();
    guard[0] = 2;
    guard[1] = 2;
}

/// The value before or the value after, and the lock is free.
fn whole(words: &Words, point: Point, recovery: &mut Recovery) {
    let locked = recovery.time(|| mutex(words).lock_timeout(SOON));
    assert!(!(point.complete && locked.is_err()), "{point:?}");
    let guard = locked.or_else(|error| error.recover()).unwrap();
    assert!(*guard == [2, 2] || (*guard == [1, 1] && !point.complete), "{point:?}: {:?}", *guard);
    drop(guard);
    drop(mutex(words).try_lock().unwrap());
}

#[test]
fn mutex_lock_change_and_unlock() {
    isolated_for(LIMIT, || {
        kill(
            "mutex",
            used,
            |words| change(mutex(words)),
            |words, point, recovery| {
                whole(&words, point, recovery);
            },
        );
    });
}

/// The kernel does not know of the inner one.
#[test]
fn mutex_inside_another() {
    isolated_for(LIMIT, || {
        let nested = |words: &Words| {
            let _outer = outer(words).lock().unwrap();
            change(mutex(words));
        };
        kill("mutex inside another", used, nested, |words, point, recovery| {
            whole(&words, point, recovery);
            drop(outer(&words).lock_timeout(SOON).or_else(|error| error.recover()).unwrap());
        });
    });
}

/// The victim comes after a holder that died, and is killed while it takes the lock over.
#[test]
fn mutex_recoverer() {
    isolated_for(LIMIT, || {
        for inside_another in [false, true] {
            let died = || {
                let words = used();
                stays(|| {
                    let outer = inside_another.then(|| outer(&words).lock().unwrap());
                    (outer, mutex(&words).lock().unwrap())
                })
                .kill();
                words
            };
            let recover = |words: &Words| {
                let guard = mutex(words).try_lock().unwrap_err().recover();
                *guard.unwrap() = [2, 2];
            };
            let name = if inside_another { "inner mutex recoverer" } else { "mutex recoverer" };
            kill(name, died, recover, |words, point, recovery| {
                whole(&words, point, recovery);
            });
        }
    });
}

/// The victim waits for a lock that is not released, and gives up.
#[test]
fn mutex_waiter() {
    isolated_for(LIMIT, || {
        let wait = |(words, _): &(Words, Child)| {
            drop(mutex(words).lock_timeout(Duration::from_micros(50)).unwrap_err());
        };
        let held = || {
            let words = used();
            let holder = stays(|| {
                let mut guard = mutex(&words).lock().unwrap();
                *guard = [2, 2];
                guard.commit();
                guard
            });
            (words, holder)
        };
        kill("mutex waiter", held, wait, |(words, holder), point, recovery| {
            assert!(mutex(&words).try_lock().is_err(), "{point:?}: still held");
            holder.kill();
            let unknown = Point { complete: false, ..point };
            whole(&words, unknown, recovery);
        });
    });
}

/// Another process sleeps for the lock while the victim is killed on its way through it.
#[test]
fn mutex_with_a_sleeper() {
    isolated_for(LIMIT, || {
        // The lock's word and, above it, the one that says that somebody sleeps.
        const ASLEEP: u64 = WAITERS as u64 | 1 << 32;
        let word = |words: &Words| words.at(0, 1)[0].load(Relaxed);
        let setup = || {
            let words = used();
            std::mem::forget(mutex(&words).lock().unwrap());
            let own = word(&words);
            let waiter = fork_child(|| {
                let locked = mutex(&words).lock_timeout(LATER);
                i32::from(locked.or_else(|error| error.recover()).is_err())
            });
            wait_asleep(waiter.id(), waiter.id());
            (words, waiter, own)
        };
        // Takes over what the test holds, as if the sleeper had come after it.
        let through = |(words, ..): &(Words, Child, u64)| {
            words.at(0, 1)[0].store(0, Relaxed);
            let mut guard = mutex(words).try_lock().unwrap();
            words.at(0, 1)[0].fetch_or(ASLEEP, Relaxed);
            *guard = [2, 2];
            drop(guard);
        };
        kill("mutex with a sleeper", setup, through, |(words, waiter, own), point, recovery| {
            if word(&words) == own | ASLEEP {
                // The victim did not get as far as taking it over.
                words.at(0, 2).iter().for_each(|word| word.store(0, Relaxed));
            }
            let status = recovery.time(|| waiter.wait());
            assert!(status.success(), "{point:?}");
            // The sleeper was told of the death, if of any.
            assert!(!mutex(&words).is_poisoned(), "{point:?}");
            whole(&words, point, &mut Recovery::default());
        });
    });
}

#[test]
fn reentrant_lock() {
    isolated_for(LIMIT, || {
        let lock = |words: &Words| {
            let lock = ReentrantLock::attach(words.at(0, ReentrantLock::WORDS)).unwrap();
            let guards = [lock.lock().unwrap(), lock.lock().unwrap()];
            drop(guards);
        };
        kill("reentrant lock", used, lock, |words, point, recovery| {
            let lock = ReentrantLock::attach(words.at(0, ReentrantLock::WORDS)).unwrap();
            let locked = recovery.time(|| lock.lock_timeout(SOON));
            assert!(!(point.complete && locked.is_err()), "{point:?}");
            assert_eq!(locked.or_else(|error| error.recover()).unwrap().depth(), 1, "{point:?}");
            assert!(!lock.is_locked());
        });
    });
}

#[test]
fn once() {
    isolated_for(LIMIT, || {
        let once = |words: &Words| {
            let once = Once::attach(words.at(200, Once::WORDS)).unwrap();
            once.call_once(|| change(mutex(words))).unwrap();
        };
        kill("once", used, once, |words, point, recovery| {
            let once = Once::attach(words.at(200, Once::WORDS)).unwrap();
            let mut again = false;
            recovery.time(|| once.call_once_timeout(SOON, || again = true)).unwrap();
            assert!(!(point.complete && again), "{point:?}");
            assert!(once.is_completed());
            if !again {
                whole(&words, Point { complete: true, ..point }, &mut Recovery::default());
            }
        });
    });
}

#[test]
fn rwlock_read() {
    isolated_for(LIMIT, || {
        let setup = || {
            let words = Words::new();
            *rwlock(&words).write().unwrap() = [1, 1];
            words
        };
        let read = |words: &Words| drop(rwlock(words).read().unwrap());
        kill("read lock", setup, read, |words, point, recovery| {
            let written = recovery.time(|| rwlock(&words).write_timeout(SOON));
            assert_eq!(*written.unwrap(), [1, 1], "{point:?}: a reader that dies is no harm");
            drop(rwlock(&words).try_read().unwrap());
        });
    });
}

#[test]
fn rwlock_write() {
    isolated_for(LIMIT, || {
        let setup = || {
            let words = Words::new();
            *rwlock(&words).write().unwrap() = [1, 1];
            words
        };
        let write = |words: &Words| {
            let mut guard = rwlock(words).write().unwrap();
            guard[0] = 2;
            guard[1] = 2;
        };
        kill("write lock", setup, write, |words, point, recovery| {
            let read = recovery.time(|| rwlock(&words).read_timeout(SOON));
            assert!(!(point.complete && read.is_err()), "{point:?}");
            let guard = read.or_else(|error| error.recover()).unwrap();
            assert!(*guard == [2, 2] || (*guard == [1, 1] && !point.complete), "{point:?}");
            drop(guard);
            drop(rwlock(&words).try_write().unwrap());
        });
    });
}

/// A writer sleeps until the victim, which reads, is gone.
#[test]
fn rwlock_read_before_a_sleeping_writer() {
    isolated_for(LIMIT, || {
        let setup = || {
            let words = Words::new();
            *rwlock(&words).write().unwrap() = [1, 1];
            // Holds the lock for reading until the victim has come and gone.
            let reader = stays(|| rwlock(&words).read().unwrap());
            let writer = fork_child(|| i32::from(rwlock(&words).write_timeout(LATER).is_err()));
            wait_asleep(writer.id(), writer.id());
            (words, reader, writer)
        };
        let read = |(words, ..): &(Words, Child, Child)| {
            // Kept out by the writer, or in its stead.
            drop(rwlock(words).read_timeout(Duration::from_micros(50)));
        };
        kill("reader behind a writer", setup, read, |(words, reader, writer), point, recovery| {
            reader.kill();
            let status = recovery.time(|| writer.wait());
            assert!(status.success(), "{point:?}");
            drop(rwlock(&words).try_write().unwrap());
        });
    });
}
