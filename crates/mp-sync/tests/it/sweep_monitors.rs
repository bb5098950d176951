//! A kill at every instruction of semaphores, condition variables, events and barriers.

use std::{
    thread,
    time::{Duration, Instant},
};

use mp_sync::{Barrier, BarrierError, Condvar, Event, LockError, Mutex, Semaphore};
use mp_testkit::{Child, Point, fork_child, isolated_for, wait_asleep};

use crate::{
    shared::{Recovery, Words, stays},
    sweep::{LATER, LIMIT, SOON, kill_few as kill},
};

const PERMITS: u64 = 2;

/// Longer than survivors may take.
const LONGER: Duration = Duration::from_millis(60);

fn semaphore(words: &Words) -> Semaphore<'_> {
    Semaphore::attach(words.at(0, Semaphore::words(4))).unwrap()
}

/// A semaphore that has been used before: what is known about this process is known.
fn with_permits() -> Words {
    let words = Words::new();
    let semaphore = Semaphore::create(words.at(0, Semaphore::words(4)), PERMITS).unwrap();
    drop(semaphore.acquire().unwrap());
    words
}

/// So many permits can be had, and not one more.
fn counts(words: &Words, permits: u64, point: Point, recovery: &mut Recovery) {
    let semaphore = semaphore(words);
    let held: Vec<_> = recovery.time(|| {
        (0..permits)
            .map(|_| semaphore.acquire_timeout(SOON).unwrap_or_else(|e| panic!("{point:?}: {e}")))
            .collect()
    });
    assert!(semaphore.try_acquire().is_err(), "{point:?}: a permit too many");
    drop(held);
    assert_eq!(semaphore.available(), permits, "{point:?}");
}

#[test]
fn semaphore_acquire_and_drop() {
    isolated_for(LIMIT, || {
        let acquire = |words: &Words| drop(semaphore(words).acquire().unwrap());
        kill("semaphore", with_permits, acquire, |words, point, recovery| {
            counts(&words, PERMITS, point, recovery);
        });
    });
}

/// The victim finds a permit of somebody dead, and takes it back.
#[test]
fn semaphore_take_back() {
    isolated_for(LIMIT, || {
        let died = || {
            let words = with_permits();
            stays(|| [0; 2].map(|_| semaphore(&words).acquire().unwrap())).kill();
            words
        };
        let acquire = |words: &Words| drop(semaphore(words).try_acquire().unwrap());
        kill("semaphore take-back", died, acquire, |words, point, recovery| {
            counts(&words, PERMITS, point, recovery);
        });
    });
}

#[test]
fn semaphore_release() {
    isolated_for(LIMIT, || {
        let setup = || {
            let words = with_permits();
            for _ in 0..PERMITS {
                semaphore(&words).acquire().unwrap().forget();
            }
            let waiter = fork_child(|| {
                let permit = semaphore(&words).acquire_timeout(LATER);
                permit.map_or(1, |permit| {
                    permit.forget();
                    0
                })
            });
            wait_asleep(waiter.id(), waiter.id());
            (words, waiter)
        };
        let release = |(words, _): &(Words, Child)| semaphore(words).release().unwrap();
        kill("semaphore release", setup, release, |(words, waiter), point, recovery| {
            let start = Instant::now();
            let status = match waiter.wait_timeout(LONGER) {
                Ok(status) => status,
                Err(waiter) if point.complete => waiter.wait(),
                Err(waiter) => {
                    // The victim did not get that far, or the waiter is late.
                    waiter.kill();
                    let Ok(permit) = semaphore(&words).try_acquire() else { return };
                    permit.forget();
                    return recovery.took(start.elapsed());
                }
            };
            recovery.took(start.elapsed());
            assert!(status.success(), "{point:?}: the permit is lost");
            counts(&words, 0, point, &mut Recovery::default());
        });
    });
}

#[test]
fn event_set() {
    isolated_for(LIMIT, || {
        fn event(words: &Words) -> Event<'_> {
            Event::attach(words.at(0, Event::WORDS)).unwrap()
        }
        let setup = || {
            let words = Words::new();
            let waiter = fork_child(|| i32::from(event(&words).wait_timeout(LATER).is_err()));
            wait_asleep(waiter.id(), waiter.id());
            (words, waiter)
        };
        let set = |(words, _): &(Words, Child)| event(words).set();
        kill("event", setup, set, |(words, waiter), point, recovery| {
            let is_set = event(&words).is_set();
            assert!(is_set || !point.complete, "{point:?}");
            if !is_set {
                event(&words).set();
            }
            let status = recovery.time(|| waiter.wait());
            assert!(status.success(), "{point:?}");
        });
    });
}

pub(crate) fn condvar(words: &Words) -> (Condvar<'_>, Mutex<'_, u64>) {
    let condvar = Condvar::attach(words.at(0, Condvar::words(4))).unwrap();
    (condvar, Mutex::attach(words.at(100, Mutex::<u64>::WORDS)).unwrap())
}

