//! The system calls of this crate.
//!
//! # Safety
//!
//! Every function here is safe to call: each passes only integers.

#![allow(unsafe_code, reason = "system calls")]

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

use mp_os::cvt;
use nix::libc;

use crate::Mode;

/// Takes or, with `None`, releases the lock; without `wait` it fails rather than wait.
pub(crate) fn flock(fd: BorrowedFd<'_>, mode: Option<Mode>, wait: bool) -> io::Result<()> {
    let operation = match mode {
        Some(Mode::Shared) => libc::LOCK_SH,
        Some(Mode::Exclusive) => libc::LOCK_EX,
        None => libc::LOCK_UN,
    };
    let how = if wait { 0 } else { libc::LOCK_NB };
    // SAFETY: integers only.
    cvt(unsafe { libc::flock(fd.as_raw_fd(), operation | how) }).map(drop)
}
