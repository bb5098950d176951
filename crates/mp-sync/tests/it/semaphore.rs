use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use mp_sync::{BoundedSemaphore, Semaphore, TimeoutError, TryError};
use mp_testkit::{fork_child, isolated, once_asleep};
use nix::libc;

use crate::shared::{Recovery, Words, stays};

const SOON: Duration = Duration::from_secs(5);
const PROCESSES: usize = 6;

fn create(words: &Words, permits: u64) -> Semaphore<'_> {
    Semaphore::create(words.at(0, Semaphore::words(PROCESSES)), permits).unwrap()
}

#[test]
fn smoke() {
    let words = Words::new();
    let semaphore = create(&words, 2);
    let one = semaphore.acquire().unwrap();
    let two = semaphore.try_acquire().unwrap();
    assert!(matches!(semaphore.try_acquire(), Err(TryError::WouldBlock)));
    drop(one);
    let one = semaphore.acquire_timeout(SOON).unwrap();
    assert_eq!(semaphore.available(), 0);
    drop((one, two));
    // Not bounded, as in Python.
    semaphore.release_many(2).unwrap();
    assert_eq!(semaphore.available(), 4);
    assert!(Semaphore::attach(words.at(0, 5)).is_err(), "too few words");
}

#[test]
fn bounded() {
    let words = Words::new();
    let semaphore = BoundedSemaphore::create(words.at(0, BoundedSemaphore::words(2)), 2).unwrap();
    let error = semaphore.release().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::QuotaExceeded);
    semaphore.acquire().unwrap().forget();
    drop(semaphore.acquire().unwrap());
    semaphore.release().unwrap();
    assert!(semaphore.release().is_err());
    assert_eq!(semaphore.available(), 2);
}

#[test]
fn timeouts_are_never_early() {
    let words = Words::new();
    let semaphore = create(&words, 0);
    for timeout in [0, 1, 24, 26, 60].map(Duration::from_millis) {
        let start = Instant::now();
        assert!(matches!(semaphore.acquire_timeout(timeout), Err(TimeoutError::TimedOut)));
        assert!(start.elapsed() >= timeout);
    }
}

/// Never more inside than there are permits, and all of them get in.
#[test]
fn permits_bound_those_inside() {
    isolated(|| {
        const EACH: u64 = 3_000;
        let words = Words::new();
        let semaphore = create(&words, 2);
        let inside = words.number();
        let children = [0; 4].map(|_| {
            fork_child(|| {
                for _ in 0..EACH {
                    let _permit = semaphore.acquire().unwrap();
                    assert!(inside.fetch_add(1, Relaxed) < 2);
                    inside.fetch_sub(1, Relaxed);
                }
                0
            })
        });
        assert!(children.map(|child| child.wait().success()).iter().all(|&ok| ok));
        assert_eq!(semaphore.available(), 2);
    });
}

#[test]
fn a_release_wakes_a_sleeper() {
    isolated(|| {
        let words = Words::new();
        let semaphore = create(&words, 0);
        let permit =
            once_asleep(|| semaphore.acquire_timeout(SOON), || semaphore.release().unwrap());
        permit.unwrap().forget();
        assert_eq!(semaphore.available(), 0);
    });
}

#[test]
fn permits_of_the_dead_come_back() {
    isolated(|| {
        let words = Words::new();
        let semaphore = create(&words, 3);
        let mut recovery = Recovery::default();
        for _ in 0..10 {
            let holders = [0; 3].map(|_| stays(|| semaphore.acquire().unwrap()));
            assert!(matches!(semaphore.try_acquire(), Err(TryError::WouldBlock)));
            holders.into_iter().for_each(|holder| {
                holder.kill();
            });
            let permits =
                recovery.time(|| [0; 3].map(|_| semaphore.acquire_timeout(SOON).unwrap()));
            assert!(semaphore.try_acquire().is_err(), "no more than there were");
            drop(permits);
            let holder = stays(|| [0; 3].map(|_| semaphore.acquire().unwrap()));
            holder.kill();
            let permits = [0; 3].map(|_| semaphore.try_acquire().unwrap());
            assert!(semaphore.try_acquire().is_err());
            drop(permits);
        }
        recovery.check("permits");
    });
}

#[test]
fn a_sleeper_gets_the_permit_of_the_dead() {
    isolated(|| {
        let words = Words::new();
        let semaphore = create(&words, 1);
        let holder = stays(|| semaphore.acquire().unwrap());
        let permit = once_asleep(
            || semaphore.acquire_timeout(SOON),
            || {
                holder.kill();
            },
        );
        drop(permit.unwrap());
        assert_eq!(semaphore.available(), 1);
    });
}

#[test]
fn what_was_used_up_does_not_come_back() {
    isolated(|| {
        let words = Words::new();
        let semaphore = create(&words, 2);
        let child = stays(|| semaphore.acquire().unwrap().forget());
        child.kill();
        let _other = semaphore.acquire().unwrap();
        assert!(semaphore.try_acquire().is_err());
    });
}

#[test]
fn a_stopped_holder_keeps_its_permit() {
    isolated(|| {
        let words = Words::new();
        let semaphore = create(&words, 1);
        let holder = stays(|| semaphore.acquire().unwrap());
        holder.signal(libc::SIGSTOP);
        assert!(semaphore.acquire_timeout(Duration::from_millis(70)).is_err());
        holder.kill();
        drop(semaphore.acquire_timeout(SOON).unwrap());
    });
}

/// More processes hold permits than there are places: an error, until one of them is dead.
#[test]
fn places_are_bounded_and_come_back() {
    isolated(|| {
        let words = Words::new();
        let semaphore = create(&words, 100);
        let mut holders: Vec<_> =
            (0..PROCESSES).map(|_| stays(|| semaphore.acquire().unwrap())).collect();
        let error = semaphore.acquire().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::QuotaExceeded);
        holders.pop().unwrap().kill();
        drop(semaphore.acquire().unwrap());
        assert_eq!(semaphore.available(), 100 - PROCESSES as u64 + 1);
    });
}

/// A child has a copy of its parent's permit, and no permit.
#[test]
fn a_copied_permit_is_none() {
    isolated(|| {
        let words = Words::new();
        let semaphore = create(&words, 1);
        let copy = std::cell::Cell::new(Some(semaphore.acquire().unwrap()));
        let child = fork_child(|| {
            drop(copy.take());
            i32::from(semaphore.try_acquire().is_ok())
        });
        assert_eq!(child.wait().code(), Some(0));
        drop(copy.take());
        assert_eq!(semaphore.available(), 1);
    });
}
