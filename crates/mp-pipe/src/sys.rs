//! Reading and writing without waiting and without `SIGPIPE`, and without touching what other holders of the pipe see.
//!
//! `O_NONBLOCK` belongs to the open pipe end, which clones and child processes share, so it is never set here. Instead:
//!
//! | wanted | mechanism | otherwise |
//! |---|---|---|
//! | not to wait | `RWF_NOWAIT` (unnamed pipes since Linux 6.4) | the end opened anew with `O_NONBLOCK` through `/proc/self/fd`, once |
//! | no `SIGPIPE` | `RWF_NOSIGNAL` (Linux 6.18) | the signal blocked in this thread, and taken by `sigtimedwait(2)` after `EPIPE` |
//!
//! # Safety
//!
//! Every function here is safe to call: each passes only pointers to its own locals or to borrowed arguments, for the
//! length of one call that does not keep them.

#![allow(unsafe_code, reason = "system calls")]

use std::{
    ffi::CStr,
    io::{self, IoSlice, Write},
    mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use mp_os::{cvt, retry};
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl, open},
    libc,
    sys::stat::Mode,
};

use crate::handle::Handle;

/// `RWF_NOSIGNAL` of `linux/fs.h`.
const RWF_NOSIGNAL: libc::c_int = 0x100;

/// The kernel has said that it does not know [`RWF_NOSIGNAL`].
static NOSIGNAL_IS_UNKNOWN: AtomicBool = AtomicBool::new(false);

/// `read(2)`, which waits.
#[inline]
pub(crate) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `buffer` is valid for writes of its length.
    count(unsafe { libc::read(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) })
}

/// `read(2)` that fails with `EAGAIN` where it would wait.
#[inline]
pub(crate) fn read_now(end: &Handle, buffer: &mut [u8]) -> io::Result<usize> {
    if let Some(anew) = end.known_anew() {
        return read(anew, buffer);
    }
    let part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let fd = end.as_fd().as_raw_fd();
    // SAFETY: `part` is `buffer`, which is valid for writes of its length.
    match count(unsafe { libc::preadv2(fd, &raw const part, 1, -1, libc::RWF_NOWAIT) }) {
        // The kernel does not know the flag for this end.
        Err(error) if is_unsupported(&error) => read_anew(end, buffer),
        result => result,
    }
}

/// Reading without waiting where the kernel does not know `RWF_NOWAIT` for this end.
#[cold]
fn read_anew(end: &Handle, buffer: &mut [u8]) -> io::Result<usize> {
    read(end.anew(OFlag::O_RDONLY)?, buffer)
}

/// `writev(2)` that fails with `EPIPE` and raises no signal; where it may not block also with `EAGAIN`.
#[inline]
pub(crate) fn write(end: &Handle, parts: &[IoSlice<'_>], may_block: bool) -> io::Result<usize> {
    if may_block {
        return write_quietly(end.as_fd(), parts, 0);
    }
    if let Some(anew) = end.known_anew() {
        return write_quietly(anew, parts, 0);
    }
    match write_quietly(end.as_fd(), parts, libc::RWF_NOWAIT) {
        Err(error) if is_unsupported(&error) => write_anew(end, parts),
        result => result,
    }
}

/// Writing without waiting where the kernel does not know `RWF_NOWAIT` for this end.
#[cold]
fn write_anew(end: &Handle, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    match end.anew(OFlag::O_WRONLY) {
        Ok(anew) => write_quietly(anew, parts, 0),
        // No reader: what `write(2)` calls a broken pipe.
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
            Err(io::Error::from_raw_os_error(libc::EPIPE))
        }
        Err(error) => Err(error),
    }
}

/// Writes with `flags` and without `SIGPIPE`.
#[inline]
fn write_quietly(
    fd: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    flags: libc::c_int,
) -> io::Result<usize> {
    if NOSIGNAL_IS_UNKNOWN.load(Relaxed) {
        return write_masked(fd, parts, flags);
    }
    match writev(fd, parts, flags | RWF_NOSIGNAL) {
        Err(error) if is_unsupported(&error) => write_masked(fd, parts, flags),
        result => result,
    }
}

