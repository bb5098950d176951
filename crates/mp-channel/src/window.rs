//! The part of the file for large records that keeps its memory, mapped.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use mp_mmap::{MapOptions, Mapping};
use mp_os::{Error, Result, retry};
use mp_shm::SparseSegment;
use nix::fcntl::{FallocateFlags, fallocate};

use crate::outside::Place;

/// The length of the window in bytes.
pub(crate) const WINDOW: u64 = 16 << 20;

/// Memory is reserved by so many bytes, so that there are few calls and none that a storm of signals keeps from ending.
const STEP: u64 = 64 << 10;

/// Mapped when this process comes by its first large record.
#[derive(Debug)]
pub(crate) struct Window {
    mapping: Mapping,
    /// The length that is known to have memory.
    reserved: AtomicU64,
}

impl Window {
    pub(crate) fn map(file: &SparseSegment) -> Result<Self> {
        let mapping = MapOptions::new().len(WINDOW as usize).map(file)?;
        Ok(Self { mapping, reserved: AtomicU64::new(0) })
    }

    pub(crate) fn write(&self, file: &SparseSegment, place: Place, parts: &[&[u8]]) -> Result<()> {
        self.reserve(file, place)?;
        let mut offset = place.offset as usize;
        for part in parts {
            self.mapping.copy_in(offset, part)?;
            offset += part.len();
        }
        Ok(())
    }

    pub(crate) fn read(
        &self,
        file: &SparseSegment,
        place: Place,
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        self.reserve(file, place)?;
        Ok(self.mapping.copy_out_vec(place.offset as usize, place.len as usize, bytes)?)
    }

    /// Makes sure that there is memory: an access without could end in `SIGBUS`, where this is an error.
    fn reserve(&self, file: &SparseSegment, place: Place) -> Result<()> {
        let end = place.offset + place.len;
        while self.reserved.load(Relaxed) < end {
            let start = self.reserved.load(Relaxed);
            let (offset, len) = (start.cast_signed(), STEP.cast_signed());
            retry(|| Ok(fallocate(file, FallocateFlags::empty(), offset, len)?))
                .map_err(|error| Error::new("reserve memory for", "a large record", error))?;
            self.reserved.fetch_max(start + STEP, Relaxed);
        }
        Ok(())
    }
}
