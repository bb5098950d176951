use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use mp_os::{Deadline, Error, ObjectName, Owner, Result, TimeoutError};
use nix::libc;

use super::{
    CreateOptions, Permit,
    sys::{self, Raw},
};

/// The most permits that a semaphore counts: `SEM_VALUE_MAX`.
#[doc(alias = "SEM_VALUE_MAX")]
pub const MAX_VALUE: u32 = i32::MAX.unsigned_abs();

/// A POSIX semaphore: a number of permits that processes take and give back.
///
/// *Named* ones ([`create_new`](Self::create_new), [`open`](Self::open)) are files in `/dev/shm`. The handle of the creator
/// *owns* the semaphore: when its last clone is dropped, in a panic too, it unlinks the name, provided that the name still
/// means this semaphore and the process is the one that created it (not a fork of it). [`persist`](Self::persist) leaves it
/// behind. Others never unlink.
///
/// Those *without a name* lie in shared memory: of their own ([`unnamed`](Self::unnamed), which a forked child shares and
/// others [open](Self::open_in) in its [memory](Self::memory)), or in the caller's ([`create_in`](Self::create_in)).
///
/// Permits of a process that is killed are **lost for ever**: nobody knows who holds one. See
/// [`sysv`](crate::sysv) for permits that the kernel gives back.
///
/// Taking and giving back allocate nothing and, where nobody waits, make no system call: they cost 1.1 times what `sem_wait` and
/// `sem_post` do. Where [`try_acquire`](Self::try_acquire) finds no permit, it takes 3 or 4 ns longer than `sem_trywait`, to tell
/// that error from others. Deadlines are on the monotonic clock (`sem_clockwait`), which is looked at only where there is no permit.
///
/// # Examples
///
/// ```
/// use mp_sem::{TimeoutError, posix::Semaphore};
/// use std::time::Duration;
///
/// let semaphore = Semaphore::unnamed(1)?;
/// let permit = semaphore.acquire()?;
/// let outcome = semaphore.acquire_timeout(Duration::from_millis(1));
/// assert!(matches!(outcome, Err(TimeoutError::TimedOut)));
/// drop(permit);
/// assert_eq!(semaphore.value()?, 1);
/// # Ok::<(), mp_sem::Error>(())
/// ```
#[doc(alias = "sem_t")]
#[derive(Clone)]
pub struct Semaphore(Arc<Inner>);

pub(super) struct Inner {
    pub(super) raw: Raw,
    /// `None` for a semaphore without a name.
    pub(super) name: Option<ObjectName>,
    /// The process that must unlink the name.
    pub(super) owner: Owner,
}

impl Semaphore {
    /// Creates a named semaphore that must not exist yet, as [`CreateOptions`] does by default.
    ///
    /// # Errors
    ///
    /// As for [`CreateOptions::create_new`].
    pub fn create_new(name: impl AsRef<str>, permits: u32) -> Result<Self> {
        CreateOptions::new().create_new(name, permits)
    }

    /// `sem_open(3)`—Opens a named semaphore that exists, and never unlinks it.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound), [`PermissionDenied`](io::ErrorKind::PermissionDenied) without permission to
    /// read and write, [`InvalidInput`](io::ErrorKind::InvalidInput) for a bad name,
    /// [`InvalidData`](io::ErrorKind::InvalidData) for a file that is too short to be a semaphore.
    #[doc(alias = "sem_open")]
    pub fn open(name: impl AsRef<str>) -> Result<Self> {
        let name = ObjectName::new(name)?;
        let raw = Raw::open(name.as_c_str())
            .map_err(|error| Error::new("open", object(Some(&name)), error))?;
        Ok(Inner { raw, name: Some(name), owner: Owner::nobody() }.into())
    }

    /// `sem_unlink(3)`—Removes the name; who has the semaphore open goes on using it.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound), [`PermissionDenied`](io::ErrorKind::PermissionDenied), or
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a bad name.
    #[doc(alias = "sem_unlink")]
    pub fn unlink(name: impl AsRef<str>) -> Result<()> {
        let name = ObjectName::new(name)?;
        sys::unlink(name.as_c_str())
            .map_err(|error| Error::new("unlink", object(Some(&name)), error))
    }

    /// `sem_init(3)`—Creates a semaphore without a name, in shared memory of its own.
    ///
    /// Forked children share it. Other processes [open](Self::open_in) it in its [memory](Self::memory), at [offset](Self::offset) 0. There
    /// is nothing to remove: it goes with the last process that has it.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for more than [`MAX_VALUE`] permits, `EMFILE` at the limit of
    /// descriptors.
    #[doc(alias = "sem_init")]
    pub fn unnamed(permits: u32) -> Result<Self> {
        check("create", permits)?;
        Ok(Raw::anonymous(permits)
            .map_err(|error| Error::new("create", object(None), error))?
            .into())
    }

    /// `sem_init(3)`—Creates a semaphore of 32 bytes at `offset` of shared memory: a memfd or a POSIX shared memory object.
    ///
    /// The memory is mapped here, and stays mapped as long as the handle lives. Let others [open](Self::open_in) it only
    /// when this has returned. Memory that is cut off under a semaphore kills who uses it with `SIGBUS`; a memfd sealed
    /// against shrinking cannot be.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for more than [`MAX_VALUE`] permits, an offset that is not a multiple of 8
    /// or too near the end; `EACCES` where the descriptor is not for reading and writing; `ENOSPC` in a full file system.
    #[doc(alias = "sem_init")]
    pub fn create_in(memory: impl AsFd, offset: usize, permits: u32) -> Result<Self> {
        check("create", permits)?;
        Self::at("create", memory.as_fd(), offset, |memory| Raw::create_in(memory, offset, permits))
    }

