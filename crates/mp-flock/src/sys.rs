//! The system calls of this crate.
//!
//! # Safety
//!
//! Every function here is safe to call: the calls take integers only, and what moves a value out does it once.

#![allow(unsafe_code, reason = "system calls")]

use std::{
    io,
    mem::ManuallyDrop,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    ptr,
};

use mp_os::cvt;
use nix::libc;

use crate::{Backend, Guard, Mode};

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

/// The file of a guard, which a type with a destructor cannot give away by itself.
pub(crate) fn into_file<F: AsFd, B: Backend>(guard: Guard<F, B>) -> F {
    let guard = ManuallyDrop::new(guard);
    // SAFETY: `guard` is neither dropped nor used after this, so its file has one owner.
    unsafe { ptr::read(&raw const guard.file) }
}
