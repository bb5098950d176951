//! `struct flock`: what [`Ofd`](crate::Ofd) and [`Posix`](crate::Posix) say to `fcntl(2)`.

use std::{io, os::fd::BorrowedFd};

use nix::{
    fcntl::{FcntlArg, fcntl},
    libc,
};

use crate::{ByteRange, Error, Holder, Kind, Mode, Result, describe};

/// The lock, or with `None` its release.
pub(crate) fn encode(mode: Option<Mode>, range: ByteRange) -> libc::flock {
    let kind = match mode {
        Some(Mode::Shared) => libc::F_RDLCK,
        Some(Mode::Exclusive) => libc::F_WRLCK,
        None => libc::F_UNLCK,
    };
    // A range is checked when it is made. A length of zero is without end, and so is one beyond the last byte there can be.
    let start = range.start().cast_signed();
    let len = range.last().map_or(0, |last| (last - range.start() + 1).try_into().unwrap_or(0));
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: len,
        // Must be zero for open file descriptions.
        l_pid: 0,
    }
}

/// The lock that the kernel found in the way, if it found one.
pub(crate) fn decode(lock: &libc::flock) -> Option<Holder> {
    let mode = match i32::from(lock.l_type) {
        libc::F_UNLCK => return None,
        libc::F_RDLCK => Mode::Shared,
        _ => Mode::Exclusive,
    };
    let start = lock.l_start.unsigned_abs();
    let last = (lock.l_len != 0).then(|| start + lock.l_len.unsigned_abs() - 1);
    // An open file description has no process: the kernel says -1.
    let pid = u32::try_from(lock.l_pid).ok().filter(|&pid| pid != 0);
    let kind = if lock.l_pid == -1 { Kind::Ofd } else { Kind::Posix };
    Some(Holder::new(kind, mode, ByteRange::from_first_and_last(start, last), pid))
}

pub(crate) fn call(fd: BorrowedFd<'_>, argument: FcntlArg<'_>) -> io::Result<()> {
    fcntl(fd, argument)?;
    Ok(())
}

pub(crate) fn ask(fd: BorrowedFd<'_>, argument: FcntlArg<'_>) -> Result<()> {
    call(fd, argument).map_err(|error| Error::new("ask who locks", describe(fd), error))
}
