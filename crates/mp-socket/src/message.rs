//! Sending and receiving with a deadline and with descriptors: what all socket types share.

use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::{BorrowedFd, OwnedFd},
};

use mp_os::{
    Deadline, Error, Result, TimeoutError,
    poll::{self, Interest},
};
use nix::libc;

use crate::sys::{self, Arrival, MAX_FDS};

/// A message, or some bytes of a stream, with the descriptors that came along.
#[derive(Debug)]
#[non_exhaustive]
pub struct Received {
    /// The bytes written to the buffer.
    pub len: usize,
    /// The descriptors, close-on-exec, in the order in which they were sent.
    pub fds: Vec<OwnedFd>,
}

/// Calls `operation` with the flags that keep `deadline`, and again whenever the socket has become ready.
///
/// `MSG_DONTWAIT` and `ppoll(2)` rather than `O_NONBLOCK` or `SO_RCVTIMEO`: those belong to the socket, which clones
/// and other processes share.
pub(crate) fn until<T>(
    socket: BorrowedFd<'_>,
    interest: Interest,
    deadline: Deadline,
    mut operation: impl FnMut(libc::c_int) -> io::Result<T>,
) -> io::Result<Option<T>> {
    let flags = if deadline.instant().is_some() { libc::MSG_DONTWAIT } else { 0 };
    loop {
        match operation(flags) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result.map(Some),
        }
        if !poll::wait(socket, interest, deadline)? {
            return Ok(None);
        }
    }
}

/// The bytes taken by one `sendmsg(2)`.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    fds: &[BorrowedFd<'_>],
    deadline: Deadline,
    object: &'static str,
) -> Result<usize, TimeoutError> {
    if fds.len() > MAX_FDS {
        let reason = format!("{} file descriptors, of which {MAX_FDS} fit", fds.len());
        return Err(Error::invalid_input("send", object, reason).into());
    }
    if parts.iter().all(|part| part.is_empty()) {
        let reason = "an empty message reads as the end of the connection";
        return Err(Error::invalid_input("send", object, reason).into());
    }
    until(socket, Interest::Writable, deadline, |flags| sys::sendmsg(socket, parts, fds, flags))
        .map_err(|error| send_error(error, object))?
        .ok_or(TimeoutError::TimedOut)
}

fn send_error(cause: io::Error, object: &'static str) -> Error {
    let hint = match cause.raw_os_error() {
        Some(libc::EMSGSIZE) => {
            "a message must fit into the send buffer: SO_SNDBUF, at most net.core.wmem_max"
        }
        Some(libc::ETOOMANYREFS) => {
            "more descriptors are in flight than RLIMIT_NOFILE allows: the receivers are behind"
        }
        _ => return Error::new("send", object, cause),
    };
    Error::new("send", object, cause).with_hint(hint)
}

/// One `recvmsg(2)`; a length of zero without descriptors is the end of the connection.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    take_fds: bool,
    deadline: Deadline,
    object: &'static str,
) -> Result<Arrival, TimeoutError> {
    let room = buffer.len();
    if room == 0 {
        let reason = "the buffer is empty";
        return Err(Error::invalid_input("receive", object, reason).into());
    }
    let mut parts = [IoSliceMut::new(buffer)];
    let arrival = until(socket, Interest::Readable, deadline, |flags| {
        receive_once(socket, &mut parts, take_fds, flags)
    })
    .map_err(|error| Error::new("receive", object, error))?
    .ok_or(TimeoutError::TimedOut)?;
    check(arrival, room, take_fds, object).map_err(TimeoutError::Os)
}

/// Skips the reset by which the kernel says that a Unix peer died before it had read everything.
///
/// It is reported once and ahead of what the peer had sent before; that follows, and then the end of the connection.
fn receive_once(
    socket: BorrowedFd<'_>,
    parts: &mut [IoSliceMut<'_>],
    take_fds: bool,
    flags: libc::c_int,
) -> io::Result<Arrival> {
    // `MSG_TRUNC` asks for the true length of a message that is cut. On a stream nothing is cut.
    let flags = flags | libc::MSG_TRUNC;
    match sys::recvmsg(socket, parts, take_fds, flags) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
            sys::recvmsg(socket, parts, take_fds, flags)
        }
        result => result,
    }
}

/// A message that lost bytes or descriptors on the way is an error. Descriptors that did arrive are closed.
fn check(arrival: Arrival, room: usize, take_fds: bool, object: &'static str) -> Result<Arrival> {
    let invalid = |reason: String| {
        Error::new("receive", object, io::Error::new(io::ErrorKind::InvalidData, reason))
    };
    if arrival.flags & libc::MSG_TRUNC != 0 {
        let reason = format!("it has {} bytes and the buffer {room}; it is lost", arrival.len);
        return Err(invalid(reason));
    }
    if arrival.flags & libc::MSG_CTRUNC == 0 {
        return Ok(arrival);
    }
    if !take_fds {
        let reason = "it carried file descriptors; they are closed and it is lost".to_owned();
        return Err(invalid(reason).with_hint("receive it with `recv_with_fds`"));
    }
    let cause = io::Error::from_raw_os_error(libc::EMFILE);
    Err(Error::new("receive", object, cause).with_hint(format!(
        "only {} of its file descriptors could be installed (and are closed again); raise RLIMIT_NOFILE",
        arrival.fds.len()
    )))
}

/// Refuses a descriptor that is not a socket of this domain and type.
pub(crate) fn check_type(
    fd: BorrowedFd<'_>,
    domain: libc::c_int,
    kind: libc::c_int,
    object: &'static str,
) -> Result<()> {
    let option =
        |option| sys::socket_option(fd, option).map_err(|error| Error::new("adopt", object, error));
    if option(libc::SO_DOMAIN)? == domain && option(libc::SO_TYPE)? == kind {
        return Ok(());
    }
    Err(Error::invalid_input("adopt", object, "the descriptor is another type of socket"))
}
