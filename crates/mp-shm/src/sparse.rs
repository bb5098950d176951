use std::{
    fs::File,
    io,
    ops::Range,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::FileExt,
    },
    sync::Arc,
};

use mp_os::retry;
use nix::fcntl::{FallocateFlags, fallocate};

use crate::{Error, Result, memfd};

/// Anonymous shared memory of a fixed size that is read and written by calls, not mapped; holes take no memory.
///
/// For what is written once and read once: a call reports lack of memory as an error, where a mapping would meet it as
/// `SIGBUS`, and costs less than mapping and unmapping. Seals fix the size, as in a [`Segment`](crate::Segment).
/// With the feature `serde` it travels inside messages that carry descriptors.
///
/// # Examples
///
/// ```
/// use mp_shm::Segment;
///
/// let pages = Segment::create_sparse("pages", 1 << 40)?;
/// pages.write_at(1 << 39, b"in the middle of a tebibyte")?;
/// let mut text = [0; 6];
/// pages.read_at((1 << 39) + 7, &mut text)?;
/// assert_eq!(&text, b"middle");
/// # Ok::<(), mp_shm::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SparseSegment {
    file: Arc<File>,
    len: u64,
}

impl SparseSegment {
    pub(crate) fn create(name: &str, len: u64) -> Result<Self> {
        let object = memfd::object(name);
        memfd::check_not_empty(&object, len)?;
        let fd = memfd::create(name)?;
        memfd::set_len(fd.as_fd(), &object, len)?;
        memfd::seal(fd.as_fd(), &object, memfd::FIXED_SIZE)?;
        Ok(Self { file: Arc::new(fd.into()), len })
    }

    /// A segment whose descriptor another process passed on; verified as by [`Segment::from_fd`](crate::Segment::from_fd).
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where it is not a file whose size is fixed by seals.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        let len = memfd::verify(&fd, memfd::FIXED_SIZE)?;
        Ok(Self { file: Arc::new(fd.into()), len })
    }

    /// The length in bytes, holes included.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Always `false`: a segment has at least one byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// `pread(2)`—Fills `bytes` from `offset`; holes are zeroes.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) beyond the end.
    #[doc(alias = "pread")]
    pub fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        self.check("read", offset, bytes.len() as u64)?;
        self.file
            .read_exact_at(bytes, offset)
            .map_err(|error| Error::new("read", self.object(), error))
    }

    /// `pwrite(2)`—Writes all of `bytes` at `offset`; memory that was a hole is allocated.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) beyond the end;
    /// [`StorageFull`](io::ErrorKind::StorageFull) or [`OutOfMemory`](io::ErrorKind::OutOfMemory) where there is not
    /// that much memory: a part may have been written.
    #[doc(alias = "pwrite")]
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = self.check("write", offset, bytes.len() as u64)?;
        // The limit may be lower here than in the process that created the segment.
        memfd::checked_size(&self.object(), end)?;
        self.file
            .write_all_at(bytes, offset)
            .map_err(|error| memfd::out_of_memory("write", self.object(), error))
    }

    /// `fallocate(2)`—Gives the memory of whole pages inside `range` back; all of `range` reads as zeroes from now on.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where `range` is empty or reaches beyond the end.
    #[doc(alias = "FALLOC_FL_PUNCH_HOLE")]
    pub fn punch_hole(&self, range: Range<u64>) -> Result<()> {
        let len = range.end.saturating_sub(range.start);
        self.check("punch a hole in", range.start, len)?;
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        // `check` keeps both within the length, which the kernel holds in an `off_t`.
        let (offset, len) = (range.start.cast_signed(), len.cast_signed());
        retry(|| Ok(fallocate(&*self.file, flags, offset, len)?))
            .map_err(|error| Error::new("punch a hole in", self.object(), error))
    }

    /// A duplicate of the descriptor, to be passed to another process.
    ///
    /// # Errors
    ///
    /// At the limit of open descriptors.
    pub fn try_clone_fd(&self) -> Result<OwnedFd> {
        self.as_fd()
            .try_clone_to_owned()
            .map_err(|error| Error::new("duplicate", self.object(), error))
    }

    /// The end of `len` bytes from `offset`, which must be inside.
    fn check(&self, verb: &'static str, offset: u64, len: u64) -> Result<u64> {
        offset.checked_add(len).filter(|&end| end <= self.len).ok_or_else(|| {
            Error::invalid_input(verb, self.object(), "the range reaches beyond its end")
        })
    }

    fn object(&self) -> String {
        format!("shared memory segment of {} bytes", self.len)
    }
}

impl AsFd for SparseSegment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl TryFrom<OwnedFd> for SparseSegment {
    type Error = io::Error;

    fn try_from(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self::from_fd(fd)?)
    }
}
