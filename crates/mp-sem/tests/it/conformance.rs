//! What a semaphore does, whichever the mechanism.

use std::{
    io::ErrorKind,
    panic,
    time::{Duration, Instant},
};

use mp_testkit::{Gate, fork_child, wait_asleep};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::{Backend, for_each_of};

for_each_of! { [posix_named: Named, posix_unnamed: Unnamed, sysv: SystemV]; {
    smoke,
    the_value_counts_the_permits,
    try_acquire,
    acquire_timeout,
    a_past_deadline_still_takes_what_is_there,
    a_permit_returns_on_drop,
    a_permit_returns_in_a_panic,
    a_forgotten_permit_does_not_return,
    release_adds_many,
    the_greatest_value,
    acquire_waits_for_a_release,
    a_timed_acquire_gets_what_comes_meanwhile,
    every_waiter_is_served,
    the_longest_waiter_is_served_first,
    a_signal_does_not_end_a_wait,
    no_more_than_the_permits_at_once,
}}

const LONG: Duration = Duration::from_secs(20);

fn smoke<B: Backend>() {
    let semaphore = B::fresh(1);
    let permit = semaphore.acquire().unwrap();
    let stranger = semaphore.again().unwrap();
    assert_eq!(stranger.value(), 0);
    drop(permit);
    drop(stranger.acquire().unwrap());
}

fn the_value_counts_the_permits<B: Backend>() {
    for initial in [0, 1, 5] {
        let semaphore = B::fresh(initial);
        let permits: Vec<_> = (0..initial).map(|_| semaphore.acquire().unwrap()).collect();
        assert_eq!(semaphore.value(), 0);
        drop(permits);
        assert_eq!(semaphore.value(), initial);
    }
}

fn try_acquire<B: Backend>() {
    let semaphore = B::fresh(1);
    let permit = semaphore.try_acquire().unwrap();
    assert_eq!(semaphore.try_acquire().err().unwrap().kind(), ErrorKind::WouldBlock);
    drop(permit);
    drop(semaphore.try_acquire().unwrap());
}

/// Never early.
fn acquire_timeout<B: Backend>() {
    let semaphore = B::fresh(0);
    for micros in [0, 1, 300, 5_000, 30_000] {
        let (start, timeout) = (Instant::now(), Duration::from_micros(micros));
        let outcome = semaphore.acquire_timeout(timeout).err().unwrap();
        assert_eq!(outcome.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= timeout);
    }
    assert_eq!(semaphore.value(), 0);
}

fn a_past_deadline_still_takes_what_is_there<B: Backend>() {
    let semaphore = B::fresh(1);
    drop(semaphore.acquire_timeout(Duration::ZERO).unwrap());
}

fn a_permit_returns_on_drop<B: Backend>() {
    let semaphore = B::fresh(1);
    for _ in 0..3 {
        let _permit = semaphore.try_acquire().unwrap();
    }
    assert_eq!(semaphore.value(), 1);
}

fn a_permit_returns_in_a_panic<B: Backend>() {
    let semaphore = B::fresh(1);
    let panicked = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let _permit = semaphore.acquire().unwrap();
        panic!("as announced");
    }));
    assert!(panicked.is_err());
    assert_eq!(semaphore.value(), 1);
}

/// Nor when the process ends.
fn a_forgotten_permit_does_not_return<B: Backend>() {
    let semaphore = B::fresh(3);
    semaphore.acquire().unwrap().forget();
    assert_eq!(semaphore.value(), 2);
    let child = fork_child(|| {
        semaphore.acquire().unwrap().forget();
        0
    });
    assert!(child.wait().success());
    assert_eq!(semaphore.value(), 1);
    semaphore.release(2).unwrap();
    assert_eq!(semaphore.value(), 3);
}

fn release_adds_many<B: Backend>() {
    let semaphore = B::fresh(0);
    semaphore.release(1).unwrap();
    semaphore.release(40).unwrap();
    assert_eq!(semaphore.value(), 41);
}

