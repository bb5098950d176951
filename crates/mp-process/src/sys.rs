//! The system calls of this crate that more than one of its parts makes.
//!
//! # Safety
//!
//! Every function here is safe to call: each passes only pointers to its own locals or to borrowed arguments, for one call that
//! does not keep them. [`PerProcess`] owns what it points to, for ever.

#![allow(unsafe_code, reason = "system calls")]

use std::{
    ffi::CStr,
    io, mem,
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

use mp_os::{Wiped, cvt, retry};
use nix::libc;

/// `kill(2)`, for a child that has not been reaped.
pub(crate) fn kill(pid: u32, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: integers only.
    cvt(unsafe { libc::kill(pid.cast_signed(), signal) }).map(drop)
}

/// Waits for the end of a child and forgets it.
pub(crate) fn reap(pid: u32) -> io::Result<()> {
    // SAFETY: a null status is not written.
    retry(|| cvt(unsafe { libc::waitpid(pid.cast_signed(), ptr::null_mut(), 0) })).map(drop)
}

/// `prctl(2)`—The kernel kills this process when the thread that started it exits.
pub(crate) fn die_with_parent() -> io::Result<()> {
    // SAFETY: integers only.
    cvt(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) }).map(drop)
}

/// Of `fcntl.h`; the `libc` crate lacks it.
const F_SETSIG: libc::c_int = 10;

/// `fcntl(2)` with `F_SETSIG`—The kernel kills this process when the other end of `socket` is closed, which nothing but
/// this process may read from and to which nothing is sent any more.
///
/// The second net beside [`die_with_parent`], which a process loses when it changes its user. It costs no thread: the
/// socket's owner gets a signal whenever something can be read, the end of the connection included, and the signal is
/// this one.
pub(crate) fn die_with_peer(socket: BorrowedFd<'_>) -> io::Result<()> {
    let fd = socket.as_raw_fd();
    for (command, argument) in [
        (libc::F_SETOWN, pid().cast_signed()),
        (F_SETSIG, libc::SIGKILL),
        (libc::F_SETFL, libc::O_ASYNC),
    ] {
        // SAFETY: integers only.
        cvt(unsafe { libc::fcntl(fd, command, argument) })?;
    }
    Ok(())
}

/// `prctl(2)`—What `top` and `ps -o comm` call this process; the kernel takes the first 15 bytes.
pub(crate) fn set_name(name: &CStr) {
    // SAFETY: a C string. It fails for a bad address only.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Blocks all signals in the calling thread.
pub(crate) fn block_signals() {
    // SAFETY: all zeroes is a valid `sigset_t`.
    let mut set: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: `set` is valid for writes.
    unsafe { libc::sigfillset(&raw mut set) };
    // SAFETY: `set` is initialized. The call cannot fail: the first argument is a valid one.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut()) };
}

/// This process's number; by number, for the same reason as in a copy of the fork server.
pub(crate) fn pid() -> u32 {
    // SAFETY: no arguments.
    unsafe { libc::syscall(libc::SYS_getpid) as u32 }
}

/// `_exit(2)`—Ends the process without running what was registered for its end.
pub(crate) fn exit_now(code: libc::c_int) -> ! {
    // SAFETY: it takes an integer and touches no memory.
    unsafe { libc::_exit(code) }
}

/// Writes out what C code in this process has printed and not written yet.
pub(crate) fn flush_c_streams() {
    // SAFETY: null means all streams.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

/// `setpriority(2)`—How this process yields to others: from -20, which needs a privilege, to 19.
pub(crate) fn set_nice(value: libc::c_int) -> io::Result<()> {
    // SAFETY: integers only.
    cvt(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, value) }).map(drop)
}

/// A place for one pointer of this process: null again in every copy of it, however that was made.
///
/// So a copy of a process never uses what belongs to threads it does not have, and no lock is needed to find out.
#[derive(Debug)]
pub(crate) struct PerProcess<T: 'static> {
    /// The address of the value; zero in a copy.
    place: Wiped<1>,
    /// The value too, in memory where those look who look for leaks.
    newest: AtomicPtr<T>,
}

impl<T: Sync> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self { place: Wiped::new(), newest: AtomicPtr::new(ptr::null_mut()) }
    }

    /// What this process has put there.
    pub(crate) fn get(&self) -> Option<&'static T> {
        let [place] = self.place.get()?;
        Self::at(place.load(Ordering::Acquire))
    }

    /// What this process has put there, or puts there now: what `make` makes then lives as long as the process.
    pub(crate) fn get_or_set(
        &self,
        make: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<&'static T> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let [place] = self.place.get_or_make()?;
        let new = Box::into_raw(Box::new(make()?));
        let address = new.expose_provenance() as u64;
        match place.compare_exchange(0, address, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                self.newest.store(new, Ordering::Relaxed);
                // SAFETY: leaked above, for ever.
                Ok(unsafe { &*new })
            }
            Err(winner) => {
                // SAFETY: from `into_raw` above, and never shared.
                drop(unsafe { Box::from_raw(new) });
                Self::at(winner).ok_or_else(|| io::ErrorKind::InvalidData.into())
            }
        }
    }

    fn at(address: u64) -> Option<&'static T> {
        let value = ptr::with_exposed_provenance::<T>(address as usize);
        // SAFETY: null, or leaked by `get_or_set`.
        unsafe { value.as_ref() }
    }
}
