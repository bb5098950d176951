//! Sending and receiving with a deadline and with descriptors: what all socket types share.

use std::{
    io::{self, IoSlice},
    os::fd::{BorrowedFd, OwnedFd},
};

use mp_os::{
    Deadline, Error, Result, TimeoutError,
    poll::{self, Interest},
};
use nix::{libc, sys::socket::SockaddrLike};

use crate::sys::{self, Arrival, MAX_FDS};

/// A message, or some bytes of a stream, with the descriptors that came along.
///
/// # Examples
///
/// ```
/// use mp_socket::SeqpacketSocket;
/// use std::{fs::File, os::fd::AsFd};
///
/// let (ours, theirs) = SeqpacketSocket::pair()?;
/// ours.send_with_fds(b"a file", &[File::open("/dev/null").unwrap().as_fd()])?;
/// let mut buffer = [0; 64];
/// let received = theirs.recv_with_fds(&mut buffer)?.expect("the peer is there");
/// assert_eq!(&buffer[..received.len], b"a file");
/// let file = File::from(received.fds.into_iter().next().unwrap());
/// # drop(file);
/// # Ok::<(), mp_socket::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Received {
    /// The bytes written to the buffer.
    pub len: usize,
    /// The descriptors, close-on-exec, in the order in which they were sent.
    pub fds: Vec<OwnedFd>,
}

/// How a type of socket differs from the others.
#[derive(Clone, Copy)]
pub(crate) struct Nature {
    /// What it is called in errors.
    pub(crate) object: &'static str,
    /// Its bytes come as messages, which a short buffer would cut.
    pub(crate) has_messages: bool,
    /// A reset comes ahead of what the peer had sent before, and not instead of it.
    pub(crate) is_unix: bool,
}

/// `MSG_DONTWAIT` and `ppoll(2)` rather than `O_NONBLOCK` or `SO_RCVTIMEO`: those belong to the socket, which clones
/// and other processes share.
const fn flags(may_block: bool) -> libc::c_int {
    if may_block { 0 } else { libc::MSG_DONTWAIT }
}

