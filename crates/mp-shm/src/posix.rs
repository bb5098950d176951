//! POSIX shared memory: objects with a name, which unrelated programs open.
//!
//! ```
//! use mp_shm::posix::SharedMemory;
//!
//! # let name = format!("/mp-shm-doc-posix-{}", std::process::id());
//! let ours = SharedMemory::create_new(&name, 4096)?;
//! let theirs = SharedMemory::open(&name)?;
//! ours.memory().copy_in(0, b"hello")?;
//! assert_eq!(theirs.memory().read::<[u8; 5]>(0)?, *b"hello");
//!
//! drop(ours); // The creator takes the name away; who has it open keeps the memory.
//! assert!(SharedMemory::open(&name).is_err());
//! # Ok::<(), mp_shm::Error>(())
//! ```
//!
//! The name appears when the memory is reserved and, with [`CreateOptions::create_new_with`], initialized: nobody can open
//! it half-made, and a creator killed before has left nothing.

use std::{
    fmt, fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use mp_os::{Deadline, Owner};
use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags, OFlag, open},
    sys::{
        mman::{shm_open, shm_unlink},
        stat::{FileStat, Mode, SFlag, fchmod, fstat, stat},
    },
    unistd::linkat,
};

use crate::{
    Error, Mapping, Memory, ObjectName, ReadMapping, ReadMemory, Result, TimeoutError, memfd,
    watch::watch,
};

/// Where Linux keeps the objects: glibc's and musl's `shm_open` open files of this directory.
const DIRECTORY: &str = "/dev/shm";

/// A POSIX shared memory object, mapped.
///
/// Whoever created it owns it: dropping it takes the name away, unless it is to [persist](Self::persist) or somebody else
/// has given the name to another object meanwhile. Whoever opened it never does. A forked child owns nothing.
///
/// # Examples
///
/// ```
/// use mp_shm::posix::SharedMemory;
/// use std::{sync::atomic::Ordering, time::Duration};
///
/// # let name = format!("/mp-shm-doc-shared-{}", std::process::id());
/// let mut counter = SharedMemory::create(&name, 8)?;
/// let opened = SharedMemory::open_timeout(&name, Duration::from_secs(5))?;
/// opened.memory().atomic_u64(0).unwrap().fetch_add(2, Ordering::Relaxed);
/// assert_eq!(counter.memory().atomic_u64(0).unwrap().load(Ordering::Relaxed), 2);
/// assert!(counter.is_owner() && !opened.is_owner());
/// assert_eq!(counter.grow(100)?, 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SharedMemory {
    name: ObjectName,
    file: OwnedFd,
    mapping: Mapping,
    /// The process that unlinks the object when it drops this.
    owner: Owner,
}

impl SharedMemory {
    /// `shm_open(O_CREAT | O_EXCL)`—Creates an object of `len` zeroes that nobody but this user may open.
    ///
    /// # Errors
    ///
    /// As [`CreateOptions::create_new`].
    #[doc(alias = "shm_open")]
    pub fn create_new(name: impl AsRef<str>, len: usize) -> Result<Self> {
        CreateOptions::new().create_new(name, len)
    }

    /// `shm_open(O_CREAT)`—Opens the object, or creates it where there is none.
    ///
    /// # Errors
    ///
    /// As [`CreateOptions::create`].
    #[doc(alias = "shm_open")]
    pub fn create(name: impl AsRef<str>, len: usize) -> Result<Self> {
        CreateOptions::new().create(name, len)
    }

    /// `shm_open(O_RDWR)`—Opens the object for reading and writing, as large as it is now.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound), [`PermissionDenied`](io::ErrorKind::PermissionDenied),
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a bad name; [`WouldBlock`](io::ErrorKind::WouldBlock) where
    /// another program has created it and not yet given it a size.
    #[doc(alias = "shm_open")]
    pub fn open(name: impl AsRef<str>) -> Result<Self> {
        let name = ObjectName::new(name)?;
        let file = open_sized(&name, OFlag::O_RDWR)?;
        let mapping = Mapping::map(&file)?;
        Ok(Self { name, file, mapping, owner: Owner::nobody() })
    }

