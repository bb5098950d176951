//! The descriptors by number: what a child is started with, and what it is not to have.

mod sys;

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

pub(crate) use self::sys::{borrow, close_from, open_standard_fds, own_child_fd, replace_stream};

/// The descriptor by which a child that was executed finds its socket.
pub(crate) const CHILD_FD: RawFd = 3;

/// `fd` with a number behind those of the standard streams, which it has where this process has closed its own: a copy of it
/// would close what it is to have when it puts something in that place.
pub(crate) fn behind_streams(fd: impl Into<OwnedFd>) -> io::Result<OwnedFd> {
    let fd = fd.into();
    // A clone has the lowest number from 3 on.
    if fd.as_raw_fd() < CHILD_FD { fd.try_clone() } else { Ok(fd) }
}
