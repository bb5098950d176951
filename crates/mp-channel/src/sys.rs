//! The header of a ring as atomics.
//!
//! # Safety
//!
//! The one cast gives references to atomics only, which tolerate whatever other processes do to their memory.

#![allow(unsafe_code, reason = "atomics in mapped memory")]

use std::ptr::NonNull;

use mp_os::{Error, Result};
use mp_shm::Segment;

use crate::layout::Header;

/// A segment that begins with a header.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    pub(crate) segment: Segment,
    /// The first byte of the segment's mapping.
    header: NonNull<Header>,
}

// SAFETY: the pointer is to atomics, which any thread may use, in a mapping that the segment keeps alive.
unsafe impl Send for Memory {}

// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// The memory of `segment`, unless that is too small for a header.
    pub(crate) fn new(segment: Segment) -> Result<Self> {
        let header = NonNull::new(segment.mapping().as_ptr()).map(NonNull::cast::<Header>);
        match header.filter(|header| segment.len() >= size_of::<Header>() && header.is_aligned()) {
            Some(header) => Ok(Self { segment, header }),
            None => Err(Error::invalid_input("use", "a ring", "its segment is too small")),
        }
    }

    #[inline]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: `new` checked the length and the alignment, any bytes are valid atomics, and the mapping lives as long as
        // `self.segment`.
        unsafe { self.header.as_ref() }
    }
}
