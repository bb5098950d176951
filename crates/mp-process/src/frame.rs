//! Messages of any size on a seqpacket socket.
//!
//! The first byte says where the body is: behind it, or in a memfd that is the first descriptor. So a send takes only
//! room in the socket's buffer, and never needs the peer to read first.

use std::{
    borrow::Cow,
    io::{self, IoSlice},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use mp_os::{Deadline, Error, TimeoutError};
use mp_shm::{Segment, SparseSegment};
use mp_socket::SeqpacketSocket;

const INLINE: u8 = 0;
const SEGMENT: u8 = 1;

/// The most descriptors a message may carry beside its own.
pub(crate) const MAX_FDS: usize = SeqpacketSocket::MAX_FDS - 1;

/// A received message.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) body: Cow<'a, [u8]>,
    pub(crate) fds: Vec<OwnedFd>,
}

/// Sends `body`; in a memfd if it has more than `limit` bytes.
pub(crate) fn send(
    socket: &SeqpacketSocket,
    body: &[u8],
    fds: &[OwnedFd],
    limit: usize,
    deadline: Deadline,
) -> Result<(), TimeoutError> {
    if fds.len() > MAX_FDS {
        let reason = format!("it has {} file descriptors, of which {MAX_FDS} fit", fds.len());
        return Err(Error::invalid_input("send", "message", reason).into());
    }
    if body.len() <= limit {
        let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        return send_parts(socket, &[&[INLINE], body], &borrowed, deadline);
    }
    let segment = Segment::create_sparse("mp-message", body.len() as u64)?;
    segment.write_at(0, body)?;
    let borrowed: Vec<_> =
        [segment.as_fd()].into_iter().chain(fds.iter().map(AsFd::as_fd)).collect();
    send_parts(socket, &[&[SEGMENT]], &borrowed, deadline)
}

fn send_parts(
    socket: &SeqpacketSocket,
    parts: &[&[u8]],
    fds: &[BorrowedFd<'_>],
    deadline: Deadline,
) -> Result<(), TimeoutError> {
    let mut slices = [IoSlice::new(&[]), IoSlice::new(&[])];
    for (slice, part) in slices.iter_mut().zip(parts) {
        *slice = IoSlice::new(part);
    }
    match deadline.instant() {
        None => Ok(socket.send_vectored(&slices, fds)?),
        Some(instant) => socket.send_vectored_deadline(&slices, fds, instant),
    }
}

/// Receives into `buffer`, which is one byte longer than the sender's limit; `None` at the end of the connection.
pub(crate) fn recv<'a>(
    socket: &SeqpacketSocket,
    buffer: &'a mut [u8],
    deadline: Deadline,
) -> Result<Option<Frame<'a>>, TimeoutError> {
    let received = match deadline.instant() {
        None => socket.recv_with_fds(buffer)?,
        Some(instant) => socket.recv_with_fds_deadline(buffer, instant)?,
    };
    let Some(received) = received else { return Ok(None) };
    let mut fds = received.fds;
    match buffer[..received.len] {
        [INLINE, ref body @ ..] => Ok(Some(Frame { body: Cow::Borrowed(body), fds })),
        [SEGMENT] if !fds.is_empty() => {
            let segment = SparseSegment::from_fd(fds.remove(0))?;
            Ok(Some(Frame { body: Cow::Owned(read(&segment)?), fds }))
        }
        _ => Err(malformed().into()),
    }
}

/// All of `segment`, whose length is the peer's claim: a lie is an error, not an abort.
fn read(segment: &SparseSegment) -> Result<Vec<u8>, Error> {
    let len = usize::try_from(segment.len()).map_err(|_| malformed())?;
    let mut body = Vec::new();
    body.try_reserve_exact(len)
        .map_err(|error| Error::new("receive", format!("message of {len} bytes"), error.into()))?;
    body.resize(len, 0);
    segment.read_at(0, &mut body)?;
    Ok(body)
}

/// The peer does not speak this protocol.
pub(crate) fn malformed() -> Error {
    let cause = io::Error::new(io::ErrorKind::InvalidData, "it is not one of this crate");
    Error::new("understand", "message", cause)
}
