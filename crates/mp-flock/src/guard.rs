use std::{
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    os::fd::{AsFd, BorrowedFd},
};

use mp_os::{Deadline, process_id};

use crate::{
    Backend, ByteRange, Error, Failed, Mode, Result, TimeoutError, TryError, describe,
    request::acquire, sys,
};

/// A lock that is held, and the file it is on, which it gives back when it is [unlocked](Self::unlock).
///
/// Dereferences to the file. Dropped, it unlocks, but only in the process that took it: where a forked child drops its
/// copy, the parent's lock stays. Byte ranges unlock what the guard locked, also where another guard of the same owner
/// overlaps: to the kernel, an owner has each byte once.
///
/// # Examples
///
/// ```
/// use mp_flock::{Flock, Mode};
///
/// let mut lock = Flock::shared().lock(tempfile::tempfile()?)?;
/// lock = lock.upgrade()?;
/// assert_eq!(lock.mode(), Mode::Exclusive);
/// assert_eq!(lock.metadata()?.len(), 0); // a method of the file
/// let file = lock.unlock()?;
/// # drop(file);
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "dropped, it unlocks the file"]
pub struct Guard<F: AsFd, B: Backend> {
    pub(crate) file: F,
    mode: Mode,
    range: ByteRange,
    /// Who took the lock; a forked child has a copy of this guard, but must not unlock.
    process: u32,
    kind: PhantomData<B>,
}

/// What is left where a guard could not be upgraded.
///
/// # Examples
///
/// ```
/// use mp_flock::{Ofd, Remains};
///
/// let file = tempfile::NamedTempFile::new()?;
/// let mine = Ofd::shared().lock(file.reopen()?)?;
/// let theirs = Ofd::shared().lock(file.reopen()?)?;
/// let failed = mine.try_upgrade().unwrap_err();
/// let Remains::Shared(mine) = failed.value else { unreachable!("an OFD lock is never lost") };
/// drop(theirs);
/// let mine = mine.try_upgrade()?;
/// # drop(mine);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub enum Remains<F: AsFd, B: Backend> {
    /// The shared lock.
    ///
    /// Of an [`Flock`](crate::Flock) it was given up meanwhile and taken again: what was read under it may have changed.
    Shared(Guard<F, B>),
    /// The file only: another process locked it, meanwhile, exclusively. Of an [`Flock`](crate::Flock) alone.
    Nothing(F),
}

impl<F: AsFd, B: Backend> Guard<F, B> {
    pub(crate) fn new(file: F, mode: Mode, range: ByteRange) -> Self {
        Self { file, mode, range, process: process_id(), kind: PhantomData }
    }

    /// How it is held.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Which bytes it locks.
    pub fn range(&self) -> ByteRange {
        self.range
    }

    /// `LOCK_UN`, `F_UNLCK`—Unlocks and gives the file back.
    ///
    /// # Errors
    ///
    /// The file comes back too. None that is known on local file systems.
    #[doc(alias("LOCK_UN", "F_UNLCK"))]
    pub fn unlock(self) -> Result<F, Failed<F>> {
        match release::<B>(self.file.as_fd(), self.range) {
            Ok(()) => Ok(self.into_locked()),
            Err(error) => Err(Failed::new(self.into_locked(), error)),
        }
    }

    /// The file, still locked: until it is closed everywhere, or for a [`Posix`](crate::Posix) lock, anywhere in this process.
    ///
    /// To hand a [`Flock`](crate::Flock) or [`Ofd`](crate::Ofd) lock over to a child that inherits the descriptor.
    pub fn into_locked(self) -> F {
        sys::into_file(self)
    }

    mp_os::family! {
        fails with (Failed<Remains<F, B>>, Failed<Remains<F, B>, TryError>, Failed<Remains<F, B>, TimeoutError>):
        /// `LOCK_EX`, `F_WRLCK`—Makes a shared lock exclusive, waiting until the others who share it are gone.
        ///
        /// [`Ofd`](crate::Ofd) and [`Posix`](crate::Posix) locks stay shared while they wait: nobody else writes in between. Two
        /// who wait like this wait for each other, though: `Posix` answers `EDEADLK` to the second, `Ofd` nothing, so use a
        /// deadline. An [`Flock`](crate::Flock) is **given up first**: others may write before it is exclusive, so look at
        /// the file again.
        ///
        /// # Errors
        ///
        /// What is [left](Remains) comes back; otherwise as for [`Request::lock`](crate::Request::lock).
        pub fn upgrade, try_upgrade, upgrade_timeout, upgrade_deadline(self: Self) -> Self = upgrade_until;
    }

    fn upgrade_until(
        mut self,
        deadline: Deadline,
    ) -> Result<Self, Failed<Remains<F, B>, TimeoutError>> {
        match acquire::<B>(self.file.as_fd(), Mode::Exclusive, self.range, deadline) {
            Ok(()) => {
                self.mode = Mode::Exclusive;
                Ok(self)
            }
            Err(error) => Err(Failed::new(self.after_failed_upgrade(), error)),
        }
    }

    /// Takes the shared lock again, where the attempt has given it up.
    fn after_failed_upgrade(self) -> Remains<F, B> {
        if !B::CONVERTS_BY_RELEASING || self.mode == Mode::Exclusive {
            return Remains::Shared(self);
        }
        let at_once = Deadline::after(std::time::Duration::ZERO);
        match acquire::<B>(self.file.as_fd(), Mode::Shared, self.range, at_once) {
            Ok(()) => Remains::Shared(self),
            Err(_) => Remains::Nothing(self.into_locked()),
        }
    }

    /// `LOCK_SH`, `F_RDLCK`—Lets others share an exclusive lock. Does not wait.
    ///
    /// Nobody writes in between: the conversion is atomic for [`Ofd`](crate::Ofd) and [`Posix`](crate::Posix). `flock(2)` does not
    /// promise it, but Linux does not let go of its list of locks meanwhile.
    ///
    /// # Errors
    ///
    /// None that is known on local file systems. The lock is exclusive still.
    pub fn downgrade(&mut self) -> Result<()> {
        let fd = self.file.as_fd();
        mp_os::retry(|| B::set(fd, Some(Mode::Shared), self.range, false))
            .map_err(|error| Error::new("downgrade the lock of", describe(fd), error))?;
        self.mode = Mode::Shared;
        Ok(())
    }
}

fn release<B: Backend>(fd: BorrowedFd<'_>, range: ByteRange) -> Result<()> {
    mp_os::retry(|| B::set(fd, None, range, false))
        .map_err(|error| Error::new("unlock", describe(fd), error))
}

impl<F: AsFd, B: Backend> Drop for Guard<F, B> {
    fn drop(&mut self) {
        if process_id() == self.process {
            // On a local file system it cannot fail, and whoever wants to know calls `unlock`.
            let _ = release::<B>(self.file.as_fd(), self.range);
        }
    }
}

impl<F: AsFd, B: Backend> Deref for Guard<F, B> {
    type Target = F;

    fn deref(&self) -> &F {
        &self.file
    }
}

impl<F: AsFd, B: Backend> DerefMut for Guard<F, B> {
    fn deref_mut(&mut self) -> &mut F {
        &mut self.file
    }
}

impl<F: AsFd, B: Backend> AsFd for Guard<F, B> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl<F: AsFd + fmt::Debug, B: Backend> fmt::Debug for Guard<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("kind", &B::KIND)
            .field("mode", &self.mode)
            .field("range", &self.range)
            .field("file", &self.file)
            .finish()
    }
}