/// The bytes taken by one `sendmsg(2)` or `sendto(2)`.
#[inline]
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    to: Option<&dyn SockaddrLike>,
    parts: &[IoSlice<'_>],
    fds: &[BorrowedFd<'_>],
    deadline: Deadline,
    nature: Nature,
) -> Result<usize, TimeoutError> {
    if fds.len() > MAX_FDS {
        let reason = format!("{} file descriptors, of which {MAX_FDS} fit", fds.len());
        return Err(Error::invalid_input("send to", nature.object, reason).into());
    }
    if !fds.is_empty() && !nature.has_messages {
        refuse_empty(parts, nature, "descriptors go along with a byte")?;
    }
    let send = |may_block| sys::send(socket, to, parts, fds, flags(may_block));
    poll::until(socket, Interest::Writable, deadline, send)
        .map_err(|error| send_error(error, nature))?
        .ok_or(TimeoutError::TimedOut)
}

pub(crate) fn refuse_empty(
    parts: &[IoSlice<'_>],
    nature: Nature,
    reason: &'static str,
) -> Result<()> {
    match parts.iter().all(|part| part.is_empty()) {
        true => Err(Error::invalid_input("send to", nature.object, reason)),
        false => Ok(()),
    }
}

#[cold]
fn send_error(cause: io::Error, nature: Nature) -> Error {
    let hint = match cause.raw_os_error() {
        Some(libc::EMSGSIZE) if nature.is_unix => {
            "a message must fit into the send buffer: SO_SNDBUF, at most net.core.wmem_max"
        }
        Some(libc::EMSGSIZE) => "a UDP datagram has at most 65507 bytes over IPv4",
        Some(libc::ETOOMANYREFS) => {
            "more descriptors are in flight than RLIMIT_NOFILE allows: the receivers are behind"
        }
        _ => return Error::new("send to", nature.object, cause),
    };
    Error::new("send to", nature.object, cause).with_hint(hint)
}

/// One `recvmsg(2)` or `recvfrom(2)`. Zero bytes are the end of a connection, or an empty datagram.
#[inline]
pub(crate) fn receive<A: SockaddrLike>(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    take_fds: bool,
    deadline: Deadline,
    nature: Nature,
) -> Result<Arrival<A>, TimeoutError> {
    let room = buffer.len();
    if room == 0 {
        return Err(no_room(nature).into());
    }
    // Asks for the true length of a message that is cut. A TCP socket would throw the bytes away instead.
    let whole = if nature.has_messages { libc::MSG_TRUNC } else { 0 };
    let receive = |may_block| {
        let flags = flags(may_block) | whole;
        // Only of a Unix socket can descriptors come, and only `recvmsg(2)` tells that some were dropped.
        if !nature.is_unix {
            return sys::recvfrom(socket, buffer, flags);
        }
        match sys::recvmsg(socket, buffer, take_fds, flags) {
            // A peer died before it had read everything. This is reported once, and ahead of what it had sent before;
            // that follows now, and then the end.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                receive_rest(socket, buffer, take_fds, flags)
            }
            result => result,
        }
    };
    let arrival = poll::until(socket, Interest::Readable, deadline, receive)
        .map_err(|error| Error::new("receive from", nature.object, error))?
        .ok_or(TimeoutError::TimedOut)?;
    Ok(check(arrival, room, take_fds, nature)?)
}

#[cold]
fn no_room(nature: Nature) -> Error {
    Error::invalid_input("receive from", nature.object, "the buffer is empty")
}

/// What a peer had sent that was then reset.
#[cold]
fn receive_rest<A: SockaddrLike>(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    take_fds: bool,
    flags: libc::c_int,
) -> io::Result<Arrival<A>> {
    sys::recvmsg(socket, buffer, take_fds, flags)
}

/// [`receive`] where nothing but the bytes is wanted: how many came.
#[inline]
pub(crate) fn receive_bytes(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    deadline: Deadline,
    nature: Nature,
) -> Result<usize, TimeoutError> {
    receive::<()>(socket, buffer, false, deadline, nature).map(|arrival| arrival.len)
}

/// [`receive`] with descriptors.
pub(crate) fn receive_with_fds(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    deadline: Deadline,
    nature: Nature,
) -> Result<Received, TimeoutError> {
    let Arrival::<()> { len, fds, .. } = receive(socket, buffer, true, deadline, nature)?;
    Ok(Received { len, fds })
}

/// A message that lost bytes or descriptors on the way is an error. Descriptors that did arrive are closed.
#[inline]
fn check<A>(
    arrival: Arrival<A>,
    room: usize,
    take_fds: bool,
    nature: Nature,
) -> Result<Arrival<A>> {
    if arrival.flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) == 0 {
        return Ok(arrival);
    }
    Err(lost(&arrival, room, take_fds, nature))
}

/// What a message has lost.
#[cold]
fn lost<A>(arrival: &Arrival<A>, room: usize, take_fds: bool, nature: Nature) -> Error {
    let fail = |cause| Error::new("receive from", nature.object, cause);
    let invalid = |reason| fail(io::Error::new(io::ErrorKind::InvalidData, reason));
    if arrival.flags & libc::MSG_TRUNC != 0 {
        let len = arrival.len;
        return invalid(format!("a message of {len} bytes, cut to {room}, is lost"));
    }
    if !take_fds {
        let reason = "what came carried file descriptors; they are closed, and it is lost";
        return invalid(reason.to_owned()).with_hint("receive it with `recv_with_fds`");
    }
    fail(io::Error::from_raw_os_error(libc::EMFILE)).with_hint(format!(
        "only {} of the file descriptors that came could be installed, and are closed again; raise RLIMIT_NOFILE",
        arrival.fds.len()
    ))
}

/// Refuses a descriptor that is not a socket of one of these domains and of this type.
pub(crate) fn check_type(
    fd: BorrowedFd<'_>,
    domains: &[libc::c_int],
    kind: libc::c_int,
    object: &'static str,
) -> Result<()> {
    let option =
        |option| sys::socket_option(fd, option).map_err(|error| Error::new("adopt", object, error));
    if domains.contains(&option(libc::SO_DOMAIN)?) && option(libc::SO_TYPE)? == kind {
        return Ok(());
    }
    Err(Error::invalid_input("adopt", object, "the descriptor is another type of socket"))
}
