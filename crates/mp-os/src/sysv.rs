//! What System V message queues, semaphore sets and shared memory segments have in common.

use std::{fmt, fs, io, path::Path};

use nix::libc;

use crate::{Error, Result, error::outcome, sys};

/// The key by which unrelated programs find the same System V object: `key_t`.
///
/// # Examples
///
/// ```
/// use mp_os::sysv::Key;
///
/// let key = Key::from_path("/tmp", 7)?;
/// assert_eq!(key, Key::from_path("/tmp", 7)?);
/// assert_ne!(key, Key::PRIVATE);
/// # Ok::<(), mp_os::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(libc::key_t);

impl Key {
    /// `IPC_PRIVATE`: always a new object, which others find by its identifier only.
    pub const PRIVATE: Self = Self(libc::IPC_PRIVATE);

    /// A key that programs have agreed on. Zero is [`PRIVATE`](Self::PRIVATE).
    pub const fn new(key: i32) -> Self {
        Self(key)
    }

    /// `ftok(3)`—A key from an existing file and a number that is not zero.
    ///
    /// Only 8 bits of `project`, 8 of the device and 16 of the inode take part: two files can give one key, and a file
    /// made anew gives another. Keep the file, and check what is found under the key.
    ///
    /// # Errors
    ///
    /// [`NotFound`](std::io::ErrorKind::NotFound) or another error of `stat(2)` on `path`;
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where `project` is zero or `path` holds a NUL.
    #[doc(alias = "ftok")]
    pub fn from_path(path: impl AsRef<Path>, project: u8) -> Result<Self> {
        let path = path.as_ref();
        let object = || format!("System V key of `{}`", path.display());
        if project == 0 {
            return Err(Error::invalid_input("make", object(), "the project number is zero"));
        }
        sys::ftok(path, project).map(Self).map_err(|error| Error::new("make", object(), error))
    }

    /// The number itself.
    pub const fn as_raw(self) -> i32 {
        self.0
    }

    /// Whether this is [`PRIVATE`](Self::PRIVATE).
    pub const fn is_private(self) -> bool {
        self.0 == libc::IPC_PRIVATE
    }
}

/// As `ipcs(1)` shows it.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// Who owns a System V object and who may use it: `struct ipc_perm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Permissions {
    /// The key it was created with.
    pub key: Key,
    /// The owner's user id.
    pub uid: u32,
    /// The owner's group id.
    pub gid: u32,
    /// The creator's user id.
    pub creator_uid: u32,
    /// The creator's group id.
    pub creator_gid: u32,
    /// The nine permission bits.
    pub mode: u32,
}

impl From<&libc::ipc_perm> for Permissions {
    fn from(perm: &libc::ipc_perm) -> Self {
        Self {
            key: Key(perm.__key),
            uid: perm.uid,
            gid: perm.gid,
            creator_uid: perm.cuid,
            creator_gid: perm.cgid,
            mode: u32::from(perm.mode) & 0o777,
        }
    }
}

/// A System V object that exists, as the `list` of its kind found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// The key it was created with.
    pub key: Key,
    /// The identifier for `from_id`.
    pub id: i32,
}

impl Listed {
    /// The first two columns: key and identifier.
    fn parse(line: &str) -> Option<Self> {
        let mut columns = line.split_whitespace();
        let key = columns.next()?.parse().ok()?;
        Some(Self { key: Key(key), id: columns.next()?.parse().ok()? })
    }
}

/// All objects of a kind that this IPC namespace has, called `objects` in an error: the rows of `/proc/sysvipc/{table}`.
///
/// # Errors
///
/// [`NotFound`](io::ErrorKind::NotFound) where the kernel has none of the kind or `/proc` is not mounted.
pub fn list(table: &str, objects: &str) -> Result<Vec<Listed>> {
    let fail = |error| Error::new("list", objects, error);
    let table = fs::read_to_string(format!("/proc/sysvipc/{table}")).map_err(fail)?;
    let rows: Option<Vec<_>> = table.lines().skip(1).map(Listed::parse).collect();
    rows.ok_or_else(|| fail(io::ErrorKind::InvalidData.into()))
}

