//! Memory shared with programs that use the `shared_memory` crate, version 0.12.
//!
//! That crate names a segment in one of two ways. Its *os_id* is the name of a POSIX object: [`posix`](crate::posix) opens
//! and creates those as they are. Its *flink* is a file that holds such a name: this module opens and creates these.
//!
//! ```
//! use mp_shm::flink::LinkedMemory;
//!
//! # let link = std::env::temp_dir().join(format!("mp-shm-doc-flink-{}", std::process::id()));
//! let ours = LinkedMemory::create_new(&link, 4096)?;
//! let theirs = LinkedMemory::open(&link)?;
//! ours.memory().copy_in(0, b"hello")?;
//! assert_eq!(theirs.memory().read::<[u8; 5]>(0)?, *b"hello");
//! # Ok::<(), mp_shm::Error>(())
//! ```
//!
//! What is different here: the memory is reserved, file and object appear only when they are complete, and an opener can
//! wait for them. What cannot be: an owner killed by `SIGKILL` leaves both behind, as with that crate.

use std::{
    fs,
    hash::{BuildHasher, RandomState},
    io::{self, Read, Write},
    ops::Deref,
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use mp_os::Deadline;
use nix::{
    fcntl::{AT_FDCWD, AtFlags, OFlag},
    libc,
    unistd::linkat,
};

use crate::{Error, Result, TimeoutError, memfd, posix::SharedMemory, watch::watch};

/// A name has 255 bytes and a slash at most.
const NAME_LEN: u64 = 256;

/// A [`SharedMemory`] that is found by a file with its name.
///
/// Whoever created it owns both: dropping it removes the file and the object, unless it is to
/// [persist](SharedMemory::persist).
///
/// # Examples
///
/// ```
/// use mp_shm::flink::LinkedMemory;
///
/// # let link = std::env::temp_dir().join(format!("mp-shm-doc-linked-{}", std::process::id()));
/// let linked = LinkedMemory::create_new(&link, 4096)?;
/// assert_eq!(std::fs::read_to_string(&link)?, linked.name().as_str());
/// drop(linked);
/// assert!(!link.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LinkedMemory {
    link: PathBuf,
    memory: SharedMemory,
}

impl LinkedMemory {
    /// Creates an object of `len` zeroes with a name of its own, and a file `link` that tells the name.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) where there is a file `link`; any error of creating a file, and of
    /// [`SharedMemory::create_new`].
    pub fn create_new(link: impl AsRef<Path>, len: usize) -> Result<Self> {
        let link = link.as_ref().to_owned();
        let memory = loop {
            let number = RandomState::new().hash_one(0);
            match SharedMemory::create_new(format!("/shmem_{number:X}"), len) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => break result?,
            }
        };
        write_link(&link, memory.name().as_str())
            .map_err(|error| Error::new("create", object(&link), error))?;
        Ok(Self { link, memory })
    }

    /// Opens the object whose name the file `link` tells.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) where the file or the object is missing;
    /// [`InvalidData`](io::ErrorKind::InvalidData) where the file is none, or has more in it than a name;
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) where another program is just creating them.
    pub fn open(link: impl AsRef<Path>) -> Result<Self> {
        let link = link.as_ref().to_owned();
        let fail = |error| Error::new("read", object(&link), error);
        let name = read_link(&link).map_err(fail)?;
        if name.is_empty() {
            return Err(fail(io::Error::new(
                io::ErrorKind::WouldBlock,
                "its creator has not written it yet",
            )));
        }
        let memory = SharedMemory::open(&name)?;
        Ok(Self { link, memory })
    }

    /// [`open`](Self::open) when the file and the object are there: waits for that until `deadline`.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TimeoutError::TimedOut), or any other error of [`open`](Self::open).
    pub fn open_deadline(link: impl AsRef<Path>, deadline: Instant) -> Result<Self, TimeoutError> {
        Self::open_when_there(link.as_ref(), Deadline::at(deadline))
    }

    /// [`open_deadline`](Self::open_deadline), that long from now.
    ///
    /// # Errors
    ///
    /// As [`open_deadline`](Self::open_deadline).
    pub fn open_timeout(link: impl AsRef<Path>, timeout: Duration) -> Result<Self, TimeoutError> {
        Self::open_when_there(link.as_ref(), Deadline::after(timeout))
    }

    /// The `shared_memory` crate writes the file last, so that is what there is to wait for.
    fn open_when_there(link: &Path, deadline: Deadline) -> Result<Self, TimeoutError> {
        watch(directory(link), deadline, || Self::open(link))
    }

    /// Leaves the file and the object when this is dropped.
    pub fn persist(&mut self) {
        self.memory.persist();
    }

    /// The file.
    pub fn link(&self) -> &Path {
        &self.link
    }
}

impl Deref for LinkedMemory {
    type Target = SharedMemory;

    fn deref(&self) -> &SharedMemory {
        &self.memory
    }
}

impl Drop for LinkedMemory {
    fn drop(&mut self) {
        let named = || read_link(&self.link).ok();
        // Somebody may have linked another object by the same file meanwhile.
        if self.memory.is_owner() && named().as_deref() == Some(self.memory.name().as_str()) {
            // Nobody is left to be told of an error.
            let _ = fs::remove_file(&self.link);
        }
    }
}

/// What the file tells. Whatever is at the path, it is not waited for, and no more is read than a name may have.
fn read_link(link: &Path) -> io::Result<String> {
    let file = fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(link)?;
    let mut name = String::new();
    if file.metadata()?.is_file() {
        file.take(NAME_LEN + 1).read_to_string(&mut name)?;
        if name.len() as u64 <= NAME_LEN {
            return Ok(name);
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "it is no file with a name in it"))
}

/// Makes the file appear with its contents.
fn write_link(link: &Path, name: &str) -> io::Result<()> {
    let mut options = fs::File::options();
    options.write(true).mode(0o600);
    let unnamed = options.clone().custom_flags(OFlag::O_TMPFILE.bits()).open(directory(link));
    let mut file = match unnamed {
        // A file system without files that have no name. The one `write` makes it complete.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            return options.create_new(true).open(link)?.write_all(name.as_bytes());
        }
        file => file?,
    };
    file.write_all(name.as_bytes())?;
    let unnamed = memfd::proc_path(file.as_fd());
    Ok(linkat(AT_FDCWD, &*unnamed, AT_FDCWD, link, AtFlags::AT_SYMLINK_FOLLOW)?)
}

fn directory(link: &Path) -> &Path {
    match link.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn object(link: &Path) -> String {
    format!("shared memory link `{}`", link.display())
}
