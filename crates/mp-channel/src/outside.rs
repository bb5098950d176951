//! Records that are too large for the ring: in a sparse file beside it, at places that follow from what the ring holds.
//!
//! There is no allocator whose state a `SIGKILL` could damage. A producer, under the tail lock, finds out what is in flight
//! by reading the records in the ring, which nobody overwrites meanwhile, and takes a place that none of them uses. The
//! commit of the record that names the place is what allocates it, the commit of its pop is what frees it.
//!
//! * The first [`WINDOW`] bytes of the file keep their memory: writing to memory that is there and mapped is twenty times
//!   faster than to memory that the kernel must find and clear first. A record takes the first gap in them that is long
//!   enough, so that a stream stays in the little memory that it has used last, which the caches have.
//! * A longer record is stored alone, with nothing else in flight, in a slot of its own beyond the window, whose memory the
//!   consumer gives back. The slot follows from the record's position in the ring; there are two for each position, used
//!   by turns. A consumer gives memory back under the head lock after its commit, when producers may already write the
//!   next records: a slot comes round only after two laps of the ring, for the second of which the head has to move.

mod in_flight;

use mp_os::{Error, Result};
use mp_shm::{Segment, SparseSegment};
use nix::sys::stat::fstat;
use std::{io, sync::OnceLock};

pub(crate) use self::in_flight::InFlight;
use crate::{
    error::damaged,
    layout::Shape,
    position::Position,
    sys,
    window::{WINDOW, Window},
};

/// The longest slot.
const SLOT_MAX: u64 = 64 << 30;

/// The longest file that leaves the kernel's arithmetic on file positions alone.
const FILE_MAX: u64 = 1 << 60;

#[derive(Debug)]
pub(crate) struct Outside {
    pub(crate) file: SparseSegment,
    window: OnceLock<Window>,
    /// The number of slots, two for each unit of the ring; a power of two.
    slots: u64,
    /// The length of a slot; zero where the file is the window only.
    slot: u64,
}

/// A part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

impl Place {
    /// The first `len` bytes of it, which it must have, and the others.
    pub(crate) fn split_at(self, len: u64) -> (Self, Self) {
        let rest = Self { offset: self.offset + len, len: self.len - len };
        (Self { offset: self.offset, len }, rest)
    }
}

impl Outside {
    /// A file for a ring of this shape.
    pub(crate) fn create(shape: Shape) -> Result<SparseSegment> {
        let (slots, slot) = Self::slots(shape);
        match Segment::create_sparse("mp-ring-outside", WINDOW + slots * slot) {
            // A limit on file sizes need not keep anybody from using a ring.
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                Segment::create_sparse("mp-ring-outside", WINDOW)
            }
            result => result,
        }
    }

    /// The file of a ring, whoever made it.
    pub(crate) fn new(file: SparseSegment, shape: Shape) -> Self {
        let (slots, slot) = Self::slots(shape);
        let slot = if file.len() == WINDOW + slots * slot { slot } else { 0 };
        Self { file, window: OnceLock::new(), slots, slot }
    }

    fn slots(shape: Shape) -> (u64, u64) {
        let slots = u64::from(shape.units()) * 2;
        (slots, SLOT_MAX.min(FILE_MAX / slots))
    }

    /// The longest record.
    pub(crate) fn max_len(&self) -> u64 {
        self.file.len().min(WINDOW).max(self.slot)
    }

    /// A place for `len` bytes of a record at `position`; `None` while what is in flight leaves none.
    pub(crate) fn place(&self, len: u64, position: Position, in_flight: InFlight) -> Option<Place> {
        let offset = if len > WINDOW {
            in_flight.is_empty().then(|| self.slot_at(position.units()))
        } else {
            in_flight.first_gap(len)
        };
        offset.map(|offset| Place { offset, len })
    }

    /// Where a long record at `units` is stored.
    fn slot_at(&self, units: u32) -> u64 {
        WINDOW + (u64::from(units) & (self.slots - 1)) * self.slot
    }

    /// Whether a record at `units` may say that it is stored in `place`.
    pub(crate) fn is_valid(&self, place: Place, units: u32) -> bool {
        let end = place.offset.checked_add(place.len);
        end.is_some_and(|end| end <= WINDOW)
            || place.len <= self.slot && place.offset == self.slot_at(units)
    }

    fn window(&self) -> Result<&Window> {
        match self.window.get() {
            Some(window) => Ok(window),
            None => {
                let window = Window::map(&self.file)?;
                Ok(self.window.get_or_init(|| window))
            }
        }
    }

    pub(crate) fn write(&self, place: Place, parts: &[&[u8]]) -> Result<()> {
        if place.offset < WINDOW {
            return self.window()?.write(&self.file, place, parts);
        }
        let mut offset = place.offset;
        for part in parts {
            self.file.write_at(offset, part)?;
            offset += part.len() as u64;
        }
        Ok(())
    }

    /// Appends the contents of a record to `bytes`, which has the capacity.
    pub(crate) fn read(&self, place: Place, bytes: &mut Vec<u8>) -> Result<()> {
        if place.offset < WINDOW {
            return self.window()?.read(&self.file, place, bytes);
        }
        sys::read_at(&self.file, place.offset, place.len as usize, bytes)
            .map_err(|error| Error::new("read", "a large record of a ring", error))
    }

    /// Gives back the memory of a record that was at `units`, if it had a slot.
    pub(crate) fn free(&self, place: Place, units: u32) -> Result<()> {
        if place.offset != self.slot_at(units) || place.len == 0 || self.slot == 0 {
            return Ok(());
        }
        self.file.punch_hole(place.offset..place.offset + place.len)
    }

    /// Gives back the memory of whatever may be left in the slot of a record at `units`.
    pub(crate) fn free_slot(&self, units: u32) -> Result<()> {
        self.free(Place { offset: self.slot_at(units), len: self.slot }, units)
    }
}

/// Makes sure that `file` has as much memory as a record of `len` bytes takes: a peer may have made the length up.
pub(crate) fn check_written(file: &SparseSegment, len: u64) -> Result<()> {
    const BLOCK: u64 = 512;
    let status = fstat(file).map_err(|error| Error::new("size", "a ring's file", error.into()))?;
    let written = status.st_blocks.cast_unsigned().saturating_mul(BLOCK);
    if written < len { Err(damaged("pop from")) } else { Ok(()) }
}

/// The contents of a record do not fit into this process.
pub(crate) fn no_memory(len: u64) -> Error {
    Error::new("pop", format!("a record of {len} bytes"), io::ErrorKind::OutOfMemory.into())
}