fn the_greatest_value<B: Backend>() {
    let semaphore = B::fresh(B::MAX - 2);
    let error = semaphore.release(3).unwrap_err();
    assert!(error.to_string().contains(&format!("counts to {}", B::MAX)), "{error}");
    assert_eq!(semaphore.value(), B::MAX - 2, "none was added");
    semaphore.release(2).unwrap();
    semaphore.release(1).unwrap_err();
    assert_eq!(semaphore.value(), B::MAX);
    drop(semaphore.acquire().unwrap());
    let error = B::create_new(&B::name(), B::MAX + 1).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

fn acquire_waits_for_a_release<B: Backend>() {
    let semaphore = B::fresh(0);
    let child = fork_child(|| semaphore.acquire().map_or(1, |_| 0));
    wait_asleep(child.id(), child.id());
    semaphore.release(1).unwrap();
    assert!(child.wait().success());
    assert_eq!(semaphore.value(), 1);
}

fn a_timed_acquire_gets_what_comes_meanwhile<B: Backend>() {
    let semaphore = B::fresh(0);
    let child = fork_child(|| semaphore.acquire_timeout(LONG).map_or(1, |_| 0));
    wait_asleep(child.id(), child.id());
    semaphore.release(1).unwrap();
    assert!(child.wait().success());
}

fn every_waiter_is_served<B: Backend>() {
    let semaphore = B::fresh(0);
    let waiters: Vec<_> = (0..4)
        .map(|n| {
            fork_child(|| {
                let permit =
                    if n < 2 { semaphore.acquire() } else { semaphore.acquire_timeout(LONG) };
                permit.unwrap().forget();
                0
            })
        })
        .collect();
    waiters.iter().for_each(|child| wait_asleep(child.id(), child.id()));
    semaphore.release(4).unwrap();
    assert!(waiters.into_iter().all(|child| child.wait().success()));
    assert_eq!(semaphore.value(), 0);
}

fn the_longest_waiter_is_served_first<B: Backend>() {
    let semaphore = B::fresh(0);
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let child = fork_child(|| {
                semaphore.acquire().unwrap().forget();
                0
            });
            wait_asleep(child.id(), child.id());
            child
        })
        .collect();
    for child in waiters {
        semaphore.release(1).unwrap();
        assert!(child.wait().success(), "this one and no other has the permit");
    }
}

/// A handler without `SA_RESTART`, which ends a system call with `EINTR`.
fn a_signal_does_not_end_a_wait<B: Backend>() {
    extern "C" fn handler(_: i32) {}

    let semaphore = B::fresh(0);
    let (there, timeout) = (Gate::new(), Duration::from_millis(300));
    let waiter = |timed: bool| {
        fork_child(|| {
            let action =
                SigAction::new(SigHandler::Handler(handler), SaFlags::empty(), SigSet::empty());
            // SAFETY: the handler does nothing.
            unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
            let start = Instant::now();
            there.open();
            if timed {
                let outcome = semaphore.acquire_timeout(timeout).err().unwrap();
                let early = start.elapsed() < timeout;
                return i32::from(outcome.kind() != ErrorKind::TimedOut || early);
            }
            semaphore.acquire().map_or(1, |_| 0)
        })
    };
    for timed in [true, false] {
        let child = waiter(timed);
        child.wait_at(&there);
        for _ in 0..10 {
            wait_asleep(child.id(), child.id());
            child.signal(Signal::SIGUSR1 as i32);
        }
        if !timed {
            semaphore.release(1).unwrap();
        }
        assert!(child.wait().success());
    }
}

/// Four processes, two permits: how many are inside is counted by a second semaphore.
fn no_more_than_the_permits_at_once<B: Backend>() {
    let (door, inside) = (B::fresh(2), B::fresh(0));
    let children: Vec<_> = (0..4)
        .map(|_| {
            fork_child(|| {
                for _ in 0..200 {
                    let _permit = door.acquire().unwrap();
                    inside.release(1).unwrap();
                    if inside.value() > 2 {
                        return 1;
                    }
                    inside.try_acquire().unwrap().forget();
                }
                0
            })
        })
        .collect();
    assert!(children.into_iter().all(|child| child.wait().success()));
    assert_eq!((door.value(), inside.value()), (2, 0));
}
