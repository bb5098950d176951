use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use mp_sync::{Condvar, LockError, Mutex};
use mp_testkit::{Child, fork_child, isolated, wait_asleep};
use nix::libc;

use crate::shared::{Recovery, Words};

const SOON: Duration = Duration::from_secs(5);
const WAITERS: usize = 6;

fn parts(words: &Words) -> (Condvar<'_>, Mutex<'_, u64>) {
    let condvar = Condvar::attach(words.at(0, Condvar::words(WAITERS))).unwrap();
    (condvar, Mutex::attach(words.at(100, Mutex::<u64>::WORDS)).unwrap())
}

/// A child that sleeps until it is notified, and counts that.
fn waiter(words: &Words) -> Child {
    let child = fork_child(|| {
        let (condvar, mutex) = parts(words);
        let (mut guard, notified) = condvar.wait_timeout(mutex.lock().unwrap(), SOON).unwrap();
        *guard += 1;
        i32::from(!notified)
    });
    wait_asleep(child.id(), child.id());
    child
}

fn woken(words: &Words) -> u64 {
    *parts(words).1.lock().unwrap()
}

#[test]
fn timeouts_are_never_early_and_hold_the_lock() {
    let words = Words::new();
    let (condvar, mutex) = parts(&words);
    for timeout in [0, 1, 24, 26, 60].map(Duration::from_millis) {
        let start = Instant::now();
        let mut guard = mutex.lock().unwrap();
        *guard += 1;
        let (guard, notified) = condvar.wait_timeout(guard, timeout).unwrap();
        assert!(!notified && start.elapsed() >= timeout);
        assert!(mutex.is_locked());
        drop(guard);
    }
    assert_eq!(woken(&words), 5, "what was changed before a wait is committed");
}

/// Each notification lets one go, those who have waited longest first, and nobody else.
#[test]
fn notify_wakes_as_many_as_it_says() {
    isolated(|| {
        let words = Words::new();
        let (condvar, _) = parts(&words);
        assert!(!condvar.notify_one().unwrap());
        let mut waiters: Vec<_> = (0..6).map(|_| waiter(&words)).collect();
        assert_eq!(condvar.notify(2).unwrap(), 2);
        for first in waiters.drain(..2) {
            assert!(first.wait().success());
        }
        assert_eq!(woken(&words), 2);
        // Longer than a slice: none of the others wakes by itself.
        let (_, notified) = condvar
            .wait_timeout(parts(&words).1.lock().unwrap(), Duration::from_millis(60))
            .unwrap();
        assert!(!notified);
        assert_eq!(woken(&words), 2);
        assert_eq!(condvar.notify(100).unwrap(), 4);
        assert!(waiters.into_iter().all(|child| child.wait().success()));
        assert_eq!(condvar.notify_all().unwrap(), 0);
    });
}

#[test]
fn wait_while() {
    isolated(|| {
        let words = Words::new();
        let (condvar, mutex) = parts(&words);
        let child = fork_child(|| {
            for _ in 0..4 {
                *mutex.lock().unwrap() += 1;
                condvar.notify_all().unwrap();
            }
            0
        });
        let guard = condvar.wait_while(mutex.lock().unwrap(), |count| *count < 4).unwrap();
        assert_eq!(*guard, 4);
        let (guard, met) = condvar
            .wait_timeout_while(guard, Duration::from_millis(30), |count| *count < 5)
            .unwrap();
        assert!(!met);
        drop(guard);
        assert!(child.wait().success());
    });
}

/// The one who is notified is stopped and then killed before it has gone on: the other one goes on in its stead.
#[test]
fn a_notification_survives_the_one_it_woke() {
    isolated(|| {
        let words = Words::new();
        let (condvar, _) = parts(&words);
        let mut recovery = Recovery::default();
        for round in 0..5 {
            let first = waiter(&words);
            let second = waiter(&words);
            first.signal(libc::SIGSTOP);
            // The stop takes effect when the kernel wakes it for the signal.
            while !is_stopped(first.id()) {
                std::thread::yield_now();
            }
            assert!(condvar.notify_one().unwrap());
            assert_eq!(woken(&words), round);
            first.kill();
            assert!(recovery.time(|| second.wait()).success());
        }
        recovery.check("notifications");
    });
}

pub(crate) fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().trim_start().starts_with('T')
}

/// A notification of the dead is not for those who come later.
#[test]
fn no_phantoms() {
    isolated(|| {
        let words = Words::new();
        let (condvar, mutex) = parts(&words);
        let dead = waiter(&words);
        dead.signal(libc::SIGSTOP);
        while !is_stopped(dead.id()) {
            std::thread::yield_now();
        }
        assert!(condvar.notify_one().unwrap());
        dead.kill();
        let timeout = Duration::from_millis(80);
        let (guard, notified) = condvar.wait_timeout(mutex.lock().unwrap(), timeout).unwrap();
        assert!(!notified && *guard == 0);
    });
}

#[test]
fn places_of_dead_waiters_come_back() {
    isolated(|| {
        let words = Words::new();
        let (condvar, mutex) = parts(&words);
        let dead: Vec<_> = (0..WAITERS).map(|_| waiter(&words)).collect();
        let error = condvar.wait_timeout(mutex.lock().unwrap(), SOON).unwrap_err();
        assert!(
            matches!(error, LockError::Failed(error) if error.kind() == std::io::ErrorKind::QuotaExceeded)
        );
        assert!(!mutex.is_locked());
        dead.into_iter().for_each(|child| {
            child.kill();
        });
        let alive = waiter(&words);
        assert!(condvar.notify_one().unwrap());
        assert!(alive.wait().success());
    });
}

/// The holder of the mutex dies while others wait for a notification: the first of them to get the mutex is told.
#[test]
fn the_mutex_may_die_meanwhile() {
    isolated(|| {
        let words = Words::new();
        let (condvar, mutex) = parts(&words);
        let child = fork_child(|| {
            let waited = condvar.wait_timeout(mutex.lock().unwrap(), SOON);
            i32::from(!matches!(waited, Err(LockError::OwnerDied((_, true)))))
        });
        wait_asleep(child.id(), child.id());
        let notifier = crate::shared::stays(|| {
            let guard = mutex.lock().unwrap();
            condvar.notify_one().unwrap();
            guard
        });
        notifier.kill();
        assert!(child.wait().success());
        words.number().store(0, Relaxed);
    });
}
