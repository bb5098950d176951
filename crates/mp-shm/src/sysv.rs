//! System V shared memory: segments that unrelated programs find by a number.
//!
//! ```
//! use mp_shm::sysv::{Key, SharedMemory};
//!
//! let ours = SharedMemory::create_new(Key::PRIVATE, 4096)?;
//! let theirs = SharedMemory::open_id(ours.id())?;
//! ours.memory().copy_in(0, b"hello")?;
//! assert_eq!(theirs.memory().read::<[u8; 5]>(0)?, *b"hello");
//! assert_eq!(ours.stat()?.attached, 2);
//! # Ok::<(), mp_shm::Error>(())
//! ```
//!
//! A removed segment lives on until the last process detaches it, however that ends. So a creator whose peers are
//! attached [removes](SharedMemory::remove) it at once, and not even `SIGKILL` leaves anything behind.
//!
//! # Safety
//!
//! Nothing to promise for users. Inside: an attachment belongs to the type that made it, and outlives every borrow of the
//! memory.

#![allow(unsafe_code, reason = "these types own raw memory")]

use std::{
    fmt, io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::{errno::Errno, libc};

pub use mp_os::sysv::{Key, Permissions};
use mp_os::{Owner, sysv::is_gone};

use crate::{
    Error, Memory, ReadMemory, Result, memfd,
    sys::{self, Attachment},
};

/// A System V shared memory segment, attached.
///
/// Whoever created it owns it: dropping it removes the segment, unless it is to [persist](Self::persist). Whoever opened
/// it never does. A forked child owns nothing. While it is attached its number cannot come to mean another one.
///
/// # Examples
///
/// ```
/// use mp_shm::sysv::{Key, SharedMemory};
///
/// let mut shared = SharedMemory::create_new(Key::PRIVATE, 4096)?;
/// let late = SharedMemory::open_id(shared.id())?;
/// shared.remove()?;
/// drop(shared);
/// late.memory().copy_in(0, b"the last one keeps it")?;
/// assert!(late.stat()?.removed);
/// # Ok::<(), mp_shm::Error>(())
/// ```
pub struct SharedMemory {
    memory: Memory,
    /// Detaches on drop.
    _attachment: Attachment,
    id: i32,
    /// The process that removes the segment when it drops this.
    owner: Owner,
}

impl SharedMemory {
    /// `shmget(IPC_CREAT | IPC_EXCL)`—Creates a segment of `len` zeroes that nobody but this user may attach.
    ///
    /// # Errors
    ///
    /// As [`CreateOptions::create_new`].
    #[doc(alias = "shmget")]
    pub fn create_new(key: Key, len: usize) -> Result<Self> {
        CreateOptions::new().create_new(key, len)
    }

    /// `shmget(IPC_CREAT)`—Attaches the segment, or creates it where there is none.
    ///
    /// # Errors
    ///
    /// As [`CreateOptions::create`].
    #[doc(alias = "shmget")]
    pub fn create(key: Key, len: usize) -> Result<Self> {
        CreateOptions::new().create(key, len)
    }

    /// `shmget(2)`, `shmat(2)`—Attaches the segment of `key` for reading and writing.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound), [`PermissionDenied`](io::ErrorKind::PermissionDenied);
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for [`Key::PRIVATE`].
    #[doc(alias = "shmat")]
    pub fn open(key: Key) -> Result<Self> {
        Self::open_id(find(key)?)
    }

    /// `shmat(2)`—Attaches the segment whose number another process told.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) or `EIDRM` where there is none any more;
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied).
    #[doc(alias = "shmat")]
    pub fn open_id(id: i32) -> Result<Self> {
        let (attachment, len) = attach(id, false)?;
        // SAFETY: the segment stays attached readable and writable until `attachment` is dropped, with the result.
        let memory = unsafe { Memory::from_raw_parts(attachment.as_ptr(), len) };
        Ok(Self { memory, _attachment: attachment, id, owner: Owner::nobody() })
    }

    /// The number by which others can [open](Self::open_id) it.
    pub const fn id(&self) -> i32 {
        self.id
    }

    /// The length in bytes.
    pub fn len(&self) -> usize {
        self.memory.len()
    }

    /// Always `false`: a segment has at least one byte.
    pub fn is_empty(&self) -> bool {
        self.memory.is_empty()
    }

    /// The memory.
    #[inline]
    pub const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Whether dropping this removes the segment.
    pub fn is_owner(&self) -> bool {
        self.owner.is_this_process()
    }

    /// Leaves the segment when this is dropped: it then stays until somebody [removes](remove) it, or until the next boot.
    pub const fn persist(&mut self) {
        self.owner = Owner::nobody();
    }

    /// `shmctl(IPC_STAT)`—What the kernel knows of the segment.
    ///
    /// # Errors
    ///
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) where it may not be read any more.
    #[doc(alias = "shmctl")]
    pub fn stat(&self) -> Result<Stat> {
        stat(self.id)
    }

    /// `shmctl(IPC_SET)`—Changes the owner and the permission bits to those of `permissions`; the rest is ignored.
    ///
    /// # Errors
    ///
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) where the segment is another user's.
    #[doc(alias = "shmctl")]
    pub fn set_permissions(&self, permissions: &Permissions) -> Result<()> {
        let fail = |error| Error::new("change the permissions of", object(self.id), error);
        let mut stat = sys::shm_stat(self.id).map_err(fail)?;
        stat.shm_perm.uid = permissions.uid;
        stat.shm_perm.gid = permissions.gid;
        // Nine bits fit whatever type this platform has for them.
        stat.shm_perm.mode = (permissions.mode & 0o777) as _;
        sys::shm_set(self.id, stat).map_err(fail)
    }

    /// `shmctl(IPC_RMID)`—Removes the segment: its key is free at once, its memory when the last process detaches it.
    ///
    /// Until then, others can still [open](Self::open_id) it by its number.
    ///
    /// # Errors
    ///
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) where the segment is another user's.
    #[doc(alias = "shmctl")]
    pub fn remove(&mut self) -> Result<()> {
        remove(self.id)?;
        self.owner = Owner::nobody();
        Ok(())
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        if self.is_owner() {
            // Nobody is left to be told of an error. The number is still ours: the segment is attached.
            let _ = sys::shm_remove(self.id);
        }
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory")
            .field("id", &self.id)
            .field("len", &self.len())
            .field("is_owner", &self.is_owner())
            .finish_non_exhaustive()
    }
}

