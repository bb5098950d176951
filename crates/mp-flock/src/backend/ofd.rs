use std::{io, os::fd::BorrowedFd};

use nix::fcntl::FcntlArg::{F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW};

use super::{Kind, Mechanism, Mode, RangeBackend};
use crate::{ByteRange, Holder, Request, Result, record};

/// `fcntl(2)`, `F_OFD_SETLK`—Locks of byte ranges, held by the open file: what to use for new programs.
///
/// * Held by the *open file description*, as with [`Flock`](super::Flock): duplicates and forked children share it, a second
///   `open` does not, and closing some other descriptor of the file does nothing to it. Threads that each open the file
///   exclude each other.
/// * An exclusive lock takes a file opened for writing, a shared one a file opened for reading.
/// * Changing the mode is atomic. **The kernel detects no deadlock**: two holders of shared locks who both wait to upgrade
///   wait for ever, so upgrade with a deadline.
/// * Conflicts with [`Posix`](super::Posix) locks, also those of the same process.
///
/// # Examples
///
/// ```
/// use mp_flock::Ofd;
///
/// let file = tempfile::NamedTempFile::new()?;
/// let (mine, yours) = (file.reopen()?, file.reopen()?);
/// let first_half = Ofd::exclusive().range(0..512)?.lock(&mine)?;
/// let second_half = Ofd::exclusive().range(512..)?.lock(&yours)?;
/// assert!(Ofd::shared().range(500..520)?.try_lock(&yours).is_err());
/// # drop((first_half, second_half));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias("F_OFD_SETLK", "F_OFD_SETLKW", "F_OFD_GETLK"))]
pub struct Ofd;

impl Ofd {
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

impl RangeBackend for Ofd {}

impl Mechanism for Ofd {
    const KIND: Kind = Kind::Ofd;

    const CONVERTS_BY_RELEASING: bool = false;

    fn set(fd: BorrowedFd<'_>, mode: Option<Mode>, range: ByteRange, wait: bool) -> io::Result<()> {
        let lock = record::encode(mode, range);
        let argument = if wait { F_OFD_SETLKW(&lock) } else { F_OFD_SETLK(&lock) };
        record::call(fd, argument)
    }

    fn conflict(fd: BorrowedFd<'_>, mode: Mode, range: ByteRange) -> Result<Option<Holder>> {
        let mut lock = record::encode(Some(mode), range);
        record::ask(fd, F_OFD_GETLK(&mut lock))?;
        Ok(record::decode(&lock))
    }
}
