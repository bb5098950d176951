//! Pages of a file in the address space.
//!
//! # Safety
//!
//! A mapping owns its pages: they are unmapped when it is dropped, and everything that refers to them borrows it.

#![allow(unsafe_code, reason = "this type owns raw memory")]

use std::{
    ops::Deref,
    os::fd::{AsFd, AsRawFd},
};

use memmap2::{MmapOptions, MmapRaw};

use crate::{Error, Memory, Result};

/// Pages of a file that can be read and written, by us and by everybody else who maps it.
///
/// What can be done with the bytes is in [`Memory`] and [`ReadMemory`](crate::ReadMemory), which this dereferences to.
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
    /// The bytes that `map` owns, kept here so that an access is one comparison and no arithmetic.
    memory: Memory,
    /// Unmaps on drop.
    _map: MmapRaw,
}

impl Mapping {
    /// `mmap(2)`—Maps a whole file, shared: readable, writable, and what one writes all see.
    ///
    /// The length is that of the file now. The descriptor may be closed afterwards.
    ///
    /// # Errors
    ///
    /// [`PermissionDenied`](std::io::ErrorKind::PermissionDenied) where the file is not open for reading and writing, or
    /// sealed against writing; any error of `fstat(2)` and `mmap(2)`.
    #[doc(alias = "mmap")]
    pub fn map(file: impl AsFd) -> Result<Self> {
        let map = MmapOptions::new()
            .map_raw(file.as_fd().as_raw_fd())
            .map_err(|error| Error::new("map", "a file", error))?;
        // SAFETY: the pages stay mapped readable and writable until `map` is dropped, with the result.
        let memory = unsafe { Memory::from_raw_parts(map.as_mut_ptr(), map.len()) };
        Ok(Self { memory, _map: map })
    }
}

impl Deref for Mapping {
    type Target = Memory;

    #[inline]
    fn deref(&self) -> &Memory {
        &self.memory
    }
}
