//! A second process, and what a guard gives up.
//!
//! # Safety
//!
//! [`fork`] is called in a child of this crate before its task, when it has one thread, or one that only waits for this
//! one: no lock is held. [`keep_only`] is called in the guard, which from then on uses nothing that it had before, and
//! never returns to what owns the descriptors that are closed.

#![allow(unsafe_code, reason = "system calls")]

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use mp_os::cvt;
use mp_signal::{Disposition, Signal};
use nix::{
    libc,
    sys::resource::{Resource, setrlimit},
    unistd::{ForkResult, Pid},
};

use crate::{
    descriptors::{CHILD_FD, close_from},
    sys::exit_now,
};

/// `fork(2)`—A copy of this process: its id, and `None` in the copy.
pub(super) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: nobody holds a lock, as the module says.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

/// Closes all but `socket`, which is number [`CHILD_FD`] from now on; the standard streams are of `/dev/null`.
pub(super) fn keep_only(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    if socket.as_raw_fd() != CHILD_FD {
        // SAFETY: integers only.
        cvt(unsafe { libc::dup2(socket.as_raw_fd(), CHILD_FD) })?;
    }
    close_from(CHILD_FD + 1)?;
    // SAFETY: a C string.
    let null = cvt(unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) })?;
    for stream in 0..CHILD_FD {
        // SAFETY: integers only.
        cvt(unsafe { libc::dup2(null, stream) })?;
    }
    close_from(CHILD_FD + 1)?;
    // SAFETY: nobody else in this process uses it any more.
    Ok(unsafe { OwnedFd::from_raw_fd(CHILD_FD) })
}

/// `kill(2)`
pub(super) fn send(pid: Pid, signal: Signal) -> io::Result<()> {
    // SAFETY: integers only.
    cvt(unsafe { libc::kill(pid.as_raw(), signal.as_raw()) }).map(drop)
}

/// Ends this process by `signal`, without a core file of its own.
pub(super) fn die_of(signal: Signal) -> ! {
    // Each of these can only make the end another one.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let _ = Disposition::Default.set(signal);
    let _ = send(Pid::this(), signal);
    // SAFETY: all zeroes is a valid `sigset_t`, the empty set.
    let none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `none` is a valid set.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) };
    exit_now(128 + signal.as_raw())
}