/// The same where the kernel does not know [`RWF_NOSIGNAL`], or one of `flags`.
#[cold]
fn write_masked(
    fd: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    flags: libc::c_int,
) -> io::Result<usize> {
    let result = without_sigpipe(|| writev(fd, parts, flags));
    if !result.as_ref().is_err_and(is_unsupported) {
        // The rest of `flags` is known, so it was `RWF_NOSIGNAL` that was refused.
        NOSIGNAL_IS_UNKNOWN.store(true, Relaxed);
    }
    result
}

/// `pwritev2(2)`, or `writev(2)` where there are no flags.
#[inline]
fn writev(fd: BorrowedFd<'_>, parts: &[IoSlice<'_>], flags: libc::c_int) -> io::Result<usize> {
    // More than the kernel takes in one call are left to the next.
    let parts = &parts[..parts.len().min(libc::UIO_MAXIOV as usize)];
    let (fd, iovec, len) = (fd.as_raw_fd(), parts.as_ptr().cast(), parts.len() as _);
    if flags == 0 {
        // SAFETY: `IoSlice` has the layout of `iovec`, as std guarantees, and `parts` are valid for reads.
        return count(unsafe { libc::writev(fd, iovec, len) });
    }
    // SAFETY: as above.
    count(unsafe { libc::pwritev2(fd, iovec, len, -1, flags) })
}

#[inline]
fn count(value: isize) -> io::Result<usize> {
    cvt(value).map(isize::unsigned_abs)
}

/// The kernel does not know a flag, or a sandbox the call. Pipes have no other use for these errors.
#[cold]
fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EPERM))
}

/// The end of the pipe that `fd` is, opened once more and nonblocking: a state of its own, as `O_NONBLOCK` needs it.
pub(crate) fn open_anew(fd: BorrowedFd<'_>, access: OFlag) -> io::Result<OwnedFd> {
    let packets = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?) & OFlag::O_DIRECT;
    let mut path = [0; 32];
    write!(&mut path[..], "/proc/self/fd/{}", fd.as_raw_fd())?;
    let path = CStr::from_bytes_until_nul(&path).map_err(io::Error::other)?;
    let anew = open(path, access | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty())?;
    if !packets.is_empty() {
        // `open(2)` refuses this flag for a pipe.
        fcntl(&anew, FcntlArg::F_SETFL(packets | OFlag::O_NONBLOCK))?;
    }
    Ok(anew)
}

/// Runs `operation` so that a broken pipe is its error and never the signal, whose default is to end the process.
pub(crate) fn without_sigpipe<T>(operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let sigpipe = sigpipe();
    let mut previous = sigpipe;
    // SAFETY: both sets are valid, and `SIG_BLOCK` is a valid request: this cannot fail.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const sigpipe, &raw mut previous) };
    // Only one that was blocked before can have been pending.
    // SAFETY: `previous` was filled above.
    let was_blocked = unsafe { libc::sigismember(&raw const previous, libc::SIGPIPE) == 1 };
    let was_pending = was_blocked && is_pending();
    let result = operation();
    let is_broken = result.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EPIPE));
    if is_broken && !was_pending {
        take(&sigpipe);
    }
    // SAFETY: `previous` was filled above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const previous, ptr::null_mut()) };
    result
}

/// The set of `SIGPIPE` alone.
fn sigpipe() -> libc::sigset_t {
    // SAFETY: all zeroes is a valid, empty `sigset_t`.
    let mut set = unsafe { mem::zeroed() };
    // SAFETY: `set` is valid.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGPIPE) };
    set
}

fn is_pending() -> bool {
    let mut set = sigpipe();
    // SAFETY: `set` is valid for writes.
    unsafe { libc::sigpending(&raw mut set) };
    // SAFETY: `set` is valid.
    unsafe { libc::sigismember(&raw const set, libc::SIGPIPE) == 1 }
}