/// Whether an `errno` means that there is no such object, or no longer.
///
/// Once the slot of a removed object is free, its identifier is no longer known to have been one: that is `EINVAL`, which
/// may have other causes too where a call is given more than the identifier.
pub fn is_gone(errno: Option<i32>) -> bool {
    matches!(errno, Some(libc::ENOENT | libc::EINVAL | libc::EIDRM))
}

/// Why an operation on a System V object did not happen, however long it would have waited.
#[derive(Debug)]
#[non_exhaustive]
pub enum WaitError {
    /// Somebody removed the object, before or while the operation waited (`EIDRM`).
    Removed,
    /// The operating system refused it.
    Os(Error),
}

/// Why a `try_` operation on a System V object did not happen.
#[derive(Debug)]
#[non_exhaustive]
pub enum TryError {
    /// It would have had to wait.
    WouldBlock,
    /// Somebody removed the object.
    Removed,
    /// The operating system refused it.
    Os(Error),
}

/// Why a `_timeout` or `_deadline` operation on a System V object did not happen.
#[derive(Debug)]
#[non_exhaustive]
pub enum TimeoutError {
    /// The deadline passed first.
    TimedOut,
    /// Somebody removed the object, before or while the operation waited (`EIDRM`).
    Removed,
    /// The operating system refused it.
    Os(Error),
}

outcome!(WaitError { Removed: "the object was removed", NotFound; });
outcome!(TryError {
    WouldBlock: "the operation would block", WouldBlock;
    Removed: "the object was removed", NotFound;
});
outcome!(TimeoutError {
    TimedOut: "the deadline passed", TimedOut;
    Removed: "the object was removed", NotFound;
});

impl WaitError {
    /// Tells an object that is gone from everything else that may have happened; `stat` asks the kernel for its state.
    pub fn new<S>(
        verb: &'static str,
        object: impl FnOnce() -> String,
        error: io::Error,
        stat: impl FnOnce() -> io::Result<S>,
    ) -> Self {
        let is_gone = || stat().is_err_and(|error| is_gone(error.raw_os_error()));
        match error.raw_os_error() {
            Some(libc::EIDRM) => Self::Removed,
            Some(libc::EINVAL) if is_gone() => Self::Removed,
            _ => Self::Os(Error::new(verb, object(), error)),
        }
    }
}

impl From<WaitError> for TimeoutError {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::Removed => Self::Removed,
            WaitError::Os(error) => Self::Os(error),
        }
    }
}

/// For a `try_` form that is the waiting one with a deadline in the past.
impl From<TimeoutError> for TryError {
    fn from(outcome: TimeoutError) -> Self {
        match outcome {
            TimeoutError::TimedOut => Self::WouldBlock,
            TimeoutError::Removed => Self::Removed,
            TimeoutError::Os(error) => Self::Os(error),
        }
    }
}

/// For a form without a deadline that is the one with [`Deadline::never`](crate::Deadline::never).
impl From<TimeoutError> for WaitError {
    fn from(outcome: TimeoutError) -> Self {
        match outcome {
            TimeoutError::Removed => Self::Removed,
            TimeoutError::TimedOut => Self::Os(crate::TimeoutError::TimedOut.into()),
            TimeoutError::Os(error) => Self::Os(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_files_that_exist() {
        let error = Key::from_path("/nowhere/at/all", 1).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        assert!(error.to_string().contains("`/nowhere/at/all`"), "{error}");
        assert_eq!(Key::from_path("/", 0).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
        assert_ne!(Key::from_path("/", 1).unwrap(), Key::from_path("/", 2).unwrap());
    }

    #[test]
    fn keys_look_as_in_ipcs() {
        assert_eq!(Key::new(0x1234).to_string(), "0x00001234");
        assert!(Key::PRIVATE.is_private());
    }

    #[test]
    fn a_removed_object_is_its_own_outcome() {
        let removed = TimeoutError::from(WaitError::Removed);
        assert!(matches!(removed, TimeoutError::Removed) && removed.os_error().is_none());
        assert_eq!(std::io::Error::from(removed).kind(), std::io::ErrorKind::NotFound);
        let refused = Error::new("send to", "queue 7", std::io::Error::from_raw_os_error(13));
        let refused = TryError::from(TimeoutError::from(WaitError::Os(refused)));
        assert_eq!(refused.os_error().unwrap().raw_os_error(), Some(13));
    }
}