/// A System V shared memory segment, attached for reading.
///
/// # Examples
///
/// ```
/// use mp_shm::sysv::{Key, ReadSharedMemory, SharedMemory};
///
/// let writer = SharedMemory::create_new(Key::PRIVATE, 4096)?;
/// let reader = ReadSharedMemory::open_id(writer.id())?;
/// writer.memory().write(8, 7_u32)?;
/// assert_eq!(reader.memory().read::<u32>(8)?, 7);
/// # Ok::<(), mp_shm::Error>(())
/// ```
#[derive(Debug)]
pub struct ReadSharedMemory {
    memory: ReadMemory,
    /// Detaches on drop.
    _attachment: Attachment,
    id: i32,
}

impl ReadSharedMemory {
    /// `shmget(2)`, `shmat(SHM_RDONLY)`—Attaches the segment of `key` for reading.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::open`]; permission to read is enough.
    #[doc(alias = "SHM_RDONLY")]
    pub fn open(key: Key) -> Result<Self> {
        Self::open_id(find(key)?)
    }

    /// `shmat(SHM_RDONLY)`—Attaches the segment whose number another process told, for reading.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::open_id`]; permission to read is enough.
    #[doc(alias = "SHM_RDONLY")]
    pub fn open_id(id: i32) -> Result<Self> {
        let (attachment, len) = attach(id, true)?;
        // SAFETY: the segment stays attached readable until `attachment` is dropped, with the result.
        let memory = unsafe { ReadMemory::from_raw_parts(attachment.as_ptr(), len) };
        Ok(Self { memory, _attachment: attachment, id })
    }

    /// The number by which others can open it.
    pub const fn id(&self) -> i32 {
        self.id
    }

    /// The memory.
    #[inline]
    pub const fn memory(&self) -> &ReadMemory {
        &self.memory
    }
}

/// How to create a segment.
///
/// # Examples
///
/// ```
/// use mp_shm::sysv::{CreateOptions, Key};
///
/// let shared = CreateOptions::new().mode(0o640).create_new(Key::PRIVATE, 4096)?;
/// assert_eq!(shared.stat()?.permissions.mode, 0o640);
/// # Ok::<(), mp_shm::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CreateOptions {
    mode: u32,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self { mode: 0o600 }
    }
}

impl CreateOptions {
    /// For this user only.
    pub fn new() -> Self {
        Self::default()
    }

    /// The nine permission bits, of which the execute ones mean nothing; there is no umask for System V objects.
    pub const fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = mode;
        self
    }

    /// `shmget(IPC_CREAT | IPC_EXCL)`—Creates a segment of `len` zeroes and makes its pages present.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists); [`StorageFull`](io::ErrorKind::StorageFull) at the limit of
    /// segments or pages; [`OutOfMemory`](io::ErrorKind::OutOfMemory) where there is not that much memory;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a bad mode, a length of zero, or one beyond `kernel.shmmax`.
    #[doc(alias = "shmget")]
    pub fn create_new(&self, key: Key, len: usize) -> Result<SharedMemory> {
        let object = format!("System V shared memory of key {key}");
        memfd::check_not_empty(&object, len as u64)?;
        if self.mode & !0o777 != 0 {
            return Err(Error::invalid_input("create", object, "the mode has more than nine bits"));
        }
        memfd::check_available(&object, len as u64)?;
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | self.mode.cast_signed();
        let id = sys::shmget(key.as_raw(), len, flags)
            .map_err(|error| with_limit_hint(Error::new("create", object, error)))?;
        let mut created = SharedMemory::open_id(id).inspect_err(|_| {
            // The error that is reported is the one of attaching.
            let _ = sys::shm_remove(id);
        })?;
        created.owner = Owner::this_process();
        created.memory.populate_write(..)?;
        Ok(created)
    }

    /// `shmget(IPC_CREAT)`—Attaches the segment, or creates it where there is none; who creates it owns it.
    ///
    /// # Errors
    ///
    /// As [`create_new`](Self::create_new) and [`SharedMemory::open`];
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where the segment that is there has fewer than `len` bytes.
    #[doc(alias = "shmget")]
    pub fn create(&self, key: Key, len: usize) -> Result<SharedMemory> {
        if key.is_private() {
            return self.create_new(key, len);
        }
        loop {
            match SharedMemory::open(key) {
                Err(error) if is_gone(error.raw_os_error()) => {}
                Ok(found) if found.len() < len => {
                    let reason = format!("it has {} bytes, fewer than {len}", found.len());
                    return Err(Error::invalid_input("open", object(found.id), reason));
                }
                result => return result,
            }
            match self.create_new(key, len) {
                // Somebody else was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => return result,
            }
        }
    }
}

