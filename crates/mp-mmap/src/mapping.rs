//! Pages in the address space.
//!
//! # Safety
//!
//! A mapping owns its pages: they are unmapped when it is dropped, and everything that refers to them borrows it. What
//! moves them or changes their protection takes the mapping by value or exclusively, so that nobody refers to them then.

#![allow(unsafe_code, reason = "this type owns raw memory")]

use std::{
    io,
    ops::Deref,
    os::fd::{AsFd, RawFd},
};

use memmap2::{MmapOptions, MmapRaw, RemapOptions};
use nix::sys::stat::{FileStat, fstat};

use crate::{
    Error, MapOptions, Memory, ReadMemory, Result,
    options::describe,
    sys::{self, AnonymousPages, PageRange},
};

/// Pages that can be read and written, by us and by everybody else who maps them.
///
/// What can be done with the bytes is in [`Memory`] and [`ReadMemory`], which this dereferences to. They are unmapped on
/// drop; what was written stays in the file.
///
/// # Examples
///
/// ```
/// use mp_mmap::Mapping;
///
/// # let path = std::env::temp_dir().join(format!("mp-mmap-mapping-{}", std::process::id()));
/// let file = std::fs::File::create_new(&path)?;
/// # std::fs::remove_file(&path)?;
/// file.set_len(100)?;
/// let (one, other) = (Mapping::map(&file)?, Mapping::map(&file)?);
///
/// one.copy_in(96, b"tail")?;
/// let mut bytes = Vec::new();
/// other.copy_out_vec(96, 4, &mut bytes)?;
/// assert_eq!(bytes, b"tail");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Mapping {
    /// The bytes that `pages` owns, kept here so that an access is one comparison and no arithmetic.
    memory: Memory,
    pages: Pages,
}

/// Pages that can only be read, although others may write them.
///
/// What can be done with the bytes is in [`ReadMemory`], which this dereferences to.
///
/// # Examples
///
/// ```
/// use mp_mmap::ReadMapping;
///
/// let program = ReadMapping::map(std::fs::File::open("/proc/self/exe")?)?;
/// assert_eq!(program.read::<[u8; 4]>(0)?, *b"\x7fELF");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ReadMapping {
    memory: ReadMemory,
    pages: Pages,
}

/// Unmapped on drop.
#[derive(Debug)]
enum Pages {
    File(MmapRaw, Origin),
    Anonymous { _pages: AnonymousPages },
}

/// Which part of which file is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    device: u64,
    inode: u64,
    offset: u64,
}

impl Origin {
    pub(crate) fn of(stat: &FileStat, offset: u64) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino, offset }
    }
}

impl Mapping {
    /// `mmap(2)`—Maps a whole file, shared: readable, writable, and what one writes all see.
    ///
    /// The length is that of the file now. The descriptor may be closed afterwards. For more, see [`MapOptions`].
    ///
    /// # Errors
    ///
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) where the file is not open for reading and writing, or
    /// sealed against writing; any error of `fstat(2)` and `mmap(2)`.
    #[doc(alias = "mmap")]
    pub fn map(file: impl AsFd) -> Result<Self> {
        MapOptions::new().map(file)
    }

    /// `mmap(MAP_ANONYMOUS | MAP_SHARED)`—`len` bytes of zeroes, shared with the children that this process forks.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where `len` is zero,
    /// [`OutOfMemory`](io::ErrorKind::OutOfMemory) where there is not that much.
    #[doc(alias = "MAP_ANONYMOUS")]
    pub fn anonymous(len: usize) -> Result<Self> {
        MapOptions::new().len(len).map_anonymous()
    }

    pub(crate) fn of_file(map: MmapRaw, origin: Origin) -> Self {
        // SAFETY: the pages stay mapped readable and writable until `map` is dropped, with the result.
        let memory = unsafe { Memory::from_raw_parts(map.as_mut_ptr(), map.len()) };
        Self { memory, pages: Pages::File(map, origin) }
    }

    pub(crate) fn of_anonymous(pages: AnonymousPages, len: usize) -> Self {
        // SAFETY: the pages stay mapped readable and writable until `pages` is dropped, with the result.
        let memory = unsafe { Memory::from_raw_parts(pages.as_ptr(), len) };
        Self { memory, pages: Pages::Anonymous { _pages: pages } }
    }

    /// `mremap(2)`—Maps `len` bytes from the same place of `file` instead, at another address if need be.
    ///
    /// For a file that has grown: that it reaches so far, and that it is the file which is mapped, is checked.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where `file` is another one or too short, `len` is zero, or the
    /// memory is anonymous; any other error of `mremap(2)`. The mapping is unchanged then.
    #[doc(alias = "mremap")]
    pub fn remap(&mut self, file: impl AsFd, len: usize) -> Result<()> {
        let map = self.pages.remap(&file, len)?;
        // SAFETY: as in `of_file`; nobody borrows the old place.
        self.memory = unsafe { Memory::from_raw_parts(map.as_mut_ptr(), map.len()) };
        Ok(())
    }

    /// `mprotect(2)`—Gives up writing.
    ///
    /// # Errors
    ///
    /// Where the kernel cannot split its bookkeeping ([`OutOfMemory`](io::ErrorKind::OutOfMemory)); unmapped then.
    #[doc(alias = "mprotect")]
    pub fn into_read_only(self) -> Result<ReadMapping> {
        protect(&self.memory, false)?;
        // SAFETY: the pages stay mapped readable until `pages` is dropped, with the result.
        let memory = unsafe { ReadMemory::from_raw_parts(self.memory.as_ptr(), self.memory.len()) };
        Ok(ReadMapping { memory, pages: self.pages })
    }
}

