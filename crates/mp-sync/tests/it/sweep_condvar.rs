//! A kill at every instruction of one who is notified, or notifies, while others wait too.

use std::{cell::RefCell, sync::atomic::Ordering::Relaxed, time::Duration};

use mp_sync::LockError;
use mp_testkit::{Child, Point, fork_child, isolated_for, wait_asleep};

use crate::{
    shared::{Recovery, Words},
    sweep::{LATER, LIMIT, SOON, kill_beside, kill_few as kill},
    sweep_monitors::condvar,
};

/// A child that waits for one notification.
fn waiter(words: &Words) -> Child {
    let child = fork_child(|| {
        let (condvar, mutex) = condvar(words);
        match condvar.wait_timeout(mutex.lock().unwrap(), LATER) {
            Ok((_, notified)) => i32::from(!notified),
            Err(LockError::OwnerDied((guard, notified))) => {
                guard.mark_consistent();
                i32::from(!notified)
            }
            Err(LockError::Failed(_)) => 1,
        }
    });
    wait_asleep(child.id(), child.id());
    child
}

/// Waits until one of them has ended, notified.
fn one_goes_on(mut waiters: Vec<Child>, point: Point) -> Vec<Child> {
    for _ in 0..SOON.as_millis() {
        let waiter = waiters.remove(0);
        match waiter.wait_timeout(Duration::from_millis(1)) {
            Ok(status) => {
                assert!(status.success(), "{point:?}: {status}");
                return waiters;
            }
            Err(waiter) => waiters.push(waiter),
        }
    }
    panic!("{point:?}: the notification is lost");
}

fn all_go_on(waiters: Vec<Child>, point: Point) {
    for waiter in waiters {
        assert!(waiter.wait().success(), "{point:?}");
    }
}

/// The victim is notified, with two behind it: it has gone on, or left word that it died with the lock, or else the
/// notification lets one of the others go.
#[test]
fn notified_waiter() {
    isolated_for(LIMIT, || {
        let setup = || {
            let words = Words::new();
            drop(condvar(&words).1.lock().unwrap());
            (words, RefCell::new(Vec::new()))
        };
        let wait = |(words, _): &(Words, RefCell<Vec<Child>>)| {
            let (condvar, mutex) = condvar(words);
            let guard = mutex.lock().unwrap();
            words.number().store(1, Relaxed);
            let guard = condvar.wait(guard).unwrap();
            words.number().store(2, Relaxed);
            drop(guard);
        };
        // As soon as the victim has given the lock back it waits.
        let notify = |(words, waiters): &(Words, RefCell<Vec<Child>>)| {
            let (condvar, mutex) = condvar(words);
            let is_time = words.number().load(Relaxed) == 1 && !mutex.is_locked();
            if is_time {
                waiters.borrow_mut().extend([waiter(words), waiter(words)]);
                assert!(condvar.notify_one().unwrap());
            }
            is_time
        };
        let (mut passed_on, mut told) = (0, 0);
        let oracle = |(words, waiters): (Words, RefCell<Vec<Child>>),
                      point: Point,
                      recovery: &mut Recovery| {
            let ((condvar, mutex), waiters) = (condvar(&words), waiters.into_inner());
            let died = match recovery.time(|| mutex.lock_timeout(SOON)) {
                Ok(_) => false,
                Err(LockError::OwnerDied(guard)) => {
                    guard.mark_consistent();
                    true
                }
                Err(error) => panic!("{point:?}: {error}"),
            };
            if waiters.is_empty() {
                // It has not been notified, and another one is, though the dead may have waited longer.
                let waiter = waiter(&words);
                assert!(condvar.notify_one().unwrap(), "{point:?}");
                return recovery.time(|| all_go_on(vec![waiter], point));
            }
            assert!(!(point.complete && died), "{point:?}");
            let has_gone_on = words.number().load(Relaxed) == 2;
            assert!(!point.complete || has_gone_on);
            if has_gone_on || died {
                // Whoever hears of the death says so to one who waits.
                condvar.notify_one().unwrap();
            }
            *(if died { &mut told } else { &mut passed_on }) += u32::from(!has_gone_on);
            let waiters = recovery.time(|| one_goes_on(waiters, point));
            let more = condvar.notify_all().unwrap();
            assert!(more == 1 || (more == 0 && died), "{point:?}: let go without a notification");
            recovery.time(|| all_go_on(waiters, point));
        };
        kill_beside("notified waiter", setup, wait, notify, oracle);
        println!("notified waiter: passed on at {passed_on} points, told with the lock at {told}");
        assert!(cfg!(debug_assertions) || (passed_on > 0 && told > 0));
    });
}

/// The victim notifies `count` of three, without the lock: as many of them as it has come to go on, the others wait.
fn notifies(name: &str, count: usize, notify: impl Fn(&Words)) {
    let setup = || {
        let words = Words::new();
        drop(condvar(&words).1.lock().unwrap());
        let waiters = [0; 3].map(|_| waiter(&words));
        (words, waiters)
    };
    kill(
        name,
        setup,
        |(words, _)| notify(words),
        |(words, waiters), point, recovery| {
            let (condvar, _) = condvar(&words);
            let mut waiters = Vec::from(waiters);
            if point.complete {
                let first = waiters.drain(..count).collect();
                recovery.time(|| all_go_on(first, point));
            }
            recovery.time(|| {
                let others = condvar.notify_all().unwrap();
                assert!(others >= 3 - count && others <= 3, "{point:?}: {others}");
                assert!(!point.complete || others == 3 - count, "{point:?}: {others}");
                all_go_on(waiters, point);
            });
        },
    );
}

#[test]
fn notify_one() {
    isolated_for(LIMIT, || {
        notifies("notify one of three", 1, |words| {
            assert!(condvar(words).0.notify_one().unwrap());
        });
    });
}

#[test]
fn notify_all() {
    isolated_for(LIMIT, || {
        notifies("notify all of three", 3, |words| {
            assert_eq!(condvar(words).0.notify_all().unwrap(), 3);
        });
    });
}
