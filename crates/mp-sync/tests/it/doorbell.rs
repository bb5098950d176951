use std::{
    sync::atomic::Ordering::{Acquire, Relaxed, Release},
    time::{Duration, Instant},
};

use mp_sync::Deadline;
use mp_testkit::{Gate, fork_child, isolated};
use nix::{
    libc,
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
};

use crate::shared::Shared;

/// Waits until the number is `value`.
fn wait_for(shared: &Shared, value: u32, deadline: Deadline) -> bool {
    let reached = || (shared.number().load(Acquire) >= value).then_some(());
    shared.bell().wait_for(deadline, reached).unwrap().is_some()
}

#[test]
fn smoke() {
    let shared = Shared::new();
    assert!(!wait_for(&shared, 1, Deadline::after(Duration::ZERO)));
    shared.number().store(1, Release);
    shared.bell().ring();
    assert!(wait_for(&shared, 1, Deadline::never()));
}

#[test]
fn nobody_asleep_costs_nothing() {
    let shared = Shared::new();
    let before = format!("{:?}", shared.bell());
    for _ in 0..10 {
        shared.bell().ring();
        shared.bell().ring_all();
    }
    assert_eq!(format!("{:?}", shared.bell()), before);
    // The mark of a sleeper that never slept is taken away by one ring.
    let _ = shared.bell().listen();
    shared.bell().ring();
    let after = format!("{:?}", shared.bell());
    assert_ne!(after, before);
    shared.bell().ring();
    assert_eq!(format!("{:?}", shared.bell()), after);
}

#[test]
fn a_ring_between_listening_and_sleeping_is_heard() {
    let shared = Shared::new();
    let listener = shared.bell().listen();
    shared.bell().ring();
    assert!(listener.wait(Deadline::never()).unwrap());
}

#[test]
fn conversation() {
    isolated(|| {
        let shared = Shared::new();
        let child = fork_child(|| {
            for round in 0..500 {
                assert!(wait_for(&shared, 2 * round + 1, Deadline::never()));
                shared.number().fetch_add(1, Release);
                shared.bell().ring_all();
            }
            0
        });
        for round in 0..500 {
            shared.number().fetch_add(1, Release);
            shared.bell().ring_all();
            assert!(wait_for(&shared, 2 * round + 2, Deadline::never()));
        }
        assert!(child.wait().success());
    });
}

#[test]
fn ring_all_wakes_all() {
    isolated(|| {
        let shared = Shared::new();
        let ready = Gate::new();
        let children = [0; 4].map(|_| {
            fork_child(|| {
                ready.open();
                i32::from(!wait_for(&shared, 1, Deadline::never()))
            })
        });
        children.iter().for_each(|child| child.wait_at(&ready));
        shared.number().store(1, Release);
        shared.bell().ring_all();
        assert!(children.map(|child| child.wait().success()).iter().all(|&ok| ok));
    });
}

/// One ring wakes one of two, which dies before it has done anything: the other wakes by itself.
#[test]
fn woken_waiter_dies() {
    isolated(|| {
        let shared = Shared::new();
        let ready = Gate::new();
        let waiter = || {
            fork_child(|| {
                ready.open();
                i32::from(!wait_for(&shared, 1, Deadline::never()))
            })
        };
        let (first, second) = (waiter(), waiter());
        first.wait_at(&ready);
        second.wait_at(&ready);
        first.signal(libc::SIGSTOP);
        shared.number().store(1, Release);
        shared.bell().ring();
        assert!(second.wait().success());
        first.kill();
    });
}

#[test]
fn deadlines_are_never_early() {
    let shared = Shared::new();
    for timeout in [0, 1, 24, 25, 26, 80].map(Duration::from_millis) {
        let start = Instant::now();
        assert!(!wait_for(&shared, 1, Deadline::after(timeout)));
        assert!(start.elapsed() >= timeout);
    }
}

extern "C" fn ignore(_: i32) {}

/// A signal handler without `SA_RESTART` interrupts every sleep.
#[test]
fn signals_interrupt_nothing() {
    isolated(|| {
        let shared = Shared::new();
        let started = Gate::new();
        let action = SigAction::new(SigHandler::Handler(ignore), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler does nothing.
        unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
        let child = fork_child(|| {
            started.open();
            let start = Instant::now();
            let waited = wait_for(&shared, 1, Deadline::after(Duration::from_millis(200)));
            let early = start.elapsed() < Duration::from_millis(200);
            let locked = shared.lock().lock_timeout(Duration::from_millis(200)).is_ok();
            i32::from(waited || early || locked)
        });
        let _guard = shared.lock().lock().unwrap();
        child.wait_at(&started);
        let mut signals = 0;
        let status = loop {
            child.signal(libc::SIGUSR1);
            signals += 1;
            if shared.bell().listen().wait(Deadline::after(Duration::from_millis(1))).unwrap() {
                panic!("nobody rings");
            }
            if child.pidfd().is_none_or(|pidfd| {
                use std::os::fd::AsFd;
                let now = Deadline::after(Duration::ZERO);
                mp_os::poll::wait(pidfd.as_fd(), mp_os::poll::Interest::Readable, now).unwrap()
            }) {
                break child.wait();
            }
        };
        assert_eq!(status.code(), Some(0), "after {signals} signals");
        assert_eq!(shared.number().load(Relaxed), 0);
    });
}
