use std::{
    io,
    marker::PhantomData,
    ops::RangeBounds,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use mp_os::{Deadline, poll::Pauses};
use nix::libc;

use crate::{
    Backend, ByteRange, Error, Failed, Guard, Holder, Kind, Mode, RangeBackend, Result,
    TimeoutError, TryError, describe,
};

/// Which lock: its kind, its mode and, for those of byte ranges, the bytes. The beginning of every use of this crate.
///
/// Made by [`Flock`](crate::Flock), [`Ofd`](crate::Ofd) and [`Posix`](crate::Posix). What it locks is anything with a
/// descriptor: a `File`, which comes back when the guard is unlocked, or a `&File`, of which several ranges can be locked.
///
/// # How the forms wait
///
/// [`lock`](Self::lock) waits in the kernel, in the order of arrival. The kernel has no call that waits until a deadline and
/// tells of no unlocking by any event, so the forms with one **look again** after 0.1, 0.2, 0.4 ms and so on up to every 10
/// ms. They find a lock at most 10 ms (and the scheduler's delay) after it became free, time out never early and as promptly
/// as a timer, and start no thread, process, timer or signal. Under steady contention those who wait in the kernel get it
/// first.
///
/// # Examples
///
/// ```
/// use mp_flock::{Flock, TimeoutError};
/// use std::time::Duration;
///
/// let file = tempfile::NamedTempFile::new()?;
/// let held = Flock::exclusive().lock(file.reopen()?)?;
/// let failed = Flock::shared().lock_timeout(file, Duration::from_millis(5)).unwrap_err();
/// assert!(matches!(failed.error, TimeoutError::TimedOut));
/// drop(held);
/// Flock::shared().try_lock(failed.value)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "it asks for a lock only when it is given a file"]
pub struct Request<B> {
    mode: Mode,
    range: ByteRange,
    kind: PhantomData<B>,
}

impl<B> Request<B> {
    pub(crate) const fn new(mode: Mode) -> Self {
        Self { mode, range: ByteRange::WHOLE_FILE, kind: PhantomData }
    }
}

impl<B: RangeBackend> Request<B> {
    /// The same lock, of the bytes of `range` only.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) as for [`ByteRange::new`].
    pub fn range(self, range: impl RangeBounds<u64>) -> Result<Self> {
        Ok(Self { range: ByteRange::new(range)?, ..self })
    }
}

impl<B: Backend> Request<B> {
    /// Takes the lock, waiting until those who hold it unlock it, close it or die.
    ///
    /// # Errors
    ///
    /// The file comes back. `EBADF` where it is not open for what the mode takes; `EDEADLK` from [`Posix`](crate::Posix) locks
    /// alone; `ENOLCK` where the kernel or the file server has no room for more locks.
    pub fn lock<F: AsFd>(self, file: F) -> Result<Guard<F, B>, Failed<F>> {
        Ok(self.lock_until(file, Deadline::never())?)
    }

    /// [`lock`](Self::lock) without waiting.
    ///
    /// # Errors
    ///
    /// The file comes back. [`WouldBlock`](TryError::WouldBlock) where it would have to wait; otherwise as there.
    pub fn try_lock<F: AsFd>(self, file: F) -> Result<Guard<F, B>, Failed<F, TryError>> {
        Ok(self.lock_until(file, Deadline::after(Duration::ZERO))?)
    }

    /// [`lock`](Self::lock) for at most `timeout`, [looking again](Self#how-the-forms-wait) every 10 ms.
    ///
    /// # Errors
    ///
    /// The file comes back. [`TimedOut`](TimeoutError::TimedOut) when `timeout` has passed first; otherwise as there.
    pub fn lock_timeout<F: AsFd>(
        self,
        file: F,
        timeout: Duration,
    ) -> Result<Guard<F, B>, Failed<F, TimeoutError>> {
        self.lock_until(file, Deadline::after(timeout))
    }

    /// [`lock`](Self::lock) until `deadline` at the latest, [looking again](Self#how-the-forms-wait) every 10 ms.
    ///
    /// # Errors
    ///
    /// The file comes back. [`TimedOut`](TimeoutError::TimedOut) when `deadline` has passed first; otherwise as there.
    pub fn lock_deadline<F: AsFd>(
        self,
        file: F,
        deadline: Instant,
    ) -> Result<Guard<F, B>, Failed<F, TimeoutError>> {
        self.lock_until(file, Deadline::at(deadline))
    }

    fn lock_until<F: AsFd>(
        self,
        file: F,
        deadline: Deadline,
    ) -> Result<Guard<F, B>, Failed<F, TimeoutError>> {
        match acquire::<B>(file.as_fd(), self.mode, self.range, deadline) {
            Ok(()) => Ok(Guard::new(file, self.mode, self.range)),
            Err(error) => Err(Failed::new(file, error)),
        }
    }

    /// `fcntl(2)`, `F_GETLK`, `F_OFD_GETLK`—A lock that is in the way of this one; `None` where it could be taken now.
    ///
    /// By the time you look at it, it may be gone. For [`Flock`](crate::Flock), where the kernel has no such call, it is read
    /// from `/proc/locks`.
    ///
    /// # Errors
    ///
    /// `EBADF` and the like; for [`Flock`](crate::Flock), what reading `/proc` fails with.
    #[doc(alias("F_GETLK", "F_OFD_GETLK"))]
    pub fn holder(self, file: impl AsFd) -> Result<Option<Holder>> {
        B::conflict(file.as_fd(), self.mode, self.range)
    }
}

/// The longest pause between two attempts of a wait with a deadline.
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

/// The pause after the first attempt; each one after is twice as long.
const FIRST_PAUSE: Duration = Duration::from_micros(100);

/// Takes the lock: in the kernel where it may take for ever, by trying again where there is a deadline.
#[inline]
pub(crate) fn acquire<B: Backend>(
    fd: BorrowedFd<'_>,
    mode: Mode,
    range: ByteRange,
    deadline: Deadline,
) -> Result<(), TimeoutError> {
    let failed = |error| explain::<B>(fd, mode, range, error);
    if deadline.is_never() {
        return Ok(mp_os::retry(|| B::set(fd, Some(mode), range, true)).map_err(failed)?);
    }
    let mut pauses = Pauses::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        // Asked before the attempt, so that the last one is made when the deadline has passed.
        let is_last = deadline.is_past();
        match mp_os::retry(|| B::set(fd, Some(mode), range, false)) {
            Err(error) if is_busy(&error) && is_last => return Err(TimeoutError::TimedOut),
            Err(error) if is_busy(&error) => {}
            result => return Ok(result.map_err(failed)?),
        }
        pauses.pause(deadline).map_err(failed)?;
    }
}

/// `EWOULDBLOCK` of `flock(2)`, `EAGAIN` or, on some file systems, `EACCES` of `fcntl(2)`.
fn is_busy(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES))
}

#[cold]
fn explain<B: Backend>(
    fd: BorrowedFd<'_>,
    mode: Mode,
    range: ByteRange,
    error: io::Error,
) -> Error {
    let errno = error.raw_os_error();
    let object = match B::KIND {
        Kind::Flock => describe(fd),
        Kind::Posix | Kind::Ofd => format!("{range} of {}", describe(fd)),
    };
    let error = Error::new("lock", object, error);
    match (errno, mode) {
        (Some(libc::EBADF), Mode::Exclusive) => {
            error.with_hint("an exclusive lock takes a file opened for writing")
        }
        (Some(libc::EBADF), Mode::Shared) => {
            error.with_hint("a shared lock takes a file opened for reading")
        }
        (Some(libc::EDEADLK), _) => {
            error.with_hint("the holder waits for a lock of this process: unlock it first")
        }
        (Some(libc::ENOLCK), _) => {
            error.with_hint("the kernel or the file server has no room for more locks")
        }
        _ => error,
    }
}