impl ReadMapping {
    /// `mmap(2)`—Maps a whole file, shared: what others write shows.
    ///
    /// # Errors
    ///
    /// Any error of `fstat(2)` and `mmap(2)`.
    #[doc(alias = "mmap")]
    pub fn map(file: impl AsFd) -> Result<Self> {
        MapOptions::new().map_read_only(file)
    }

    pub(crate) fn of_file(map: MmapRaw, origin: Origin) -> Self {
        // SAFETY: the pages stay mapped readable until `map` is dropped, with the result.
        let memory = unsafe { ReadMemory::from_raw_parts(map.as_mut_ptr(), map.len()) };
        Self { memory, pages: Pages::File(map, origin) }
    }

    /// `mremap(2)`—As [`Mapping::remap`].
    ///
    /// # Errors
    ///
    /// As [`Mapping::remap`].
    #[doc(alias = "mremap")]
    pub fn remap(&mut self, file: impl AsFd, len: usize) -> Result<()> {
        let map = self.pages.remap(&file, len)?;
        // SAFETY: as in `of_file`; nobody borrows the old place.
        self.memory = unsafe { ReadMemory::from_raw_parts(map.as_mut_ptr(), map.len()) };
        Ok(())
    }

    /// `mprotect(2)`—Allows writing.
    ///
    /// # Errors
    ///
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) where the file was opened for reading only, or is sealed
    /// against writing; unmapped then.
    #[doc(alias = "mprotect")]
    pub fn into_writable(self) -> Result<Mapping> {
        protect(&self.memory, true)?;
        let ptr = self.memory.as_ptr().cast_mut();
        // SAFETY: the pages stay mapped readable and writable until `pages` is dropped, with the result.
        let memory = unsafe { Memory::from_raw_parts(ptr, self.memory.len()) };
        Ok(Mapping { memory, pages: self.pages })
    }
}

impl Pages {
    /// Moves the mapping; the caller has it exclusively.
    fn remap(&mut self, file: &impl AsFd, len: usize) -> Result<&MmapRaw> {
        let fd = file.as_fd();
        let refuse = |reason| Err(Error::invalid_input("remap", describe(fd), reason));
        let Self::File(map, origin) = self else {
            return refuse("anonymous memory that others share cannot change its size");
        };
        let fail = |error| Error::new("remap", describe(fd), error);
        let stat = fstat(fd).map_err(|errno| fail(errno.into()))?;
        if Origin::of(&stat, origin.offset) != *origin {
            return refuse("another file is mapped");
        }
        let end = origin.offset.checked_add(len as u64);
        if len == 0 || end.is_none_or(|end| end > stat.st_size.unsigned_abs()) {
            return refuse("the file does not reach that far, or the length is zero");
        }
        let options = RemapOptions::new().may_move(true);
        // SAFETY: the file has these pages, and nobody refers to the old place.
        unsafe { map.remap(len, options) }.map_err(fail)?;
        Ok(map)
    }
}

/// For a mapping that the caller owns and is about to turn into the other kind.
fn protect(memory: &ReadMemory, writable: bool) -> Result<()> {
    let Some(pages) = PageRange::around(memory.as_ptr().cast_mut(), memory.len().max(1)) else {
        return Ok(());
    };
    // SAFETY: the caller owns the mapping, so nobody borrows its memory.
    unsafe { sys::mprotect(pages, writable) }
        .map_err(|error| Error::new("change the protection of", "mapped memory", error))
}

/// `mmap(MAP_PRIVATE)`.
pub(crate) fn map_copy(options: &MmapOptions, file: RawFd) -> io::Result<MmapRaw> {
    // SAFETY: no slice is formed over the memory: it becomes a raw mapping at once.
    unsafe { options.map_copy(file) }.map(MmapRaw::from)
}

impl Deref for Mapping {
    type Target = Memory;

    #[inline]
    fn deref(&self) -> &Memory {
        &self.memory
    }
}

impl Deref for ReadMapping {
    type Target = ReadMemory;

    #[inline]
    fn deref(&self) -> &ReadMemory {
        &self.memory
    }
}
