use std::os::fd::{AsFd, OwnedFd};

use signal_hook::low_level::pipe;

use super::registration::Registration;
use crate::{Result, Signal, SignalSet};

/// A byte in your pipe or socket whenever one of its signals is delivered: the self-pipe trick.
///
/// To wake a loop that waits in `poll(2)` or `read(2)`. Where the pipe is full the byte is dropped: the reader is awake
/// then anyhow, so bytes are to be drained, not counted.
///
/// # Examples
///
/// ```
/// use mp_signal::{Signal, Target, handler::Wake, send};
/// use std::io::Read;
///
/// let (mut reader, writer) = std::io::pipe()?;
/// let _wake = Wake::register([Signal::WINCH], writer)?;
/// send(Target::this_thread(), Signal::WINCH)?;
/// reader.read_exact(&mut [0])?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias = "self-pipe")]
#[must_use = "dropped, it restores what the signals did before"]
pub struct Wake {
    _registrations: Vec<Registration>,
}

impl Wake {
    /// `sigaction(2)`—Writes a byte into `fd` for each delivery of one of `signals`; closes it when dropped.
    ///
    /// A pipe becomes nonblocking, for all who share its end. A datagram socket may get an empty message now.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput), before any call, for signals that
    /// [no handler can be registered for](crate::handler); `EMFILE` at the limit of descriptors.
    pub fn register(signals: impl Into<SignalSet>, fd: impl Into<OwnedFd>) -> Result<Self> {
        let fd = fd.into();
        let copy = || fd.as_fd().try_clone_to_owned();
        let register = |signal: Signal| pipe::register(signal.as_raw(), copy()?);
        Ok(Self { _registrations: Registration::each(signals.into(), register)? })
    }
}