    /// [`open`](Self::open) when the object is there and has a size: waits for that until `deadline`.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TimeoutError::TimedOut), or any other error of [`open`](Self::open).
    pub fn open_deadline(name: impl AsRef<str>, deadline: Instant) -> Result<Self, TimeoutError> {
        Self::open_when_there(name, Deadline::at(deadline))
    }

    /// [`open_deadline`](Self::open_deadline), that long from now.
    ///
    /// # Errors
    ///
    /// As [`open_deadline`](Self::open_deadline).
    pub fn open_timeout(name: impl AsRef<str>, timeout: Duration) -> Result<Self, TimeoutError> {
        Self::open_when_there(name, Deadline::after(timeout))
    }

    fn open_when_there(name: impl AsRef<str>, deadline: Deadline) -> Result<Self, TimeoutError> {
        let name = ObjectName::new(name)?;
        watch(Path::new(DIRECTORY), deadline, || Self::open(&name))
    }

    /// The name, with its slash.
    pub const fn name(&self) -> &ObjectName {
        &self.name
    }

    /// The length in bytes that is mapped.
    pub fn len(&self) -> usize {
        self.mapping.len()
    }

    /// Always `false`: an object that can be mapped has at least one byte.
    pub fn is_empty(&self) -> bool {
        self.mapping.is_empty()
    }

    /// The memory.
    ///
    /// A peer that truncates the object turns an access beyond its end into `SIGBUS`: where peers are not trusted, use a
    /// [`Segment`](crate::Segment), or [guarded copies](ReadMemory::copy_out_guarded).
    #[inline]
    pub fn memory(&self) -> &Memory {
        &self.mapping
    }

    /// Whether dropping this takes the name away.
    pub fn is_owner(&self) -> bool {
        self.owner.is_this_process()
    }

    /// Leaves the object when this is dropped: it then stays until somebody [unlinks](unlink) it, or until the next boot.
    pub fn persist(&mut self) {
        self.owner.renounce();
    }

    /// Reserves memory up to `len` bytes and maps it; where others made it larger meanwhile, all of that.
    ///
    /// # Errors
    ///
    /// [`StorageFull`](io::ErrorKind::StorageFull) or [`FileTooLarge`](io::ErrorKind::FileTooLarge) where that is not to
    /// be had: the object may have grown in part then.
    pub fn grow(&mut self, len: usize) -> Result<usize> {
        memfd::reserve(self.file.as_fd(), &object(&self.name), self.len() as u64, len as u64)?;
        self.refresh()
    }

    /// Maps what others have added: the length in bytes from now on.
    ///
    /// # Errors
    ///
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) where somebody has truncated the object below what is mapped;
    /// any error of `mremap(2)`. The mapping is unchanged then.
    pub fn refresh(&mut self) -> Result<usize> {
        let len = self.check_len()?;
        if len > self.len() {
            self.mapping.remap(&self.file, len)?;
        }
        Ok(self.len())
    }

    /// The length in bytes that the object has now, which is at least what is mapped.
    ///
    /// # Errors
    ///
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) where somebody has truncated the object below what is mapped.
    pub fn check_len(&self) -> Result<usize> {
        let fail = |error| Error::new("size", object(&self.name), error);
        let stat = fstat(&self.file).map_err(|errno| fail(errno.into()))?;
        match usize::try_from(stat.st_size) {
            Ok(len) if len >= self.len() => Ok(len),
            _ => Err(fail(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("somebody truncated it to {} bytes", stat.st_size),
            ))),
        }
    }

    /// Whether the name still means this object.
    fn has_name(&self) -> bool {
        let identity = |stat: FileStat| (stat.st_dev, stat.st_ino);
        let named = stat(&*path(&self.name)).map(identity);
        named.is_ok() && named == fstat(&self.file).map(identity)
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        if self.is_owner() && self.has_name() {
            // Nobody is left to be told of an error.
            let _ = shm_unlink(self.name.as_c_str());
        }
    }
}

impl AsFd for SharedMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory")
            .field("name", &self.name)
            .field("len", &self.len())
            .field("is_owner", &self.is_owner())
            .finish_non_exhaustive()
    }
}

