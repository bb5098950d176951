//! Copies of the fork server.
//!
//! # Safety
//!
//! [`sibling`] is safe to call in the fork server, which has one thread from its first instruction to its last. [`settle`]
//! passes pointers to its own local and to a constant, and [`replace`] integers only.

#![allow(unsafe_code, reason = "a bare clone")]

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use mp_os::cvt;
use nix::{libc, unistd::Pid};

use crate::clone::{Registration, Side, clone_process};

/// A copy of this process, as a child of its parent.
pub(super) fn sibling(registration: &Registration) -> io::Result<Side> {
    // SAFETY: this process has one thread, whose registration that is.
    unsafe { clone_process(libc::CLONE_PARENT, registration) }
}

/// In a copy: unblocks all signals, ties its life to `parent`'s, and takes a name.
///
/// The calls go by number through one function of the C library: the others are on pages of their own, and a page that a
/// copy touches first costs as much as several calls.
pub(super) fn settle(parent: Pid) -> io::Result<()> {
    let (set, none) = (0_u64, 0_usize);
    let (change, size) = (libc::SIG_SETMASK, size_of_val(&set));
    // SAFETY: `set` is a set of signals as the kernel knows it, of that size.
    cvt(unsafe { libc::syscall(libc::SYS_rt_sigprocmask, change, &raw const set, none, size) })?;
    // SAFETY: integers only.
    cvt(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
    // SAFETY: a C string, which the kernel copies.
    cvt(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_NAME, c"mp-spare".as_ptr()) })?;
    // SAFETY: no arguments.
    if unsafe { libc::syscall(libc::SYS_getppid) } != parent.as_raw().into() {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    Ok(())
}

/// Puts the file of `new` in the place of `old`, which is closed.
pub(super) fn replace(old: OwnedFd, new: OwnedFd) -> io::Result<OwnedFd> {
    let (from, to) = (new.as_raw_fd(), old.as_raw_fd());
    // SAFETY: integers only; `old` owns the place, and what was there is not used any more.
    cvt(unsafe { libc::syscall(libc::SYS_dup3, from, to, libc::O_CLOEXEC) })?;
    Ok(old)
}