/// A child that waits until the number is not zero.
fn waiter(words: &Words) -> Child {
    let child = fork_child(|| {
        let (condvar, mutex) = condvar(words);
        let guard = mutex.lock().or_else(LockError::recover).unwrap();
        let waited = condvar.wait_timeout_while(guard, LATER, |number| *number == 0);
        match waited {
            Ok((_, true)) | Err(LockError::OwnerDied(_)) => 0,
            _ => 1,
        }
    });
    wait_asleep(child.id(), child.id());
    child
}

/// The victim changes the number and says so, with the lock held, as one does.
#[test]
fn condvar_notify() {
    isolated_for(LIMIT, || {
        let setup = || {
            let words = Words::new();
            drop(condvar(&words).1.lock().unwrap());
            let waiter = waiter(&words);
            (words, waiter)
        };
        let notify = |(words, _): &(Words, Child)| {
            let (condvar, mutex) = condvar(words);
            let mut guard = mutex.lock().unwrap();
            *guard = 1;
            guard.commit();
            condvar.notify_one().unwrap();
            drop(guard);
        };
        kill("condvar notify", setup, notify, |(words, waiter), point, recovery| {
            let (condvar, mutex) = condvar(&words);
            recovery.time(|| {
                if !point.complete {
                    // Whoever finds that a holder has died says so to those who wait.
                    let locked = mutex.lock_timeout(SOON).or_else(|error| error.recover());
                    *locked.unwrap() = 1;
                    condvar.notify_one().unwrap();
                }
                assert!(waiter.wait().success(), "{point:?}");
            });
        });
    });
}

/// The victim waits, with one who waits already, and a notification comes for one of them.
#[test]
fn condvar_wait() {
    isolated_for(LIMIT, || {
        let setup = || {
            let words = Words::new();
            drop(condvar(&words).1.lock().unwrap());
            words
        };
        let wait = |words: &Words| {
            let (condvar, mutex) = condvar(words);
            let guard = mutex.lock().unwrap();
            drop(condvar.wait_timeout(guard, Duration::from_micros(50)).unwrap());
        };
        kill("condvar wait", setup, wait, |words, point, recovery| {
            let (condvar, mutex) = condvar(&words);
            let locked = mutex.lock_timeout(SOON).or_else(|error| error.recover());
            drop(locked.unwrap());
            let waiter = waiter(&words);
            recovery.time(|| {
                *mutex.lock().unwrap() = 1;
                // One of them may be for the dead.
                assert!(condvar.notify_all().unwrap() >= 1, "{point:?}");
                assert!(waiter.wait().success(), "{point:?}");
            });
            // Room for all again: the place of the dead has come back by now or does when it is needed.
            *mutex.lock().unwrap() = 0;
            let waiters = [0; 4].map(|_| self::waiter(&words));
            *mutex.lock().unwrap() = 1;
            condvar.notify_all().unwrap();
            assert!(waiters.map(|child| child.wait().success()).iter().all(|&ok| ok), "{point:?}");
        });
    });
}

/// How one ends who has found the barrier broken.
const BROKEN: i32 = 2;

/// The victim is the last to come, and opens the barrier. If it is killed while it does that, the barrier is broken.
#[test]
fn barrier_wait() {
    isolated_for(LIMIT, || {
        fn barrier(words: &Words) -> Barrier<'_> {
            Barrier::attach(words.at(0, Barrier::words(2))).unwrap()
        }
        let setup = || {
            let words = Words::new();
            Barrier::create(words.at(0, Barrier::words(2)), 2).unwrap();
            let waiter = fork_child(|| match barrier(&words).wait_timeout(LATER) {
                Ok(_) => 0,
                Err(BarrierError::Broken) => BROKEN,
                Err(_) => 1,
            });
            // It may be asleep on its way, and then the victim would be the first to come.
            while barrier(&words).waiting() == 0 {
                thread::yield_now();
            }
            wait_asleep(waiter.id(), waiter.id());
            (words, waiter)
        };
        let come = |(words, _): &(Words, Child)| {
            barrier(words).wait().unwrap();
        };
        kill("barrier", setup, come, |(words, waiter), point, recovery| {
            let barrier = barrier(&words);
            let mut has_gone_on = false;
            if barrier.waiting() > 0 {
                assert!(!point.complete, "{point:?}: it was opened");
                // The place of the dead comes back: one more opens it.
                match recovery.time(|| barrier.wait_timeout(SOON)) {
                    Ok(_) | Err(BarrierError::Broken) => {}
                    // Unless the waiter, which looks now and then, saw both at this very moment and has gone on.
                    Err(BarrierError::TimedOut) => {
                        has_gone_on = true;
                        barrier.reset().unwrap();
                    }
                    Err(error) => panic!("{point:?}: {error}"),
                }
            }
            let status = recovery.time(|| waiter.wait());
            assert!(!has_gone_on || status.success(), "{point:?}: one more does not open it");
            if status.code() == Some(BROKEN) {
                assert!(barrier.is_broken() && !point.complete, "{point:?}");
                barrier.reset().unwrap();
            } else {
                assert!(status.success(), "{point:?}: {status}");
            }
            assert!(!barrier.is_broken() && barrier.waiting() == 0, "{point:?}");
        });
    });
}
