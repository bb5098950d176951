//! Bytes that go from one descriptor to another within the kernel.

use std::{io, os::fd::BorrowedFd};

use mp_os::{
    Deadline, Error, Result, TimeoutError,
    poll::{self, Interest},
    retry,
};
use nix::{
    fcntl::{self, FcntlArg, OFlag, SpliceFFlags},
    sys::stat::{SFlag, fstat},
};

use crate::sys;

/// `splice(2)`, at least one of the two a pipe.
pub(crate) fn splice(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    max: usize,
    deadline: Deadline,
) -> Result<usize, TimeoutError> {
    transfer(from, to, max, deadline, "splice", |flags| {
        fcntl::splice(from, None, to, None, max, flags)
    })
}

/// `tee(2)` between two pipes.
pub(crate) fn tee(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    max: usize,
    deadline: Deadline,
) -> Result<usize, TimeoutError> {
    transfer(from, to, max, deadline, "tee", |flags| fcntl::tee(from, to, max, flags))
}

fn transfer(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    max: usize,
    deadline: Deadline,
    verb: &'static str,
    operation: impl Fn(SpliceFFlags) -> nix::Result<usize>,
) -> Result<usize, TimeoutError> {
    let fail = |error| Error::new(verb, "pipe", error);
    if max == 0 {
        return Err(Error::invalid_input(verb, "pipe", "zero bytes are asked for").into());
    }
    let flags = match deadline.is_never() {
        true => SpliceFFlags::empty(),
        false => SpliceFFlags::SPLICE_F_NONBLOCK,
    };
    if !deadline.is_never() {
        for end in [from, to] {
            if is_blocking_socket(end).map_err(fail)? {
                let reason = "a blocking socket would not keep the deadline";
                let error = Error::invalid_input(verb, "pipe", reason);
                return Err(error.with_hint("make it nonblocking").into());
            }
        }
    }
    let attempt = || sys::without_sigpipe(|| operation(flags).map_err(io::Error::from));
    loop {
        match retry(attempt) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result.map_err(|error| fail(error).into()),
        }
        // It does not say which of the two was not ready, so wait for both.
        let ready = poll::wait(from, Interest::Readable, deadline).map_err(fail)?
            && poll::wait(to, Interest::Writable, deadline).map_err(fail)?;
        if !ready {
            return Err(TimeoutError::TimedOut);
        }
    }
}

/// Of a socket the kernel asks the descriptor's flag, and not that of the call. (Files need not be waited for.)
fn is_blocking_socket(end: BorrowedFd<'_>) -> io::Result<bool> {
    let kind = SFlag::from_bits_truncate(fstat(end)?.st_mode) & SFlag::S_IFMT;
    let flags = OFlag::from_bits_retain(fcntl::fcntl(end, FcntlArg::F_GETFL)?);
    Ok(kind == SFlag::S_IFSOCK && !flags.contains(OFlag::O_NONBLOCK))
}
