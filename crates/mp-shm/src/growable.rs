use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::sys::stat::fstat;

use crate::{Error, Mapping, Memory, Result, memfd};

/// Anonymous shared memory that can grow: a memfd sealed against shrinking only.
///
/// Whoever has it may grow it; the others [follow](Self::refresh) when they learn of it, by a length they agree on in the
/// memory itself, for example. What was mapped stays mapped, so nobody has to hurry. The handle is not shared between
/// threads: growing moves the mapping. With the feature `serde` it travels inside messages that carry descriptors.
///
/// # Examples
///
/// ```
/// use mp_shm::GrowableSegment;
///
/// let mut ours = GrowableSegment::create("heap", 4096)?;
/// let mut theirs = GrowableSegment::from_fd(ours.try_clone_fd()?)?;
/// ours.grow(1 << 20)?;
/// ours.memory().copy_in(1_000_000, b"beyond")?;
///
/// assert_eq!(theirs.refresh()?, 1 << 20);
/// assert_eq!(theirs.memory().read::<[u8; 6]>(1_000_000)?, *b"beyond");
/// # Ok::<(), mp_shm::Error>(())
/// ```
#[derive(Debug)]
pub struct GrowableSegment {
    fd: OwnedFd,
    mapping: Mapping,
}

impl GrowableSegment {
    /// `memfd_create(2)`—Reserves `len` bytes of zeroes, and maps them.
    ///
    /// # Errors
    ///
    /// As [`Segment::create`](crate::Segment::create).
    #[doc(alias = "memfd_create")]
    pub fn create(name: &str, len: usize) -> Result<Self> {
        let fd = memfd::create_reserved(name, len, memfd::GROWABLE)?;
        let mapping = Mapping::map(&fd)?;
        Ok(Self { fd, mapping })
    }

    /// Maps a segment whose descriptor another process passed on, as large as it is now.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where it is not sealed against shrinking; any error of `mmap(2)`.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        memfd::verify(&fd, memfd::GROWABLE)?;
        let mapping = Mapping::map(&fd)?;
        Ok(Self { fd, mapping })
    }

    /// Reserves memory up to `len` bytes and maps it; where others made it larger meanwhile, all of that.
    ///
    /// # Errors
    ///
    /// [`StorageFull`](io::ErrorKind::StorageFull), [`OutOfMemory`](io::ErrorKind::OutOfMemory) or
    /// [`FileTooLarge`](io::ErrorKind::FileTooLarge) as for [`create`](Self::create): the segment may have grown in part
    /// then. `EPERM` where it is one of fixed size after all.
    pub fn grow(&mut self, len: usize) -> Result<usize> {
        memfd::reserve(self.fd.as_fd(), &self.object(), self.len() as u64, len as u64)?;
        self.refresh()
    }

    /// Maps what others have added: the length in bytes from now on.
    ///
    /// # Errors
    ///
    /// What `mremap(2)` fails with; the mapping is unchanged then.
    pub fn refresh(&mut self) -> Result<usize> {
        let fail = |error| Error::new("size", self.object(), error);
        let stat = fstat(&self.fd).map_err(|errno| fail(errno.into()))?;
        let len = usize::try_from(stat.st_size).map_err(|error| fail(io::Error::other(error)))?;
        if len > self.len() {
            self.mapping.remap(&self.fd, len)?;
        }
        Ok(self.len())
    }

    /// The length in bytes that is mapped.
    pub fn len(&self) -> usize {
        self.mapping.len()
    }

    /// Always `false`: a segment has at least one byte.
    pub fn is_empty(&self) -> bool {
        self.mapping.is_empty()
    }

    /// The memory.
    #[inline]
    pub fn memory(&self) -> &Memory {
        &self.mapping
    }

    /// A duplicate of the descriptor, to be passed to another process.
    ///
    /// # Errors
    ///
    /// At the limit of open descriptors.
    pub fn try_clone_fd(&self) -> Result<OwnedFd> {
        self.fd.try_clone().map_err(|error| Error::new("duplicate", self.object(), error))
    }

    fn object(&self) -> String {
        format!("growable shared memory segment of {} bytes", self.len())
    }
}

impl AsFd for GrowableSegment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl TryFrom<OwnedFd> for GrowableSegment {
    type Error = io::Error;

    fn try_from(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self::from_fd(fd)?)
    }
}