/// A POSIX shared memory object, mapped for reading.
///
/// # Examples
///
/// ```
/// use mp_shm::posix::{ReadSharedMemory, SharedMemory};
///
/// # let name = format!("/mp-shm-doc-read-{}", std::process::id());
/// let writer = SharedMemory::create_new(&name, 4096)?;
/// let reader = ReadSharedMemory::open(&name)?;
/// writer.memory().write(8, 7_u32)?;
/// assert_eq!(reader.memory().read::<u32>(8)?, 7);
/// # Ok::<(), mp_shm::Error>(())
/// ```
#[derive(Debug)]
pub struct ReadSharedMemory {
    name: ObjectName,
    mapping: ReadMapping,
}

impl ReadSharedMemory {
    /// `shm_open(O_RDONLY)`—Opens the object for reading, as large as it is now.
    ///
    /// # Errors
    ///
    /// As [`SharedMemory::open`]; permission to read is enough.
    #[doc(alias = "shm_open")]
    pub fn open(name: impl AsRef<str>) -> Result<Self> {
        let name = ObjectName::new(name)?;
        let mapping = ReadMapping::map(open_sized(&name, OFlag::O_RDONLY)?)?;
        Ok(Self { name, mapping })
    }

    /// The name, with its slash.
    pub const fn name(&self) -> &ObjectName {
        &self.name
    }

    /// The memory.
    #[inline]
    pub fn memory(&self) -> &ReadMemory {
        &self.mapping
    }
}

/// How to create an object.
///
/// # Examples
///
/// ```
/// use mp_shm::posix::{CreateOptions, SharedMemory};
///
/// # let name = format!("/mp-shm-doc-options-{}", std::process::id());
/// let config = CreateOptions::new()
///     .mode(0o644)
///     .create_new_with(&name, 4096, |memory| Ok(memory.copy_in(0, b"ready")?))?;
/// let opened = SharedMemory::open(&name)?;
/// assert_eq!(opened.memory().read::<[u8; 5]>(0)?, *b"ready", "whenever it is opened");
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

    /// The nine permission bits, whatever the umask says.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = mode;
        self
    }

    /// `shm_open(O_CREAT | O_EXCL)`—Creates an object of `len` zeroes, with the memory reserved.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists); [`StorageFull`](io::ErrorKind::StorageFull) where `/dev/shm` is
    /// full; [`FileTooLarge`](io::ErrorKind::FileTooLarge) beyond `RLIMIT_FSIZE`;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a bad name or mode, or a length of zero.
    #[doc(alias = "shm_open")]
    pub fn create_new(&self, name: impl AsRef<str>, len: usize) -> Result<SharedMemory> {
        self.create_new_with(name, len, |_| Ok(()))
    }

    /// [`create_new`](Self::create_new), with `initialize` called before anybody else can open the object.
    ///
    /// A process killed meanwhile leaves nothing behind.
    ///
    /// # Errors
    ///
    /// As [`create_new`](Self::create_new), and what `initialize` fails with; there is no object then.
    pub fn create_new_with(
        &self,
        name: impl AsRef<str>,
        len: usize,
        initialize: impl FnOnce(&Memory) -> Result<()>,
    ) -> Result<SharedMemory> {
        let name = ObjectName::new(name)?;
        let object = object(&name);
        memfd::check_not_empty(&object, len as u64)?;
        if self.mode & !0o777 != 0 {
            return Err(Error::invalid_input("create", object, "the mode has more than nine bits"));
        }
        let fail = |errno: Errno| Error::new("create", object.clone(), errno.into());
        let file = unnamed().map_err(fail)?;
        // The umask had its say when the file was made.
        fchmod(&file, Mode::from_bits_truncate(self.mode)).map_err(fail)?;
        memfd::reserve(file.as_fd(), &object, 0, len as u64)?;
        let mapping = Mapping::map(&file)?;
        initialize(&mapping)?;
        give_name(&file, &name).map_err(fail)?;
        Ok(SharedMemory { name, file, mapping, owner: Owner::this_process() })
    }

    /// `shm_open(O_CREAT)`—Opens the object, or creates it where there is none; who creates it owns it.
    ///
    /// # Errors
    ///
    /// As [`create_new`](Self::create_new) and [`SharedMemory::open`];
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where the object that is there has fewer than `len` bytes.
    #[doc(alias = "shm_open")]
    pub fn create(&self, name: impl AsRef<str>, len: usize) -> Result<SharedMemory> {
        let name = ObjectName::new(name)?;
        loop {
            match SharedMemory::open(&name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Ok(found) if found.len() < len => {
                    let reason = format!("it has {} bytes, fewer than {len}", found.len());
                    return Err(Error::invalid_input("open", object(&name), reason));
                }
                result => return result,
            }
            match self.create_new(&name, len) {
                // Somebody else was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => return result,
            }
        }
    }
}

