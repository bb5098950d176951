use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use mp_os::{
    Deadline,
    poll::{self, Interest},
};

use crate::{Error, Result, SignalInfo, SignalSet, TimeoutError, sys};

/// `signalfd(2)`—Signals as things to read, beside other descriptors in `poll(2)`, `epoll(7)` or tokio.
///
/// The signals must be blocked, or they take their default action before anybody reads: [`new`](Self::new) refuses those
/// that the calling thread does not block. Three traps, none of which the kernel reports:
///
/// * **The mask is inherited.** A forked child has the signals blocked, and so has a program that it executes, also by
///   [`Command`](std::process::Command): a `SIGTERM` sent there is never delivered. Give the command
///   [`reset_for_child`](crate::reset_for_child) as its `pre_exec`, and call it in a child that does not execute.
/// * **Every other thread must block them too**, or a signal to the process goes there: block in `main`, before threads.
/// * **It reads the signals of whoever reads**, not of its maker: a forked child that reads gets its own; a thread gets those
///   sent to it and to its process. `epoll` reports the signals of the process that *registered* the descriptor.
///
/// # Examples
///
/// ```
/// use mp_signal::{Block, Signal, SignalFd, Target, TryError, send};
///
/// let block = Block::new([Signal::USR1])?;
/// let signals = SignalFd::new(block.set())?;
/// assert!(matches!(signals.try_recv(), Err(TryError::WouldBlock)));
/// send(Target::this_thread(), Signal::USR1)?;
/// assert_eq!(signals.recv()?.signal(), Signal::USR1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[doc(alias = "signalfd")]
pub struct SignalFd(
    /// Nonblocking, so that a signal which another reader took is no hang.
    OwnedFd,
);

impl SignalFd {
    /// A descriptor, close-on-exec, from which the signals of `set` can be read.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput), before anything changed, where `set` has `SIGKILL` or `SIGSTOP`, or a
    /// signal that the calling thread does not [block](crate::Block); `EMFILE` at the limit of descriptors.
    pub fn new(set: impl Into<SignalSet>) -> Result<Self> {
        let set = set.into();
        check_blocked(set)?;
        sys::signalfd(set)
            .map(Self)
            .map_err(|error| Error::new("make", format!("a signalfd of {set}"), error))
    }

    /// Reads `set` from now on, instead of what it read before.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn set_signals(&self, set: impl Into<SignalSet>) -> Result<()> {
        let set = set.into();
        check_blocked(set)?;
        sys::signalfd_set(self.as_fd(), set)
            .map_err(|error| Error::new("change", format!("a signalfd to {set}"), error))
    }

    mp_os::family! {
        /// Takes the next signal, waiting for it.
        ///
        /// Those sent to the calling thread come before those sent to the process, and the lowest number first; those of one
        /// real-time signal in the order sent.
        ///
        /// # Errors
        ///
        /// What `read(2)` and `ppoll(2)` fail with.
        pub fn recv, try_recv, recv_timeout, recv_deadline(self: &Self) -> SignalInfo = recv_until;
    }

    fn recv_until(&self, deadline: Deadline) -> Result<SignalInfo, TimeoutError> {
        let read = |_| sys::signalfd_read(self.as_fd());
        poll::until(self.as_fd(), Interest::Readable, deadline, read)
            .map_err(|error| Error::new("read", "a signalfd", error))?
            .ok_or(TimeoutError::TimedOut)
    }
}

fn check_blocked(set: SignalSet) -> Result<()> {
    set.refuse_uncatchable("receive")?;
    let blocked = SignalSet::blocked()?;
    match set.iter().find(|&signal| !blocked.contains(signal)) {
        Some(signal) => {
            let reason = "this thread does not block it, so it would be delivered elsewhere";
            Err(Error::invalid_input("receive", signal.name(), reason)
                .with_hint("make a `Block` of the signals in `main`, before starting threads"))
        }
        None => Ok(()),
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for SignalFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl From<SignalFd> for OwnedFd {
    fn from(signals: SignalFd) -> Self {
        signals.0
    }
}
