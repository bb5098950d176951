use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use crate::{Error, ReadMapping, ReadMemory, Result, memfd};

/// The reader's end of a [`Segment`](crate::Segment) that only its creator may write.
///
/// That nobody else can write it is verified on the descriptor; the creator still can at any time, so it is read as
/// copies. With the feature `serde` it travels inside messages that carry descriptors.
///
/// # Examples
///
/// ```
/// use mp_shm::{ReadSegment, Segment};
///
/// let producer = Segment::create_for_readers("prices", 4096)?;
/// let consumer = ReadSegment::from_fd(producer.try_clone_fd()?)?;
/// producer.memory().write(0, 42_u64)?;
/// assert_eq!(consumer.memory().read::<u64>(0)?, 42);
/// assert!(Segment::from_fd(producer.try_clone_fd()?).is_err(), "nobody else may write");
/// # Ok::<(), mp_shm::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ReadSegment(Arc<(OwnedFd, ReadMapping)>);

impl ReadSegment {
    /// Maps a segment whose descriptor its creator passed on.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where it is not one of
    /// [`Segment::create_for_readers`](crate::Segment::create_for_readers); any error of `mmap(2)`.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        memfd::verify(&fd, memfd::READ_ONLY)?;
        let mapping = ReadMapping::map(&fd)?;
        Ok(Self(Arc::new((fd, mapping))))
    }

    /// The length in bytes.
    pub fn len(&self) -> usize {
        self.memory().len()
    }

    /// Always `false`: a segment has at least one byte.
    pub fn is_empty(&self) -> bool {
        self.memory().is_empty()
    }

    /// The memory.
    #[inline]
    pub fn memory(&self) -> &ReadMemory {
        &self.0.1
    }

    /// A duplicate of the descriptor, to be passed to another process.
    ///
    /// # Errors
    ///
    /// At the limit of open descriptors.
    pub fn try_clone_fd(&self) -> Result<OwnedFd> {
        let duplicate = self.0.0.try_clone();
        duplicate.map_err(|error| Error::new("duplicate", "shared memory segment", error))
    }
}

impl AsFd for ReadSegment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

impl TryFrom<OwnedFd> for ReadSegment {
    type Error = io::Error;

    fn try_from(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self::from_fd(fd)?)
    }
}
