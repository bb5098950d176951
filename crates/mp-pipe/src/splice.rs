//! Bytes that go from one descriptor to another within the kernel.

use std::{io, os::fd::BorrowedFd};

use mp_os::{
    Deadline, Error, Result, TimeoutError,
    poll::{self, Interest},
    retry,
};
use nix::fcntl::{self, SpliceFFlags};

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