/// What the kernel knows of a segment: `struct shmid_ds`.
///
/// # Examples
///
/// ```
/// use mp_shm::sysv::{self, Key, SharedMemory};
///
/// let shared = SharedMemory::create_new(Key::PRIVATE, 5000)?;
/// let stat = sysv::stat(shared.id())?;
/// assert_eq!((stat.len, stat.attached, stat.creator), (5000, 1, std::process::id()));
/// # Ok::<(), mp_shm::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stat {
    /// Who owns it and who may use it.
    pub permissions: Permissions,
    /// The length in bytes that it was created with.
    pub len: usize,
    /// How often it is attached, by all processes together.
    pub attached: u64,
    /// The process that created it.
    pub creator: u32,
    /// The process that attached or detached it last, if any has.
    pub last_user: Option<u32>,
    /// When it was last attached, if ever; whole seconds.
    pub attach_time: Option<SystemTime>,
    /// When it was last detached, if ever; whole seconds.
    pub detach_time: Option<SystemTime>,
    /// When it was created or its permissions were changed; whole seconds.
    pub change_time: Option<SystemTime>,
    /// Whether it has been removed and goes with the last detach.
    pub removed: bool,
}

/// `shmctl(IPC_STAT)`—What the kernel knows of the segment `id`, which need not be attached.
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) or `EIDRM` where there is none;
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied) where it may not be read.
#[doc(alias = "shmctl")]
pub fn stat(id: i32) -> Result<Stat> {
    let stat = sys::shm_stat(id).map_err(|error| Error::new("inspect", object(id), error))?;
    let process = |pid: libc::pid_t| u32::try_from(pid).ok().filter(|&pid| pid != 0);
    let time = |time: libc::time_t| {
        let seconds = u64::try_from(time).ok().filter(|&seconds| seconds != 0)?;
        Some(UNIX_EPOCH + Duration::from_secs(seconds))
    };
    Ok(Stat {
        permissions: Permissions::from(&stat.shm_perm),
        len: stat.shm_segsz,
        attached: stat.shm_nattch,
        creator: process(stat.shm_cpid).unwrap_or(0),
        last_user: process(stat.shm_lpid),
        attach_time: time(stat.shm_atime),
        detach_time: time(stat.shm_dtime),
        change_time: time(stat.shm_ctime),
        removed: u32::from(stat.shm_perm.mode) & sys::SHM_DEST != 0,
    })
}

/// `shmctl(IPC_RMID)`—Removes the segment `id`, which need not be attached: see [`SharedMemory::remove`].
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) or `EIDRM` where there is none;
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied) where it is another user's.
#[doc(alias = "shmctl")]
pub fn remove(id: i32) -> Result<()> {
    sys::shm_remove(id).map_err(|error| Error::new("remove", object(id), error))
}

/// The number of the segment of `key`.
fn find(key: Key) -> Result<i32> {
    let object = format!("System V shared memory of key {key}");
    if key.is_private() {
        return Err(Error::invalid_input(
            "open",
            object,
            "a private segment is opened by its number",
        ));
    }
    sys::shmget(key.as_raw(), 0, 0).map_err(|error| Error::new("open", object, error))
}

fn attach(id: i32, read_only: bool) -> Result<(Attachment, usize)> {
    let fail = |error| Error::new("attach", object(id), error);
    let attachment = Attachment::attach(id, read_only).map_err(fail)?;
    // Asked now, because while it is attached it stays the same segment.
    let len = sys::shm_stat(id).map_err(fail)?.shm_segsz;
    Ok((attachment, len))
}

fn with_limit_hint(error: Error) -> Error {
    let hint = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSPC) => {
            "`sysctl kernel.shmmni kernel.shmall` bound the segments and the pages of them; `ipcs -m` lists them"
        }
        Some(Errno::EINVAL) => "`sysctl kernel.shmmax` bounds the bytes of a segment",
        _ => return error,
    };
    error.with_hint(hint)
}

fn object(id: i32) -> String {
    format!("System V shared memory {id}")
}
