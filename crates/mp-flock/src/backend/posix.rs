use std::{io, os::fd::BorrowedFd};

use nix::fcntl::FcntlArg::{F_GETLK, F_SETLK, F_SETLKW};

use super::{Kind, Mechanism, Mode, RangeBackend};
use crate::{ByteRange, Holder, Request, Result, record};

/// `fcntl(2)`, `F_SETLK`—Locks of byte ranges, held by the process: to talk with programs that use these.
///
/// * Held by the *process*. Threads do not exclude each other, and asking again for bytes that the process has already
///   just changes their mode. A forked child has none of them.
/// * **Closing any descriptor of the file drops them all**, also one that a library opened and closed to read the file.
///   Nothing tells. [`Ofd`](super::Ofd) locks have no such trap.
/// * An exclusive lock takes a file opened for writing, a shared one a file opened for reading.
/// * Changing the mode is atomic. A wait that would close a circle of waiting processes fails with `EDEADLK`, one with a
///   deadline runs into it instead.
/// * The kernel tells who holds a conflicting one, by process.
///
/// # Examples
///
/// ```
/// use mp_flock::Posix;
///
/// let file = tempfile::tempfile()?;
/// let record = Posix::exclusive().range(128..256)?.lock(&file)?;
/// assert!(Posix::exclusive().range(128..256)?.holder(&file)?.is_none(), "our own is no obstacle");
/// record.unlock()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias("F_SETLK", "F_SETLKW", "F_GETLK", "lockf"))]
pub struct Posix;

impl Posix {
    /// `F_WRLCK`—A request for all bytes alone; [`range`](Request::range) narrows it.
    #[doc(alias = "F_WRLCK")]
    pub const fn exclusive() -> Request<Self> {
        Request::new(Mode::Exclusive)
    }

    /// `F_RDLCK`—A request for all bytes together with others who share them; [`range`](Request::range) narrows it.
    #[doc(alias = "F_RDLCK")]
    pub const fn shared() -> Request<Self> {
        Request::new(Mode::Shared)
    }
}

impl RangeBackend for Posix {}

impl Mechanism for Posix {
    const KIND: Kind = Kind::Posix;

    const CONVERTS_BY_RELEASING: bool = false;

    fn set(fd: BorrowedFd<'_>, mode: Option<Mode>, range: ByteRange, wait: bool) -> io::Result<()> {
        let lock = record::encode(mode, range);
        record::call(fd, if wait { F_SETLKW(&lock) } else { F_SETLK(&lock) })
    }

    fn conflict(fd: BorrowedFd<'_>, mode: Mode, range: ByteRange) -> Result<Option<Holder>> {
        let mut lock = record::encode(Some(mode), range);
        record::ask(fd, F_GETLK(&mut lock))?;
        Ok(record::decode(&lock))
    }
}
