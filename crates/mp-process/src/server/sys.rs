//! Copies of the fork server.
//!
//! # Safety
//!
//! [`sibling`] is safe to call in the fork server, which has one thread from its first instruction to its last. [`settle`]
//! passes integers only, and a pointer to its own local.

#![allow(unsafe_code, reason = "a bare clone")]

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use mp_os::cvt;
use nix::{libc, unistd::Pid};

use crate::sys::{Registration, Side, clone_process};

/// A copy of this process, as a child of its parent.
pub(super) fn sibling(registration: &Registration) -> io::Result<Side> {
    // SAFETY: this process has one thread, whose registration that is.
    unsafe { clone_process(libc::CLONE_PARENT, registration) }
}

/// In a copy: unblocks all signals, ties its life to `parent`'s, and puts `job` in the place of `control`, so that nothing
/// of the server's stays open.
///
/// The calls go by number through one function of the C library: the others are on pages of their own, and a page that a
/// copy touches first costs as much as several calls.
pub(super) fn settle(control: OwnedFd, job: OwnedFd, parent: Pid) -> io::Result<OwnedFd> {
    let (set, none) = (0_u64, 0_usize);
    let (change, size) = (libc::SIG_SETMASK, size_of_val(&set));
    // SAFETY: `set` is a set of signals as the kernel knows it, of that size.
    cvt(unsafe { libc::syscall(libc::SYS_rt_sigprocmask, change, &raw const set, none, size) })?;
    // SAFETY: integers only.
    cvt(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
    // SAFETY: no arguments.
    if unsafe { libc::syscall(libc::SYS_getppid) } != parent.as_raw().into() {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    let (from, to) = (job.as_raw_fd(), control.as_raw_fd());
    // SAFETY: integers only; `control` owns the place, and what was there is not used any more.
    cvt(unsafe { libc::syscall(libc::SYS_dup3, from, to, libc::O_CLOEXEC) })?;
    Ok(control)
}
