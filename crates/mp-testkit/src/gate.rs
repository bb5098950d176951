use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use mp_os::{
    Deadline,
    poll::{self, Interest},
};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// "I am there": one process opens the gate, another one (or a thread) waits for it, and nobody sleeps.
///
/// Made before the fork, it is shared with the child. It counts: each [`open`](Self::open) lets one wait pass.
///
/// # Examples
///
/// ```
/// use mp_testkit::Gate;
///
/// let gate = Gate::new();
/// std::thread::scope(|scope| {
///     scope.spawn(|| gate.open());
///     gate.wait();
/// });
/// assert!(!gate.wait_timeout(std::time::Duration::ZERO));
/// ```
#[derive(Debug)]
pub struct Gate(
    /// A semaphore: a read takes one.
    EventFd,
);

impl Gate {
    /// A closed gate.
    #[expect(clippy::new_without_default, reason = "it takes a descriptor from the system")]
    pub fn new() -> Self {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_SEMAPHORE | EfdFlags::EFD_NONBLOCK;
        Self(EventFd::from_flags(flags).expect("an event descriptor can be made"))
    }

    /// Lets one wait pass. May be called in a forked child and in a signal handler.
    pub fn open(&self) {
        self.0.write(1).expect("a gate can be opened");
    }

    /// Waits until the gate is open, for half a minute at most.
    ///
    /// To wait for a child that may die before it gets there, see [`Child::wait_at`](crate::Child::wait_at).
    #[track_caller]
    pub fn wait(&self) {
        assert!(self.wait_timeout(Duration::from_secs(30)), "nobody opened the gate in 30 s");
    }

    /// Waits until the gate is open: false when `timeout` has passed first.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let deadline = Deadline::after(timeout);
        loop {
            if self.0.read().is_ok() {
                return true;
            }
            if !poll::wait(self.as_fd(), Interest::Readable, deadline)
                .expect("a gate can be polled")
            {
                return false;
            }
        }
    }
}

impl AsFd for Gate {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
