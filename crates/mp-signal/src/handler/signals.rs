use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use mp_os::{
    Deadline,
    poll::{self, Interest},
};

use super::registration::Registration;
use crate::{Error, Result, Signal, SignalInfo, SignalSet, TimeoutError, sys};

/// Signals one after another, caught by a handler: who sent them, why, with which value.
///
/// Works whatever other threads and libraries do with their masks, and in any thread; that is its advantage over
/// [`SignalFd`](crate::SignalFd). Its order is that in which handlers ran: signals of one number sent to one thread come in the
/// order sent, but handlers of *different* numbers nest, so of several pending ones the last starts first, and threads
/// run handlers side by side. Where order matters, use [`SignalFd`](crate::SignalFd) or [`Block::wait`](crate::Block::wait).
///
/// Its pipe has room for about 2700 signals. Where nobody reads, further ones are told once for each signal, as
/// [`Cause::Lost`](crate::Cause::Lost).
///
/// # Examples
///
/// ```
/// use mp_signal::{Signal, Target, handler::Signals, send};
///
/// let signals = Signals::register([Signal::HUP, Signal::TERM])?;
/// send(Target::this_thread(), Signal::HUP)?;
/// let info = signals.recv()?;
/// assert_eq!((info.signal(), info.pid()), (Signal::HUP, Some(std::process::id())));
/// # Ok::<(), mp_signal::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "dropped, it restores what the signals did before"]
pub struct Signals {
    // Dropped first, so that no handler writes into a pipe without a reader.
    _registrations: Vec<Registration>,
    reader: OwnedFd,
    inbox: Arc<Inbox>,
}

/// The handlers' side.
#[derive(Debug)]
pub(crate) struct Inbox {
    writer: OwnedFd,
    /// The signals that found the pipe full, as the bits of a [`SignalSet`].
    lost: AtomicU64,
    /// The process whose signals these are: a forked child has the handler and the pipe, too.
    process: u32,
}

impl Inbox {
    /// Async-signal-safe: system calls and atomics.
    pub(crate) fn deliver(&self, info: SignalInfo) {
        if sys::process_id() != self.process {
            return;
        }
        // A record is shorter than PIPE_BUF, so it is written whole or not at all.
        let record = info.to_bytes();
        if sys::write(self.writer.as_fd(), &record).is_ok() {
            return;
        }
        let bit = bit(info.signal());
        self.lost.fetch_or(bit, Ordering::SeqCst);
        // A reader may have emptied the pipe before it could see the bit, and sleep now. So try again: if the pipe is full
        // still, the reader is yet to come and sees the bit; if not, the record wakes it.
        if sys::write(self.writer.as_fd(), &record).is_ok() {
            self.lost.fetch_and(!bit, Ordering::SeqCst);
        }
    }

    fn take_lost(&self) -> Option<Signal> {
        let lost = self.lost.load(Ordering::SeqCst);
        let signal = Signal::all().find(|&signal| lost & bit(signal) != 0)?;
        (self.lost.fetch_and(!bit(signal), Ordering::SeqCst) & bit(signal) != 0).then_some(signal)
    }
}

fn bit(signal: Signal) -> u64 {
    SignalSet::from(signal).bits()
}

impl Signals {
    /// `sigaction(2)`—Catches `signals` from now on.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput), before any call, for signals that
    /// [no handler can be registered for](crate::handler); `EMFILE` at the limit of descriptors.
    pub fn register(signals: impl Into<SignalSet>) -> Result<Self> {
        let (reader, writer) = sys::nonblocking_pipe()
            .map_err(|error| Error::new("make", "a pipe for signals", error))?;
        let inbox = Inbox { writer, lost: AtomicU64::new(0), process: std::process::id() };
        let inbox = Arc::new(inbox);
        let registrations = Registration::each(signals.into(), |signal| {
            sys::register_inbox(signal, Arc::clone(&inbox))
        })?;
        Ok(Self { _registrations: registrations, reader, inbox })
    }

    mp_os::family! {
        /// Takes the next signal, waiting for it.
        ///
        /// # Errors
        ///
        /// What `read(2)` and `ppoll(2)` fail with.
        pub fn recv, try_recv, recv_timeout, recv_deadline(self: &Self) -> SignalInfo = recv_until;
    }

    fn recv_until(&self, deadline: Deadline) -> Result<SignalInfo, TimeoutError> {
        let take = |_| {
            // Before the pipe: it was full when something was lost, so whoever polls comes back until it is told.
            if let Some(signal) = self.inbox.take_lost() {
                return Ok(Ok(SignalInfo::lost(signal)));
            }
            let mut record = [0; SignalInfo::LEN];
            sys::read(self.reader.as_fd(), &mut record)?;
            Ok(SignalInfo::from_bytes(record))
        };
        let info = poll::until(self.as_fd(), Interest::Readable, deadline, take)
            .map_err(|error| Error::new("read", "caught signals", error))?
            .ok_or(TimeoutError::TimedOut)?;
        Ok(info?)
    }
}

/// Readable while there is a signal to take.
impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.reader.as_raw_fd()
    }
}
