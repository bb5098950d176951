use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use nix::fcntl::SealFlag;

use crate::{Error, Mapping, Memory, Result, SparseSegment, memfd};

/// Anonymous shared memory of a fixed size, reserved in full and mapped: a sealed memfd.
///
/// It has no name that could be left behind: it lives as long as some process has it open or mapped, however those end.
/// Seals fix its size, so no peer can turn an access into `SIGBUS` by truncating it; a receiver verifies that.
/// Clones share one mapping. With the feature `serde` it travels inside messages that carry descriptors.
///
/// # Examples
///
/// ```
/// use mp_shm::Segment;
/// use std::sync::atomic::Ordering;
///
/// let counter = Segment::create("counter", 8)?;
/// let clone = counter.clone();
/// clone.mapping().atomic_u64(0).unwrap().fetch_add(3, Ordering::Relaxed);
/// assert_eq!(counter.mapping().atomic_u64(0).unwrap().load(Ordering::Relaxed), 3);
/// # Ok::<(), mp_shm::Error>(())
/// ```
#[derive(Clone)]
pub struct Segment(Arc<Inner>);

struct Inner {
    fd: OwnedFd,
    mapping: Mapping,
}

impl Segment {
    /// `memfd_create(2)`—Reserves `len` bytes of zeroes, fixes the size with seals, and maps them.
    ///
    /// `name` is for the reader of `/proc/PID/maps`; it need not be unique.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where `len` is zero or `name` has a NUL or more than 249 bytes;
    /// [`FileTooLarge`](io::ErrorKind::FileTooLarge) beyond `RLIMIT_FSIZE`;
    /// [`StorageFull`](io::ErrorKind::StorageFull) or [`OutOfMemory`](io::ErrorKind::OutOfMemory) where there is not
    /// that much memory; any error of `memfd_create(2)` and `mmap(2)`.
    #[doc(alias = "memfd_create")]
    pub fn create(name: &str, len: usize) -> Result<Self> {
        Self::map(memfd::create_reserved(name, len, memfd::FIXED_SIZE)?)
    }

    /// A segment that only its creator may write, and whoever shares this handle: others
    /// [attach](crate::ReadSegment::from_fd) it for reading.
    ///
    /// The seal `F_SEAL_FUTURE_WRITE` refuses every further writable mapping and every `write(2)`.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    #[doc(alias = "F_SEAL_FUTURE_WRITE")]
    pub fn create_for_readers(name: &str, len: usize) -> Result<Self> {
        let fd = memfd::create_reserved(name, len, SealFlag::empty())?;
        let mapping = Mapping::map(&fd)?;
        memfd::seal(fd.as_fd(), &memfd::object(name), memfd::READ_ONLY)?;
        Ok(Self(Arc::new(Inner { fd, mapping })))
    }

    /// A [`SparseSegment`]: no memory is reserved and nothing is mapped.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create), except that lack of memory shows when it is written.
    pub fn create_sparse(name: &str, len: u64) -> Result<SparseSegment> {
        SparseSegment::create(name, len)
    }

    /// Maps a segment whose descriptor another process passed on.
    ///
    /// The kernel is asked about the descriptor itself: that it is a file, that seals fix its size, and what that is.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where it is something else; any error of `mmap(2)`.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        memfd::verify(&fd, memfd::FIXED_SIZE)?;
        Self::map(fd)
    }

    fn map(fd: OwnedFd) -> Result<Self> {
        let mapping = Mapping::map(&fd)?;
        Ok(Self(Arc::new(Inner { fd, mapping })))
    }

    /// The length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.mapping.len()
    }

    /// Always `false`: a segment has at least one byte.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.mapping.is_empty()
    }

    /// The memory.
    #[inline]
    pub fn memory(&self) -> &Memory {
        &self.0.mapping
    }

    /// The memory and how it is mapped.
    #[inline]
    pub fn mapping(&self) -> &Mapping {
        &self.0.mapping
    }

    /// A duplicate of the descriptor, to be passed to another process.
    ///
    /// # Errors
    ///
    /// At the limit of open descriptors.
    pub fn try_clone_fd(&self) -> Result<OwnedFd> {
        self.0
            .fd
            .try_clone()
            .map_err(|error| Error::new("duplicate", "shared memory segment", error))
    }
}

impl AsFd for Segment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

impl TryFrom<OwnedFd> for Segment {
    type Error = io::Error;

    fn try_from(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self::from_fd(fd)?)
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment").field("fd", &self.0.fd).field("len", &self.len()).finish()
    }
}
