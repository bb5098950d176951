use std::time::{Duration, SystemTime};

use mp_os::{
    Error,
    sysv::{Permissions, WaitError},
};
use nix::libc;

use super::{
    MAX_VALUE, SemaphoreSet,
    sys::{self, Query},
};

/// Who may use a set and when it was used last: `struct semid_ds`.
#[doc(alias = "semid_ds")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stat {
    /// Who owns it and who may use it.
    pub permissions: Permissions,
    /// How many semaphores it has.
    pub len: usize,
    /// When the last operation succeeded, to a second. `None`: the creator has not initialised the set yet.
    pub operated_at: Option<SystemTime>,
    /// When it was created or changed, to a second.
    pub changed_at: Option<SystemTime>,
}

impl From<libc::semid_ds> for Stat {
    fn from(raw: libc::semid_ds) -> Self {
        let time = |seconds: libc::time_t| {
            let since = Duration::from_secs(u64::try_from(seconds).ok().filter(|&s| s > 0)?);
            SystemTime::UNIX_EPOCH.checked_add(since)
        };
        Self {
            permissions: Permissions::from(&raw.sem_perm),
            len: raw.sem_nsems as usize,
            operated_at: time(raw.sem_otime),
            changed_at: time(raw.sem_ctime),
        }
    }
}

/// Looking at a set and setting it, without waiting.
impl SemaphoreSet {
    /// `semctl(GETALL)`—All values, of one moment.
    ///
    /// # Errors
    ///
    /// [`Removed`](WaitError::Removed), permission denied.
    #[doc(alias = "semctl", alias = "GETALL")]
    pub fn values(&self) -> Result<Vec<u16>, WaitError> {
        sys::values(self.id(), self.len()).map_err(|error| self.failed("read", error))
    }

    /// `semctl(SETALL)`—Sets all values, and forgets what processes would have to undo.
    ///
    /// # Errors
    ///
    /// [`Removed`](WaitError::Removed), permission denied, [`InvalidInput`](std::io::ErrorKind::InvalidInput) for another
    /// number of values than the set has semaphores or one above [`MAX_VALUE`].
    #[doc(alias = "SETALL")]
    pub fn set_values(&self, values: &[u16]) -> Result<(), WaitError> {
        self.check_values("set", values)?;
        sys::set_values(self.id(), values).map_err(|error| self.failed("set", error))
    }

    /// `semctl(GETVAL)`—The value of one semaphore.
    ///
    /// # Errors
    ///
    /// [`Removed`](WaitError::Removed), permission denied, [`InvalidInput`](std::io::ErrorKind::InvalidInput) for an index
    /// that the set does not have.
    #[doc(alias = "GETVAL")]
    pub fn value(&self, index: u16) -> Result<u16, WaitError> {
        Ok(u16::try_from(self.query(index, Query::Value)?).unwrap_or(MAX_VALUE))
    }

    /// `semctl(SETVAL)`—Sets the value of one semaphore, and forgets what processes would have to undo to it.
    ///
    /// # Errors
    ///
    /// As for [`value`](Self::value), and [`InvalidInput`](std::io::ErrorKind::InvalidInput) above [`MAX_VALUE`].
    #[doc(alias = "SETVAL")]
    pub fn set_value(&self, index: u16, value: u16) -> Result<(), WaitError> {
        self.check_index(index)?;
        if value > MAX_VALUE {
            return Err(self.too_much("set", value).into());
        }
        sys::set_value(self.id(), index, value).map_err(|error| self.failed("set", error))
    }

    /// `semctl(GETPID)`—The process that changed the semaphore last, if it is visible from here.
    ///
    /// # Errors
    ///
    /// As for [`value`](Self::value).
    #[doc(alias = "GETPID")]
    pub fn last_process(&self, index: u16) -> Result<Option<u32>, WaitError> {
        Ok(Some(self.query(index, Query::LastProcess)?).filter(|&pid| pid != 0))
    }

    /// `semctl(GETNCNT)`—How many wait for permits of the semaphore.
    ///
    /// # Errors
    ///
    /// As for [`value`](Self::value).
    #[doc(alias = "GETNCNT")]
    pub fn waiters(&self, index: u16) -> Result<u32, WaitError> {
        self.query(index, Query::Waiters)
    }

