use std::{fmt, io, sync::Arc};

use mp_os::{
    Error, Owner, Result,
    sysv::{Key, Permissions, WaitError},
};

use super::{CreateOptions, OpenOptions, sys};

/// The most permits that a semaphore counts: `SEMVMX`.
#[doc(alias = "SEMVMX")]
pub const MAX_VALUE: u16 = 32_767;

/// A System V semaphore set.
///
/// Each of its semaphores counts permits. [`op`](Self::op) takes from and adds to several in one step, all or nothing;
/// [`acquire`](Self::acquire) takes one permit as a value. What is done with [`undo`](super::Op::undo), and so every
/// [`Permit`](super::Permit), is taken back by the kernel when the process ends, killed or not. Somebody may remove the set at
/// any time; then every operation, those that wait included, ends with [`Removed`](WaitError::Removed).
///
/// The handle of the creator *owns* the set: when its last clone is dropped, in a panic too, it removes the set, provided that
/// the process is the one that created it (not a fork of it). [`persist`](Self::persist) leaves the set behind. Others never
/// remove it unless they say [`remove`](Self::remove).
///
/// Operations of up to 16 parts allocate nothing, except for the text of an error.
///
/// # The creation race
///
/// The kernel creates a set with all values zero, and the creator sets them in a second step; who opens the set in between would
/// find no permits, and if the creator dies there, nobody ever finds any. Here the second step is one `semop`, which the kernel
/// notes in the set (`sem_otime`). [`open`](Self::open) waits for the note, for a second unless
/// [told otherwise](OpenOptions::init_timeout), and then fails. [`CreateOptions::create`] knows the values: when the time has passed
/// it takes the dead creator's place.
///
/// # Examples
///
/// ```
/// use mp_sem::sysv::{Key, SemaphoreSet, WaitError};
///
/// let set = SemaphoreSet::create_new(Key::PRIVATE, &[1, 0])?;
/// let permit = set.acquire(0)?;
/// assert_eq!(set.values()?, [0, 0]);
/// drop(permit);
///
/// let other = SemaphoreSet::from_id(set.id())?;
/// drop(set);
/// assert!(matches!(other.acquire(0), Err(WaitError::Removed)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SemaphoreSet(Arc<Inner>);

pub(super) struct Inner {
    pub(super) id: i32,
    pub(super) key: Key,
    pub(super) len: usize,
    /// The process that must remove the set.
    pub(super) owner: Owner,
}

impl SemaphoreSet {
    /// Creates a set that must not exist yet, with a semaphore for each of `values`, as [`CreateOptions`] does by default.
    ///
    /// # Errors
    ///
    /// As for [`CreateOptions::create_new`].
    pub fn create_new(key: Key, values: &[u16]) -> Result<Self> {
        CreateOptions::new().create_new(key, values)
    }

    /// Opens a set that exists, to look at it and to change it.
    ///
    /// # Errors
    ///
    /// As for [`OpenOptions::open`].
    #[doc(alias = "semget")]
    pub fn open(key: Key) -> Result<Self> {
        OpenOptions::new().open(key)
    }

    /// Opens a set by its identifier, which its creator passed on or `ipcs -s` shows; initialised or not.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) (`EINVAL`) where there is none,
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) without permission to read.
    pub fn from_id(id: i32) -> Result<Self> {
        let stat = sys::stat(id)
            .map_err(|error| Error::new("open", format!("semaphore set {id}"), error))?;
        let key = Permissions::from(&stat.sem_perm).key;
        let len = stat.sem_nsems as usize;
        Ok(Inner { id, key, len, owner: Owner::nobody() }.into())
    }

    /// The identifier, by which any process with permission can [open](Self::from_id) the set.
    pub fn id(&self) -> i32 {
        self.0.id
    }

    /// The key it was created with.
    pub fn key(&self) -> Key {
        self.0.key
    }

    /// How many semaphores it has; never zero.
    #[expect(clippy::len_without_is_empty, reason = "there are no empty sets")]
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether dropping the last clone of this handle removes the set.
    pub fn is_owner(&self) -> bool {
        self.0.owner.is_this_process()
    }

    /// Leaves the set behind when the owner's handle is dropped; [`remove`](Self::remove) removes it then.
    pub fn persist(&self) {
        self.0.owner.renounce();
    }

    pub(super) fn object(&self) -> String {
        format!("semaphore set {} (key `{}`)", self.id(), self.key())
    }

    /// Tells a set that is gone from everything else that may have happened.
    pub(super) fn failed(&self, verb: &'static str, error: io::Error) -> WaitError {
        WaitError::new(verb, || self.object(), error, || sys::stat(self.id()))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.owner.is_this_process() {
            // A drop has nobody to tell; who wants to know calls `SemaphoreSet::remove`.
            drop(sys::remove(self.id));
        }
    }
}

impl From<Inner> for SemaphoreSet {
    fn from(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

impl fmt::Debug for SemaphoreSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphoreSet")
            .field("id", &self.0.id)
            .field("key", &self.0.key)
            .field("values", &self.values().ok())
            .field("owner", &self.is_owner())
            .finish()
    }
}
