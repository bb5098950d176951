use std::{io, os::fd::BorrowedFd};

use super::{Kind, Mechanism, Mode};
use crate::{ByteRange, Holder, Request, Result, holder, sys};

/// `flock(2)`—Locks of whole files, held by the open file.
///
/// * Held by the *open file description*: a duplicate (`try_clone`, an inherited or passed descriptor) shares the lock, a
///   second `open` of the same path does not. It goes when one of them unlocks or when the last one is closed.
/// * So two threads exclude each other if each opens the file, and a forked child shares its parent's lock.
/// * Any access mode will do: a file opened for reading can be locked exclusively.
/// * Changing the mode gives the lock up first: another process can get in between ([`Guard::upgrade`](crate::Guard::upgrade)).
/// * On NFS the kernel makes it a [`Posix`](super::Posix) lock of all bytes; on local file systems the two ignore each other.
///
/// # Examples
///
/// ```
/// use mp_flock::Flock;
/// use std::io::Write;
///
/// let mut file = Flock::exclusive().lock(tempfile::tempfile()?)?;
/// file.write_all(b"nobody else writes meanwhile")?;
/// let file = file.unlock()?;
/// # drop(file);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias("LOCK_EX", "LOCK_SH", "LOCK_UN", "LOCK_NB"))]
pub struct Flock;

impl Flock {
    /// `flock(2)`, `LOCK_EX`—A request for the file alone.
    #[doc(alias = "LOCK_EX")]
    pub const fn exclusive() -> Request<Self> {
        Request::new(Mode::Exclusive)
    }

    /// `flock(2)`, `LOCK_SH`—A request for the file together with others who share it.
    #[doc(alias = "LOCK_SH")]
    pub const fn shared() -> Request<Self> {
        Request::new(Mode::Shared)
    }
}

impl Mechanism for Flock {
    const KIND: Kind = Kind::Flock;

    const CONVERTS_BY_RELEASING: bool = true;

    fn set(fd: BorrowedFd<'_>, mode: Option<Mode>, _: ByteRange, wait: bool) -> io::Result<()> {
        sys::flock(fd, mode, wait)
    }

    /// The kernel has no call for this; `/proc/locks` tells it, and `fdinfo` which of them is our own.
    fn conflict(fd: BorrowedFd<'_>, mode: Mode, _: ByteRange) -> Result<Option<Holder>> {
        let mut own = holder::held_by(fd)?;
        Ok(holder::holders(fd)?.into_iter().find(|holder| {
            // Another open file of this process looks the same: leave out only as many as are our own.
            if let Some(index) = own.iter().position(|lock| lock == holder) {
                own.swap_remove(index);
                return false;
            }
            let conflicts = mode == Mode::Exclusive || holder.mode() == Mode::Exclusive;
            holder.kind() == Kind::Flock && !holder.is_waiting() && conflicts
        }))
    }
}
