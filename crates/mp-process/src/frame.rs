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

/// How many bytes are read from a memfd at once.
const STEP: usize = 256 << 10;

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
    socket.send_vectored_until(&slices, fds, deadline)
}

/// Receives into `buffer`, which is one byte longer than the sender's limit; `None` at the end of the connection.
pub(crate) fn recv<'a>(
    socket: &SeqpacketSocket,
    buffer: &'a mut [u8],
    deadline: Deadline,
) -> Result<Option<Frame<'a>>, TimeoutError> {
    let Some((body, fds)) = recv_unread(socket, buffer, deadline)? else { return Ok(None) };
    Ok(Some(Frame { body: body.into_bytes()?, fds }))
}

/// [`recv`] that leaves a body which lies in a memfd there.
pub(crate) fn recv_unread<'a>(
    socket: &SeqpacketSocket,
    buffer: &'a mut [u8],
    deadline: Deadline,
) -> Result<Option<(Body<'a>, Vec<OwnedFd>)>, TimeoutError> {
    let Some(received) = socket.recv_with_fds_until(buffer, deadline)? else { return Ok(None) };
    let mut fds = received.fds;
    match buffer[..received.len] {
        [INLINE, ref body @ ..] => Ok(Some((Body::Inline(body), fds))),
        [SEGMENT] if !fds.is_empty() => {
            let segment = SparseSegment::from_fd(fds.remove(0))?;
            Ok(Some((Body::Segment(segment), fds)))
        }
        _ => Err(malformed().into()),
    }
}

/// Where the bytes of a received message are.
pub(crate) enum Body<'a> {
    Inline(&'a [u8]),
    Segment(SparseSegment),
}

impl<'a> Body<'a> {
    /// The bytes; those of a segment are copied.
    pub(crate) fn into_bytes(self) -> Result<Cow<'a, [u8]>, Error> {
        match self {
            Self::Inline(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::Segment(segment) => read(&segment).map(Cow::Owned),
        }
    }

    /// Copies the bytes to the front of `buffer`: how many. The body itself where they do not fit.
    pub(crate) fn copy_to(self, buffer: &mut [u8]) -> Result<Result<usize, Self>, Error> {
        let len = match &self {
            Self::Inline(bytes) => bytes.len(),
            Self::Segment(segment) => usize::try_from(segment.len()).unwrap_or(usize::MAX),
        };
        let Some(room) = buffer.get_mut(..len) else { return Ok(Err(self)) };
        match self {
            Self::Inline(bytes) => room.copy_from_slice(bytes),
            Self::Segment(segment) => segment.read_at(0, room)?,
        }
        Ok(Ok(len))
    }
}

/// All of `segment`, whose length is the peer's claim: a lie is an error, not an abort.
fn read(segment: &SparseSegment) -> Result<Vec<u8>, Error> {
    let len = usize::try_from(segment.len()).map_err(|_| malformed())?;
    let mut body = Vec::new();
    body.try_reserve_exact(len)
        .map_err(|error| Error::new("receive", format!("message of {len} bytes"), error.into()))?;
    // In steps, so that what is cleared is still in the cache when it is filled.
    while body.len() < len {
        let begin = body.len();
        body.resize(len.min(begin + STEP), 0);
        segment.read_at(begin as u64, &mut body[begin..])?;
    }
    Ok(body)
}

/// The peer does not speak this protocol.
pub(crate) fn malformed() -> Error {
    let cause = io::Error::new(io::ErrorKind::InvalidData, "it is not one of this crate");
    Error::new("understand", "message", cause)
}
