//! What the kernel says about signals that nobody sent with `kill`. In a forked child, which has one thread.

use std::mem;

use mp_signal::{Block, Cause, Signal, SignalFd, SignalInfo, SignalSet};
use mp_testkit::{fork_child, isolated};
use nix::libc;

/// Has `body` look at the next of `signals`, once by each way that keeps what the kernel says.
fn receive(signal: Signal, provoke: impl Fn(), check: impl Fn(SignalInfo)) {
    let child = fork_child(|| {
        let block = Block::new(signal).unwrap();
        provoke();
        check(block.wait().unwrap());
        let signals = SignalFd::new(signal).unwrap();
        provoke();
        check(signals.recv().unwrap());
        0
    });
    assert!(child.wait().success());
}

#[test]
fn a_childs_end() {
    isolated(|| {
        let provoke = || assert_eq!(fork_child(|| 7).wait().code(), Some(7));
        receive(Signal::CHLD, provoke, |info| {
            assert_eq!((info.cause(), info.child_status()), (Cause::Child, Some(7)));
            assert!(info.pid().is_some_and(|pid| pid != std::process::id()));
            assert_eq!(info.value(), None);
        });
    });
}

#[test]
fn an_alarm_of_the_kernel() {
    isolated(|| {
        let provoke = || {
            let mut soon: libc::itimerval = libc::itimerval {
                it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 },
                it_value: libc::timeval { tv_sec: 0, tv_usec: 1 },
            };
            // SAFETY: `soon` is valid for reads.
            let set =
                unsafe { libc::setitimer(libc::ITIMER_REAL, &raw mut soon, std::ptr::null_mut()) };
            assert_eq!(set, 0);
        };
        receive(Signal::ALRM, provoke, |info| {
            assert_eq!((info.cause(), info.pid(), info.value()), (Cause::Kernel, None, None));
        });
    });
}

#[test]
fn a_posix_timer_has_a_value_but_no_sender() {
    isolated(|| {
        let signal = Signal::rt(6).unwrap();
        let provoke = || {
            // SAFETY: all zeroes is a valid `sigevent`.
            let mut event: libc::sigevent = unsafe { mem::zeroed() };
            event.sigev_notify = libc::SIGEV_SIGNAL;
            event.sigev_signo = signal.as_raw();
            event.sigev_value.sival_ptr = std::ptr::without_provenance_mut(4711);
            let mut timer = std::ptr::null_mut();
            let clock = libc::CLOCK_MONOTONIC;
            // SAFETY: both are valid, for reads and for writes.
            let made = unsafe { libc::timer_create(clock, &raw mut event, &raw mut timer) };
            assert_eq!(made, 0);
            let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            let soon = libc::itimerspec {
                it_interval: zero,
                it_value: libc::timespec { tv_sec: 0, tv_nsec: 1 },
            };
            // SAFETY: the timer exists, `soon` is valid for reads. It goes with the process.
            let set =
                unsafe { libc::timer_settime(timer, 0, &raw const soon, std::ptr::null_mut()) };
            assert_eq!(set, 0);
        };
        receive(signal, provoke, |info| {
            assert_eq!((info.cause(), info.pid()), (Cause::Timer, None));
            assert_eq!(info.value().unwrap().as_usize(), 4711);
        });
    });
}

#[test]
fn pending_signals_are_listed() {
    isolated(|| {
        let block = Block::new([Signal::USR1, Signal::USR2]).unwrap();
        mp_signal::send(mp_signal::Target::this_thread(), Signal::USR2).unwrap();
        assert_eq!(SignalSet::pending().unwrap(), Signal::USR2.into());
        assert_eq!(block.wait().unwrap().signal(), Signal::USR2);
        assert!(SignalSet::pending().unwrap().is_empty());
    });
}