    /// `semctl(GETZCNT)`—How many wait until the semaphore is zero.
    ///
    /// # Errors
    ///
    /// As for [`value`](Self::value).
    #[doc(alias = "GETZCNT")]
    pub fn zero_waiters(&self, index: u16) -> Result<u32, WaitError> {
        self.query(index, Query::ZeroWaiters)
    }

    /// `semctl(IPC_STAT)`—Who may use the set and when it was used last.
    ///
    /// # Errors
    ///
    /// [`Removed`](WaitError::Removed), permission denied.
    #[doc(alias = "IPC_STAT")]
    pub fn stat(&self) -> Result<Stat, WaitError> {
        sys::stat(self.id()).map(Stat::from).map_err(|error| self.failed("read state of", error))
    }

    /// `semctl(IPC_SET)`—Sets the permission bits.
    ///
    /// # Errors
    ///
    /// [`Removed`](WaitError::Removed), [`InvalidInput`](std::io::ErrorKind::InvalidInput) for other bits,
    /// [`PermissionDenied`](std::io::ErrorKind::PermissionDenied) for others than the owner, the creator and root.
    #[doc(alias = "IPC_SET")]
    pub fn set_mode(&self, mode: u32) -> Result<(), WaitError> {
        if mode & !0o777 != 0 {
            let reason = "the mode has more than the permission bits";
            return Err(Error::invalid_input("change", self.object(), reason).into());
        }
        // The type of the field is not the same on all architectures, and nine bits fit all.
        self.change(|stat| stat.sem_perm.mode = mode as _)
    }

    /// `semctl(IPC_SET)`—Sets the owner's user and group.
    ///
    /// # Errors
    ///
    /// [`Removed`](WaitError::Removed), [`PermissionDenied`](std::io::ErrorKind::PermissionDenied) as for
    /// [`set_mode`](Self::set_mode).
    pub fn set_owner(&self, uid: u32, gid: u32) -> Result<(), WaitError> {
        self.change(|stat| (stat.sem_perm.uid, stat.sem_perm.gid) = (uid, gid))
    }

    /// `semctl(IPC_RMID)`—Removes the set; who waits at it gets [`Removed`](WaitError::Removed).
    ///
    /// # Errors
    ///
    /// [`Removed`](WaitError::Removed) where it was already,
    /// [`PermissionDenied`](std::io::ErrorKind::PermissionDenied) as for [`set_mode`](Self::set_mode).
    #[doc(alias = "IPC_RMID")]
    pub fn remove(&self) -> Result<(), WaitError> {
        sys::remove(self.id()).map_err(|error| self.failed("remove", error))
    }

    fn change(&self, change: impl FnOnce(&mut libc::semid_ds)) -> Result<(), WaitError> {
        let changed = sys::stat(self.id()).and_then(|mut stat| {
            change(&mut stat);
            sys::set(self.id(), stat)
        });
        changed.map_err(|error| self.failed("change", error))
    }

    fn query(&self, index: u16, query: Query) -> Result<u32, WaitError> {
        self.check_index(index)?;
        sys::query(self.id(), index, query).map_err(|error| self.failed("read", error))
    }

    fn check_index(&self, index: u16) -> Result<(), Error> {
        if usize::from(index) < self.len() {
            return Ok(());
        }
        let reason = format!("it has {} semaphores, and none of index {index}", self.len());
        Err(Error::invalid_input("use", self.object(), reason))
    }

    pub(super) fn check_values(&self, verb: &'static str, values: &[u16]) -> Result<(), Error> {
        if values.len() != self.len() {
            let reason = format!("{} values for {} semaphores", values.len(), self.len());
            return Err(Error::invalid_input(verb, self.object(), reason));
        }
        match values.iter().find(|&&value| value > MAX_VALUE) {
            Some(&value) => Err(self.too_much(verb, value)),
            None => Ok(()),
        }
    }

    fn too_much(&self, verb: &'static str, value: u16) -> Error {
        let reason = format!("{value} permits are more than {MAX_VALUE}");
        Error::invalid_input(verb, self.object(), reason)
    }
}