    /// Opens the semaphore that somebody has [created](Self::create_in) at `offset` of shared memory.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for an offset that is not a multiple of 8 or too near the end; `EACCES`
    /// where the descriptor is not for reading and writing.
    pub fn open_in(memory: impl AsFd, offset: usize) -> Result<Self> {
        Self::at("open", memory.as_fd(), offset, |memory| Raw::open_in(memory, offset))
    }

    fn at(
        verb: &'static str,
        memory: BorrowedFd<'_>,
        offset: usize,
        map: impl FnOnce(BorrowedFd<'_>) -> io::Result<Raw>,
    ) -> Result<Self> {
        let fail = |error| Error::new(verb, object(None), error);
        if let Some(reason) = sys::check_place(memory, offset).map_err(fail)? {
            return Err(Error::invalid_input(verb, object(None), reason));
        }
        map(memory).map(Self::from).map_err(fail)
    }

    mp_os::family! {
        /// `sem_wait(3)`—Takes a permit, and waits while there is none.
        ///
        /// # Errors
        ///
        /// Those of memory that holds no semaphore.
        #[doc(alias = "sem_wait", alias = "sem_trywait", alias = "sem_timedwait", alias = "sem_clockwait")]
        pub fn acquire, try_acquire, acquire_timeout, acquire_deadline(
            self: &Self
        ) -> Permit<'_> = acquire_until;
    }

    #[inline]
    fn acquire_until(&self, deadline: Deadline) -> Result<Permit<'_>, TimeoutError> {
        match self.0.raw.wait(deadline) {
            Ok(()) => Ok(Permit(self)),
            Err(error) => Err(self.not_acquired(error)),
        }
    }

    #[cold]
    fn not_acquired(&self, error: io::Error) -> TimeoutError {
        match error.raw_os_error() {
            Some(libc::EAGAIN) => TimeoutError::TimedOut,
            _ => self.error("acquire", error).into(),
        }
    }

    /// `sem_post(3)`—Gives `permits` back, or adds new ones.
    ///
    /// # Errors
    ///
    /// `EOVERFLOW` where there would be more than [`MAX_VALUE`]; then none was added, unless others added some meanwhile.
    #[doc(alias = "sem_post")]
    #[inline]
    pub fn release(&self, permits: u32) -> Result<()> {
        // One that does not fit is refused by the call itself.
        if permits > 1 && permits > MAX_VALUE - self.value()?.min(MAX_VALUE) {
            return Err(self.overflow(io::Error::from_raw_os_error(libc::EOVERFLOW)));
        }
        (0..permits).try_for_each(|_| self.0.raw.post().map_err(|error| self.overflow(error)))
    }

    /// `sem_getvalue(3)`—How many permits there are now; already wrong when it is told, if others are busy.
    ///
    /// # Errors
    ///
    /// Those of memory that holds no semaphore.
    #[doc(alias = "sem_getvalue")]
    pub fn value(&self) -> Result<u32> {
        self.0.raw.value().map_err(|error| self.error("read", error))
    }

    /// The memory of a semaphore without a name, to be passed to whoever shall [open](Self::open_in) it.
    pub fn memory(&self) -> Option<BorrowedFd<'_>> {
        self.0.raw.memory()
    }

    /// Where it lies in its [memory](Self::memory), in bytes; 0 for a named one.
    pub fn offset(&self) -> usize {
        self.0.raw.offset()
    }

    /// The name it was opened by; `None` where it has none.
    pub fn name(&self) -> Option<&ObjectName> {
        self.0.name.as_ref()
    }

    /// Whether dropping the last clone of this handle unlinks the name.
    pub fn is_owner(&self) -> bool {
        self.0.owner.is_this_process()
    }

    /// Leaves the semaphore behind when the owner's handle is dropped; [`unlink`](Self::unlink) removes it then.
    pub fn persist(&self) {
        self.0.owner.renounce();
    }

    #[cold]
    fn error(&self, verb: &'static str, error: io::Error) -> Error {
        Error::new(verb, object(self.name()), error)
    }

    #[cold]
    fn overflow(&self, error: io::Error) -> Error {
        let hint = "a POSIX semaphore counts to 2147483647 (SEM_VALUE_MAX)";
        self.error("release", error).with_hint(hint)
    }
}

fn check(verb: &'static str, permits: u32) -> Result<()> {
    if permits <= MAX_VALUE {
        return Ok(());
    }
    Err(Error::invalid_input(verb, object(None), "it cannot count so many permits"))
}

pub(super) fn object(name: Option<&ObjectName>) -> String {
    name.map_or_else(|| "unnamed semaphore".to_owned(), |name| format!("semaphore `{name}`"))
}

impl Inner {
    /// Whether the name still means this semaphore. In doubt it does: then the owner was not allowed to open it again.
    fn is_named(&self, name: &ObjectName) -> bool {
        match Raw::open(name.as_c_str()) {
            Ok(other) => self.raw.is_same(&other),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let Some(name) = &self.name else { return };
        if self.owner.is_this_process() && self.is_named(name) {
            // A drop has nobody to tell; who wants to know calls `Semaphore::unlink`.
            drop(sys::unlink(name.as_c_str()));
        }
    }
}

impl From<Inner> for Semaphore {
    fn from(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

/// One without a name.
impl From<Raw> for Semaphore {
    fn from(raw: Raw) -> Self {
        Inner { raw, name: None, owner: Owner::nobody() }.into()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("name", &self.0.name)
            .field("value", &self.0.raw.value())
            .field("owner", &self.is_owner())
            .finish()
    }
}
