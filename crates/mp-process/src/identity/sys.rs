//! Random bytes.
//!
//! # Safety
//!
//! The one call is passed a borrowed buffer and its length.

#![allow(unsafe_code, reason = "a system call")]

use std::io;

use mp_os::{cvt, retry};
use nix::libc;

/// `getrandom(2)`—Fills `bytes`, of which there are at most 256: so many come at once.
pub(super) fn fill_randomly(bytes: &mut [u8; 32]) -> io::Result<()> {
    // SAFETY: `bytes` is valid for writes of its length.
    retry(|| cvt(unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) })).map(drop)
}
