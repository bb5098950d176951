//! The descriptors by number: what a child is started with, and what it is not to have.

mod sys;

use std::os::fd::RawFd;

pub(crate) use self::sys::{borrow, close_from, open_standard_fds, own_child_fd, replace_stream};

/// The descriptor by which a child that was executed finds its socket.
pub(crate) const CHILD_FD: RawFd = 3;
