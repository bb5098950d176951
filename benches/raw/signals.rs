//! A signal that is sent and taken.

use std::process;

use criterion::Criterion;
use mp_benches::raw;
use mp_signal::{Block, Signal, SignalFd, Target};
use nix::libc;

use super::compare;

pub(crate) fn signal() -> Signal {
    Signal::rt(3).expect("there are thirty of them")
}

pub(crate) fn signals(criterion: &mut Criterion) {
    let signal = signal();
    let blocked = Block::new(signal).expect("it may be blocked");
    let process = process::id();
    let target = Target::Process(process);
    compare(
        criterion,
        "raw-signal-wait",
        || {
            mp_signal::queue(target, signal, 7).unwrap();
            assert_eq!(blocked.wait().unwrap().signal(), signal);
        },
        || {
            raw::signal(process, signal.as_raw());
            raw::take_signal(signal.as_raw());
        },
    );
    let descriptor = SignalFd::new(signal).expect("it is blocked");
    let mut raw = [0; size_of::<libc::signalfd_siginfo>()];
    compare(
        criterion,
        "raw-signal-fd",
        || {
            mp_signal::queue(target, signal, 7).unwrap();
            assert_eq!(descriptor.recv().unwrap().signal(), signal);
        },
        || {
            raw::signal(process, signal.as_raw());
            assert_eq!(raw::read(&descriptor, &mut raw), raw.len() as isize);
        },
    );
}
