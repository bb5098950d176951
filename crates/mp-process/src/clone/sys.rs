//! Copies of this process.
//!
//! # Safety
//!
//! What continues in a copy is for the callers to answer for, so [`clone_process`] and [`fork`] are unsafe functions.

#![allow(unsafe_code, reason = "system calls")]

use std::{
    ffi::c_void,
    io,
    os::fd::{FromRawFd, OwnedFd, RawFd},
    ptr,
};

use mp_os::cvt;
use nix::libc;

use super::{NewProcess, Side, adopt, pidfd_open_works};

impl NewProcess {
    /// What a successful `clone(2)` with `CLONE_PIDFD` returned.
    pub(crate) fn new(pid: libc::c_long, pidfd: RawFd) -> Self {
        // SAFETY: the kernel just made the descriptor, and nobody else knows it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        Self { pid: pid as u32, pidfd: pidfd.into() }
    }
}

/// What the kernel keeps of a thread for the C library, by addresses, and a bare `clone(2)` loses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registration {
    /// Where the library caches the thread's id; null where that is not known.
    tid: *mut libc::pid_t,
    /// The head of the list of robust mutexes that it holds, and its size.
    robust: (*mut c_void, usize),
}

impl Registration {
    /// That of the calling thread.
    pub(crate) fn of_this_thread() -> Self {
        let mut tid: *mut libc::pid_t = ptr::null_mut();
        // SAFETY: `tid` is valid for writes.
        let asked = unsafe { libc::prctl(libc::PR_GET_TID_ADDRESS, &raw mut tid) };
        // SAFETY: no arguments.
        let own = unsafe { libc::gettid() };
        // Another C library may have registered something else there, such as a lock.
        // SAFETY: the kernel says that the thread registered this address, where it clears an id when the thread exits.
        if asked != 0 || tid.is_null() || unsafe { tid.read() } != own {
            tid = ptr::null_mut();
        }
        let mut robust = (ptr::null_mut(), 0);
        // SAFETY: both places are valid for writes.
        unsafe {
            libc::syscall(libc::SYS_get_robust_list, 0, &raw mut robust.0, &raw mut robust.1)
        };
        Self { tid, robust }
    }
}

/// `clone(2)`—A copy of this process, without the C library's knowledge: a child of ours, or with `CLONE_PARENT` among
/// the `flags` of our parent's.
///
/// # Safety
///
/// As for `fork(2)`: where there are other threads, the child may make async-signal-safe calls only. `registration` is
/// that of the calling thread.
pub(crate) unsafe fn clone_process(
    flags: libc::c_int,
    registration: &Registration,
) -> io::Result<Side> {
    let tid = registration.tid;
    let set_tid = libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID;
    let flags = flags | libc::CLONE_PIDFD | libc::SIGCHLD | if tid.is_null() { 0 } else { set_tid };
    let (none, mut pidfd) = (ptr::null_mut::<c_void>(), -1 as RawFd);
    let at = &raw mut pidfd;
    // SAFETY: without a stack of its own the child continues here, in a copy of this memory. `pidfd` is valid for writes,
    // and so is `tid` in the child, by the contract of this function.
    #[cfg(target_arch = "x86_64")]
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, at, tid, none) };
    // SAFETY: as above; the last two arguments are the other way round.
    #[cfg(not(target_arch = "x86_64"))]
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, at, none, tid) };
    match cvt(pid)? {
        0 => {
            let (head, len) = registration.robust;
            // SAFETY: the list of this thread, whose memory the child has a copy of.
            unsafe { libc::syscall(libc::SYS_set_robust_list, head, len) };
            Ok(Side::Child { tid_is_right: !tid.is_null() })
        }
        pid => Ok(Side::Parent(NewProcess::new(pid, pidfd))),
    }
}

/// `fork(2)`—A copy of this process, with what libraries have registered with `pthread_atfork(3)`.
///
/// # Safety
///
/// As for `fork(2)`: where there are other threads, the child may make async-signal-safe calls only.
pub(crate) unsafe fn fork() -> io::Result<Side> {
    if !pidfd_open_works() {
        let registration = Registration::of_this_thread();
        if registration.tid.is_null() {
            return Err(io::Error::from_raw_os_error(libc::ENOSYS));
        }
        // SAFETY: the caller's contract.
        return unsafe { clone_process(0, &registration) };
    }
    // SAFETY: the caller's contract.
    match cvt(unsafe { libc::fork() })? {
        0 => Ok(Side::Child { tid_is_right: true }),
        pid => adopt(pid.unsigned_abs()).map(Side::Parent),
    }
}