/// `shm_unlink(3)`—Takes the name away; who has the object open keeps the memory.
///
/// # Errors
///
/// [`NotFound`](io::ErrorKind::NotFound), [`PermissionDenied`](io::ErrorKind::PermissionDenied),
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for a bad name.
///
/// # Examples
///
/// ```
/// use mp_shm::posix::{self, SharedMemory};
///
/// # let name = format!("/mp-shm-doc-unlink-{}", std::process::id());
/// SharedMemory::create_new(&name, 1)?.persist();
/// posix::unlink(&name)?;
/// assert!(SharedMemory::open(&name).is_err());
/// # Ok::<(), mp_shm::Error>(())
/// ```
#[doc(alias = "shm_unlink")]
pub fn unlink(name: impl AsRef<str>) -> Result<()> {
    let name = ObjectName::new(name)?;
    shm_unlink(name.as_c_str()).map_err(|errno| Error::new("unlink", object(&name), errno.into()))
}

/// A file that has no name yet, and vanishes if it never gets one.
fn unnamed() -> Result<OwnedFd, Errno> {
    open(DIRECTORY, OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::S_IRUSR)
}

/// Fails with `EEXIST` where another object has the name.
fn give_name(file: &OwnedFd, name: &ObjectName) -> Result<(), Errno> {
    let unnamed = memfd::proc_path(file.as_fd());
    linkat(AT_FDCWD, &*unnamed, AT_FDCWD, &*path(name), AtFlags::AT_SYMLINK_FOLLOW)
}

/// Opens an object that has a size, which one in the making by another program has not.
fn open_sized(name: &ObjectName, access: OFlag) -> Result<OwnedFd> {
    let fail = |error| Error::new("open", object(name), error);
    // Nonblocking, so that a FIFO of this name keeps nobody waiting.
    let flags = access | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let file =
        shm_open(name.as_c_str(), flags, Mode::empty()).map_err(|errno| fail(errno.into()))?;
    let stat = fstat(&file).map_err(|errno| fail(errno.into()))?;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return Err(Error::invalid_input("open", object(name), "it is no shared memory"));
    }
    if stat.st_size > 0 {
        return Ok(file);
    }
    let empty = "its creator has not given it a size yet";
    Err(fail(io::Error::new(io::ErrorKind::WouldBlock, empty))
        .with_hint("wait for it with `open_timeout`, or unlink what a killed program has left"))
}

fn path(name: &ObjectName) -> String {
    format!("{DIRECTORY}{name}")
}

fn object(name: &ObjectName) -> String {
    format!("shared memory `{name}`")
}

/// The names of all objects there are, without those that a program keeps in subdirectories.
///
/// # Errors
///
/// What reading `/dev/shm` fails with.
///
/// # Examples
///
/// ```
/// use mp_shm::posix;
///
/// for name in posix::list()? {
///     println!("{name}");
/// }
/// # Ok::<(), mp_shm::Error>(())
/// ```
pub fn list() -> Result<Vec<ObjectName>> {
    let fail = |error| Error::new("list", DIRECTORY, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(DIRECTORY).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        // A name that is not UTF-8 is none of ours.
        names.extend(
            entry.file_name().to_str().filter(|_| is_file).map(ObjectName::new).transpose()?,
        );
    }
    Ok(names)
}