/// Takes the signal that the write has just raised in this thread, if it was not ignored.
fn take(set: &libc::sigset_t) {
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // `EAGAIN`, no such signal, is as good.
    let _ = retry(|| {
        // SAFETY: `set` and `now` are valid; no information is asked for.
        cvt(unsafe { libc::sigtimedwait(set, ptr::null_mut(), &raw const now) })
    });
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{SigSet, Signal, raise};

    use super::*;

    /// Both ends of a pipe. The mechanisms for older kernels are tested on whatever kernel this is.
    fn ends(flags: OFlag) -> (Handle, Handle) {
        let (reader, writer) = nix::unistd::pipe2(flags).unwrap();
        (reader.into(), writer.into())
    }

    #[test]
    fn an_end_opened_anew_does_not_wait() {
        let (reader, writer) = ends(OFlag::empty());
        let mut buffer = [0; 8];
        let error = read_anew(&reader, &mut buffer).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let parts = [IoSlice::new(b"ab"), IoSlice::new(b"c")];
        assert_eq!(write_anew(&writer, &parts).unwrap(), 3);
        assert_eq!(read_anew(&reader, &mut buffer).unwrap(), 3);
        let full = [0; 1 << 20];
        assert!(write_anew(&writer, &[IoSlice::new(&full)]).unwrap() < full.len());
        let error = write_anew(&writer, &[IoSlice::new(&full)]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(reader);
        let broken = [
            write_anew(&writer, &[IoSlice::new(b"x")]),
            write_anew(&writer.try_clone().unwrap(), &[IoSlice::new(b"x")]),
        ];
        for written in broken {
            assert_eq!(written.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        }
    }

    #[test]
    fn an_end_opened_anew_is_used_again() {
        let (reader, writer) = ends(OFlag::empty());
        let first = reader.anew(OFlag::O_RDONLY).unwrap().as_raw_fd();
        let mut buffer = [0; 8];
        let error = read_now(&reader, &mut buffer).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(write(&writer, &[IoSlice::new(b"abc")], false).unwrap(), 3);
        assert_eq!(read_now(&reader, &mut buffer).unwrap(), 3);
        assert_eq!(reader.anew(OFlag::O_RDONLY).unwrap().as_raw_fd(), first);
        // It is the reader's alone: with it, nobody is left to read.
        drop(OwnedFd::from(reader));
        let error = write(&writer, &[IoSlice::new(b"abc")], false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn an_end_opened_anew_sees_the_end() {
        let (reader, writer) = ends(OFlag::empty());
        drop(writer);
        assert_eq!(read_anew(&reader, &mut [0; 8]).unwrap(), 0);
    }

    #[test]
    fn an_end_opened_anew_keeps_packets() {
        let (reader, writer) = ends(OFlag::O_DIRECT);
        for packet in [b"one", b"two"] {
            assert_eq!(write_anew(&writer, &[IoSlice::new(packet)]).unwrap(), 3);
        }
        assert_eq!(read_anew(&reader, &mut [0; 8]).unwrap(), 3);
    }

    #[test]
    fn a_masked_write_leaves_no_signal() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        // Whether the test harness ignores the signal or not, none is pending afterwards.
        let error =
            without_sigpipe(|| writev(writer.as_fd(), &[IoSlice::new(b"x")], 0)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(!is_pending());
    }

    #[test]
    fn a_masked_write_leaves_the_signal_of_somebody_else() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let sigpipe = SigSet::from(Signal::SIGPIPE);
        sigpipe.thread_block().unwrap();
        raise(Signal::SIGPIPE).unwrap();
        // Where the test harness ignores the signal, it is pending all the same while it is blocked.
        assert!(is_pending());
        let error =
            without_sigpipe(|| writev(writer.as_fd(), &[IoSlice::new(b"x")], 0)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(is_pending());
        take(sigpipe.as_ref());
        sigpipe.thread_unblock().unwrap();
    }
}
