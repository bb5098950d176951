//! The header of a ring as atomics, and reading into memory that need not be cleared first.
//!
//! # Safety
//!
//! The one cast gives references to atomics only, which tolerate whatever other processes do to their memory. The one call
//! writes into the spare capacity of a vector. The instructions that prefetch change nothing but what lies in the cache.

#![allow(unsafe_code, reason = "atomics in mapped memory, a system call, and prefetching")]

use std::{
    arch::asm,
    io,
    os::fd::{AsFd, AsRawFd},
    ptr::NonNull,
};

use mp_os::{Error, Result, cvt, retry};
use mp_shm::Segment;
use nix::libc;

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

/// `pread(2)`—Appends the `len` bytes of `file` from `offset` to `bytes`, which has the capacity.
pub(crate) fn read_at(
    file: impl AsFd,
    offset: u64,
    len: usize,
    bytes: &mut Vec<u8>,
) -> io::Result<()> {
    let start = bytes.len();
    loop {
        let done = bytes.len() - start;
        let rest = (len - done).min(bytes.capacity() - bytes.len());
        if rest == 0 {
            return if done == len { Ok(()) } else { Err(io::ErrorKind::OutOfMemory.into()) };
        }
        let at = libc::off_t::try_from(offset + done as u64).map_err(io::Error::other)?;
        let to = bytes.spare_capacity_mut().as_mut_ptr().cast::<libc::c_void>();
        let fd = file.as_fd().as_raw_fd();
        // SAFETY: `to` is the spare capacity, which is at least `rest` bytes.
        let read = retry(|| cvt(unsafe { libc::pread(fd, to, rest, at) }))?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // SAFETY: the call has initialized so many bytes beyond the old length.
        unsafe { bytes.set_len(bytes.len() + read.unsigned_abs()) };
    }
}

/// Asks for the cache line at `address`, to write to it soon. A hint: any address will do.
#[inline]
pub(crate) fn will_write(address: *const u8) {
    // SAFETY: it changes no memory, register or flag, and faults at no address.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    unsafe {
        asm!("prefetchw [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    // SAFETY: as above.
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    unsafe {
        asm!("prfm pstl1keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
}

/// Asks for the cache line at `address`, to read it soon. A hint: any address will do.
#[inline]
pub(crate) fn will_read(address: *const u8) {
    // SAFETY: as above.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    unsafe {
        asm!("prefetcht0 [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    // SAFETY: as above.
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    unsafe {
        asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
}
