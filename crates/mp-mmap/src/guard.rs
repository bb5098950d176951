//! Copies that survive the truncation of the file.
//!
//! # Safety
//!
//! The kernel copies, to and from addresses that were checked; a page that is gone is an error there, not a signal.

#![allow(unsafe_code, reason = "raw memory is written")]

use std::{error, fmt, io};

use crate::{Error, Memory, OutOfBounds, ReadMemory, sys};

/// Why a guarded copy did not copy everything.
#[derive(Debug)]
#[non_exhaustive]
pub enum GuardedError {
    /// The range is not inside the memory. Nothing was copied.
    OutOfBounds,
    /// Somebody has truncated the file, and the rest of the range lies on pages beyond its end.
    Truncated {
        /// The bytes that were copied before.
        copied: usize,
    },
    /// The operating system refused it.
    Os(Error),
}

impl fmt::Display for GuardedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfBounds => OutOfBounds.fmt(f),
            Self::Truncated { copied } => {
                write!(
                    f,
                    "the mapped file was truncated; {copied} bytes were copied before its end"
                )
            }
            Self::Os(error) => error.fmt(f),
        }
    }
}

impl error::Error for GuardedError {}

impl From<OutOfBounds> for GuardedError {
    fn from(_: OutOfBounds) -> Self {
        Self::OutOfBounds
    }
}

impl From<GuardedError> for io::Error {
    fn from(error: GuardedError) -> Self {
        match error {
            GuardedError::OutOfBounds => OutOfBounds.into(),
            GuardedError::Truncated { .. } => Self::new(io::ErrorKind::UnexpectedEof, error),
            GuardedError::Os(error) => error.into(),
        }
    }
}

impl GuardedError {
    fn of(copied: io::Result<usize>, wanted: usize) -> Result<(), Self> {
        match copied {
            Ok(copied) if copied == wanted => Ok(()),
            Ok(copied) => Err(Self::Truncated { copied }),
            Err(error) => Err(Self::Os(Error::new("copy", "mapped memory", error))),
        }
    }
}

impl ReadMemory {
    /// [`copy_out`](Self::copy_out) from a file that others may truncate meanwhile: an error then, not a `SIGBUS`.
    ///
    /// The kernel copies (`process_vm_readv(2)` on this process), which costs about a microsecond more. No signal
    /// handler is installed. What counts is whole pages: bytes beyond the end of the file on its last page are zeroes.
    ///
    /// # Errors
    ///
    /// [`GuardedError::Truncated`] where a page of the range is gone; the first bytes may have been copied.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_mmap::{GuardedError, Mapping};
    ///
    /// # let path = std::env::temp_dir().join(format!("mp-mmap-guard-{}", std::process::id()));
    /// let file = std::fs::File::create_new(&path)?;
    /// # std::fs::remove_file(&path)?;
    /// file.set_len(1 << 20)?;
    /// let mapping = Mapping::map(&file)?;
    ///
    /// file.set_len(0)?;
    /// let error = mapping.copy_out_guarded(0, &mut [0; 100]).unwrap_err();
    /// assert!(matches!(error, GuardedError::Truncated { copied: 0 }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn copy_out_guarded(&self, offset: usize, bytes: &mut [u8]) -> Result<(), GuardedError> {
        let from = self.at(offset, bytes.len())?;
        GuardedError::of(sys::read_guarded(from, bytes), bytes.len())
    }
}

impl Memory {
    /// [`copy_in`](Self::copy_in) to a file that others may truncate meanwhile: an error then, not a `SIGBUS`.
    ///
    /// As [`copy_out_guarded`](ReadMemory::copy_out_guarded); also reports a file system that is full.
    ///
    /// # Errors
    ///
    /// [`GuardedError::Truncated`] where a page of the range is gone; the first bytes may have been copied.
    pub fn copy_in_guarded(&self, offset: usize, bytes: &[u8]) -> Result<(), GuardedError> {
        let to = self.at(offset, bytes.len())?;
        // SAFETY: `at` checked that `to` is memory of ours that may be written, and nobody has references to it.
        GuardedError::of(unsafe { sys::write_guarded(bytes, to) }, bytes.len())
    }
}
