use std::os::fd::{AsRawFd, BorrowedFd};

/// The file of `fd` for an error message: by its path, where `/proc` tells it.
pub(crate) fn describe(fd: BorrowedFd<'_>) -> String {
    let number = fd.as_raw_fd();
    match std::fs::read_link(format!("/proc/self/fd/{number}")) {
        Ok(path) => format!("file `{}`", path.display()),
        Err(_) => format!("file descriptor {number}"),
    }
}
