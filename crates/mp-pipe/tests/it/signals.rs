//! Signals: a broken pipe raises none, and those that arrive do not end a wait.

#![allow(unsafe_code, reason = "a signal handler is installed")]

use std::{
    io::ErrorKind,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use mp_pipe::{TimeoutError, TryError};
use mp_testkit::{Gate, fork_child, wait_asleep};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::{Backend, for_every_backend};

for_every_backend! { sigpipe_is_never_raised, interrupted_waits_go_on }

/// In a child whose `SIGPIPE` has its default action, which a Rust program has not, every form returns the error.
fn sigpipe_is_never_raised(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    drop(reader);
    let (source, into) = mp_pipe::pipe().unwrap();
    into.write(b"x").unwrap();
    let child = fork_child(|| {
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: the default action runs no code.
        unsafe { sigaction(Signal::SIGPIPE, &default) }.unwrap();
        assert_eq!(writer.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        let Err(TryError::Os(error)) = writer.try_write(b"x") else { panic!() };
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        let Err(TimeoutError::Os(error)) = writer.write_message_timeout(b"x", Duration::MAX) else {
            panic!()
        };
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        let error = source.splice_to(&writer, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        7
    });
    assert_eq!(child.wait().code(), Some(7));
}

static HANDLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn handle(_: i32) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// A handler without `SA_RESTART` interrupts every system call; neither is a wait ended nor made longer.
fn interrupted_waits_go_on(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let action = SigAction::new(SigHandler::Handler(handle), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does one atomic operation.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
    let me = std::process::id();
    let timed_out = Gate::new();
    let child = fork_child(|| {
        let mut more = 20;
        while more > 0 {
            more -= u32::from(timed_out.wait_timeout(Duration::ZERO) || more < 20);
            wait_asleep(me, me);
            let us = nix::unistd::Pid::from_raw(me as i32);
            nix::sys::signal::kill(us, Signal::SIGUSR1).unwrap();
        }
        writer.write(b"x").unwrap();
        0
    });
    while HANDLED.load(Ordering::Relaxed) < 20 {
        let timeout = Duration::from_millis(5);
        let start = Instant::now();
        assert!(matches!(reader.read_timeout(&mut [0; 4], timeout), Err(TimeoutError::TimedOut)));
        assert!(start.elapsed() >= timeout);
    }
    timed_out.open();
    assert_eq!(reader.read(&mut [0; 4]).unwrap(), 1);
    assert!(child.wait().success());
}
