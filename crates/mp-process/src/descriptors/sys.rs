//! What is done with descriptors by their numbers.
//!
//! # Safety
//!
//! The functions are called at the beginning of a process of this crate, or between `clone(2)` and `execve(2)`, when nothing of
//! the process owns what they close or take; each says what it needs. [`close_from`] is async-signal-safe.

#![allow(unsafe_code, reason = "system calls")]

use std::{
    io, mem,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use mp_os::cvt;
use nix::libc;

use super::CHILD_FD;

/// Closes every descriptor from `first`. Async-signal-safe; for a process that owns nothing with them any more.
pub(crate) fn close_from(first: RawFd) -> io::Result<()> {
    // SAFETY: integers only.
    match unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) } {
        0 => Ok(()),
        // A seccomp profile that does not know it yet.
        _ => close_listed_from(first),
    }
}

/// [`close_from`] by the list in `/proc/self/fd`, read with `getdents64(2)` because `opendir` allocates.
fn close_listed_from(first: RawFd) -> io::Result<()> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: a C string.
    let directory = cvt(unsafe { libc::open(c"/proc/self/fd".as_ptr(), flags) })?;
    let mut entries = [0_u64; 128];
    loop {
        let size = mem::size_of_val(&entries);
        // SAFETY: `entries` is valid for writes of `size` bytes.
        let len = cvt(unsafe {
            libc::syscall(libc::SYS_getdents64, directory, entries.as_mut_ptr(), size)
        })?;
        if len == 0 {
            break;
        }
        // SAFETY: the kernel has written `len` bytes, and any byte of an integer is valid.
        let bytes = unsafe { std::slice::from_raw_parts(entries.as_ptr().cast(), len as usize) };
        close_entries(bytes, first, directory);
    }
    // SAFETY: opened above, and owned by nobody else.
    cvt(unsafe { libc::close(directory) }).map(drop)
}

/// Closes what is named in `struct linux_dirent64`s: inode, offset, record length, type, name.
fn close_entries(mut entries: &[u8], first: RawFd, except: RawFd) {
    const LENGTH: usize = 16;
    const NAME: usize = 19;
    while let Some(&[low, high]) = entries.get(LENGTH..LENGTH + 2) {
        let len = usize::from(u16::from_ne_bytes([low, high]));
        let Some(name) = entries.get(NAME..len) else { return };
        let digits = name.iter().take_while(|byte| byte.is_ascii_digit());
        let fd = digits.fold(0, |number: RawFd, digit| number * 10 + RawFd::from(digit - b'0'));
        if fd >= first && fd != except {
            // SAFETY: by the contract of `close_from`, nothing owns it any more.
            unsafe { libc::close(fd) };
        }
        entries = &entries[len..];
    }
}

/// Descriptor `fd`, whoever owns it; `EBADF` where there is none.
pub(crate) fn borrow(fd: RawFd) -> io::Result<BorrowedFd<'static>> {
    // SAFETY: integers only.
    cvt(unsafe { libc::fcntl(fd, libc::F_GETFD) })?;
    // SAFETY: it is open, and the callers use it before anything of this process could close it.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Descriptor [`CHILD_FD`], which [`exec_self`] put there for this process, close-on-exec from now on.
///
/// To be called once, where nothing else of this process can have opened it.
pub(crate) fn own_child_fd() -> io::Result<OwnedFd> {
    // SAFETY: integers only.
    cvt(unsafe { libc::fcntl(CHILD_FD, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: it was inherited for this very purpose, so nothing else in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(CHILD_FD) })
}

/// Opens `/dev/null` as each of standard input, output and error that is closed, as Rust does before `main`.
pub(crate) fn open_standard_fds() {
    for fd in 0..3 {
        if borrow(fd).is_err() {
            // The lowest free number is this one. It stays open for the life of the process.
            // SAFETY: a C string.
            unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
        }
    }
}

/// `dup2(2)`—Makes `with` standard input, output or error (0, 1, 2) of this process, for it and for what it executes.
pub(crate) fn replace_stream(number: usize, with: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: integers only. The standard streams are nobody's own.
    cvt(unsafe { libc::dup2(with.as_raw_fd(), number as RawFd) }).map(drop)
}
