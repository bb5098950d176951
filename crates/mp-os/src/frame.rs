//! Messages over byte streams: each as its length in four bytes, then its bytes.
//!
//! The length is big-endian and at most [`MAX_LEN`], which is what CPython's `multiprocessing.connection` writes for
//! messages below 2 GiB: the two understand each other.

use std::io::{self, IoSlice};

use crate::{Deadline, Error, Result, TimeoutError};

/// The largest message in bytes that the format can express, 2 GiB - 1.
pub const MAX_LEN: usize = i32::MAX as usize;

const HEADER_LEN: usize = 4;

/// How much memory is allocated ahead of the bytes of a message: a length that lies costs this much.
const STEP: usize = 64 << 10;

/// A larger receive buffer is given back before the next message.
const KEEP: usize = 1 << 20;

/// Something to read bytes from with a deadline: a pipe's or a socket's end.
pub trait ByteSource {
    /// Reads some bytes: how many, zero at the end of the stream.
    ///
    /// # Errors
    ///
    /// [`TimeoutError::TimedOut`] where nothing has come until `deadline`, or what the operating system says.
    fn read_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize, TimeoutError>;
}

/// Something to write bytes to with a deadline: a pipe's or a socket's end.
pub trait ByteSink {
    /// Writes some of the bytes of `parts`: how many.
    ///
    /// # Errors
    ///
    /// [`TimeoutError::TimedOut`] where nothing could be written until `deadline`, or what the operating system says.
    fn write_until(&self, parts: &[IoSlice<'_>], deadline: Deadline)
    -> Result<usize, TimeoutError>;
}

/// So that two threads can share a socket, one [`Framed`] to receive and one to send.
impl<S: ByteSource + ?Sized> ByteSource for &S {
    fn read_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize, TimeoutError> {
        (**self).read_until(buffer, deadline)
    }
}

/// So that two threads can share a socket, one [`Framed`] to receive and one to send.
impl<S: ByteSink + ?Sized> ByteSink for &S {
    fn write_until(
        &self,
        parts: &[IoSlice<'_>],
        deadline: Deadline,
    ) -> Result<usize, TimeoutError> {
        (**self).write_until(parts, deadline)
    }
}

/// Whole messages over a byte stream `S`.
///
/// A stream keeps no boundaries, and a writer killed in the middle leaves half of what it meant to say. This one tells:
/// a message is received whole, or the end within it is an error; what came before is not lost. It never reads beyond
/// the message, so that readiness of the descriptor means what it says, and `S` can be used directly in between.
///
/// One sender and one receiver a stream: two would take each other's bytes. (Into a pipe, frames of at most `PIPE_BUF`
/// - 4 bytes are written in one piece, so these may have many senders.)
///
/// # Examples
///
/// ```
/// use mp_os::{Deadline, Error, Result, TimeoutError, frame::{ByteSink, ByteSource, Framed}};
/// use std::io::{self, IoSlice, Read, Write};
///
/// struct Pipe<T>(T);
///
/// impl ByteSource for Pipe<io::PipeReader> {
///     fn read_until(&self, buffer: &mut [u8], _: Deadline) -> Result<usize, TimeoutError> {
///         Ok((&self.0).read(buffer).map_err(|error| Error::new("read", "pipe", error))?)
///     }
/// }
///
/// impl ByteSink for Pipe<io::PipeWriter> {
///     fn write_until(&self, parts: &[IoSlice<'_>], _: Deadline) -> Result<usize, TimeoutError> {
///         Ok((&self.0).write_vectored(parts).map_err(|error| Error::new("write", "pipe", error))?)
///     }
/// }
///
/// let (reader, writer) = io::pipe()?;
/// let mut sender = Framed::new(Pipe(writer));
/// sender.send(b"one")?;
/// sender.send(b"")?;
/// drop(sender);
///
/// let mut receiver = Framed::new(Pipe(reader));
/// assert_eq!(receiver.recv()?, Some(&b"one"[..]));
/// assert_eq!(receiver.recv()?, Some(&b""[..]));
/// assert_eq!(receiver.recv()?, None, "the end, between two messages");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Framed<S> {
    stream: S,
    max_len: usize,
    incoming: Incoming,
    /// The rest of a frame whose sending a deadline cut short.
    pending: Vec<u8>,
}

/// The frame that is being received.
#[derive(Debug, Default)]
struct Incoming {
    header: [u8; HEADER_LEN],
    /// How many bytes of the frame, header included, have come.
    filled: usize,
    /// The payload: the bytes that have come, and initialized room for more.
    payload: Vec<u8>,
}

impl<S> Framed<S> {
    /// The largest message that is received unless [`with_max_len`](Self::with_max_len) says otherwise: 64 MiB.
    pub const DEFAULT_MAX_LEN: usize = 64 << 20;

    /// Frames messages over `stream`.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            max_len: Self::DEFAULT_MAX_LEN,
            incoming: Incoming::default(),
            pending: Vec::new(),
        }
    }

    /// Sets the largest message in bytes that is sent and received; at most [`MAX_LEN`].
    #[must_use]
    pub fn with_max_len(self, max_len: usize) -> Self {
        Self { max_len: max_len.min(MAX_LEN), ..self }
    }

    /// The stream.
    pub const fn stream(&self) -> &S {
        &self.stream
    }

    /// The stream again. A message of which a part has been received or sent is cut there.
    pub fn into_stream(self) -> S {
        self.stream
    }

    /// How many bytes of messages already accepted are still to be written; see [`send`](Self::send).
    pub const fn pending(&self) -> usize {
        self.pending.len()
    }
}

impl<S: ByteSource> Framed<S> {
    crate::family! {
        /// Receives a message; it stays valid until the next call. `None` is the end of the stream between messages.
        ///
        /// A deadline that passes within a message loses nothing: the next call goes on where this one stopped. Memory
        /// is allocated only as bytes arrive, and kept for the next message.
        ///
        /// # Errors
        ///
        /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) where the stream ends within a message: the peer has died;
        /// [`InvalidData`](io::ErrorKind::InvalidData) for a message above the limit, from then on at every call; what
        /// reading from the stream fails with.
        pub fn recv, try_recv, recv_timeout, recv_deadline(self: &mut Self) -> Option<&[u8]> = recv_until;
    }

    fn recv_until(&mut self, deadline: Deadline) -> Result<Option<&[u8]>, TimeoutError> {
        self.incoming.start();
        while self.incoming.filled < HEADER_LEN {
            let rest = &mut self.incoming.header[self.incoming.filled..];
            match self.stream.read_until(rest, deadline)? {
                0 if self.incoming.filled == 0 => return Ok(None),
                0 => return Err(self.incoming.died().into()),
                count => self.incoming.filled += count,
            }
        }
        let len = self.incoming.len();
        if len > self.max_len {
            let reason = format!("it announces {len} bytes, of which {} are allowed", self.max_len);
            let cause = io::Error::new(io::ErrorKind::InvalidData, reason);
            return Err(Error::new("receive", "framed message", cause).into());
        }
        while self.incoming.filled < HEADER_LEN + len {
            match self.stream.read_until(self.incoming.room(), deadline)? {
                0 => return Err(self.incoming.died().into()),
                count => self.incoming.filled += count,
            }
        }
        Ok(self.incoming.payload.get(..len))
    }
}

impl Incoming {
    /// Forgets the frame if it is complete and was handed out.
    fn start(&mut self) {
        if self.filled >= HEADER_LEN && self.filled == HEADER_LEN + self.len() {
            self.filled = 0;
            if self.payload.len() > KEEP {
                self.payload = Vec::new();
            }
        }
    }

    /// The length of the payload, once the header has come.
    fn len(&self) -> usize {
        u32::from_be_bytes(self.header) as usize
    }

    /// Where the next bytes of the payload go; never empty before the payload is complete.
    fn room(&mut self) -> &mut [u8] {
        let begin = self.filled - HEADER_LEN;
        if begin == self.payload.len() {
            self.payload.resize(self.len().min(begin + STEP), 0);
        }
        let end = self.len().min(self.payload.len());
        &mut self.payload[begin..end]
    }

    fn died(&self) -> Error {
        let reason = match self.filled {
            0..HEADER_LEN => format!("the peer left after {} bytes of the header", self.filled),
            _ => {
                format!("the peer left after {} of {} bytes", self.filled - HEADER_LEN, self.len())
            }
        };
        let cause = io::Error::new(io::ErrorKind::UnexpectedEof, reason);
        Error::new("receive", "framed message", cause)
    }
}

impl<S: ByteSink> Framed<S> {
    crate::family! {
        /// Sends a message.
        ///
        /// Where a deadline passes after the first byte, the message counts as accepted: the result is `Ok`, the rest is
        /// [pending](Self::pending), and goes out before the next message or with [`flush`](Self::flush). `TimedOut` and
        /// `WouldBlock` always mean that no byte of this message was or will be sent.
        ///
        /// # Errors
        ///
        /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a message above the limit; what writing to the stream fails
        /// with, [`BrokenPipe`](io::ErrorKind::BrokenPipe) where the peer is gone.
        pub fn send, try_send, send_timeout, send_deadline(self: &mut Self, message: &[u8]) -> () = send_until;

        /// Writes what is still [pending](Self::pending) of messages already accepted.
        ///
        /// # Errors
        ///
        /// What writing to the stream fails with.
        pub fn flush, try_flush, flush_timeout, flush_deadline(self: &mut Self) -> () = flush_until;
    }

    fn send_until(&mut self, message: &[u8], deadline: Deadline) -> Result<(), TimeoutError> {
        if message.len() > self.max_len {
            let reason =
                format!("it has {} bytes, of which {} are allowed", message.len(), self.max_len);
            return Err(Error::invalid_input("send", "framed message", reason).into());
        }
        self.flush_until(deadline)?;
        let header = (message.len() as u32).to_be_bytes();
        let mut parts: &mut [_] = &mut [IoSlice::new(&header), IoSlice::new(message)];
        let count = self.stream.write_until(parts, deadline)?;
        IoSlice::advance_slices(&mut parts, count);
        while !parts.is_empty() {
            match self.stream.write_until(parts, deadline) {
                Ok(count) => IoSlice::advance_slices(&mut parts, count),
                Err(TimeoutError::TimedOut) => {
                    parts.iter().for_each(|part| self.pending.extend_from_slice(part));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn flush_until(&mut self, deadline: Deadline) -> Result<(), TimeoutError> {
        while !self.pending.is_empty() {
            let count = self.stream.write_until(&[IoSlice::new(&self.pending)], deadline)?;
            self.pending.drain(..count);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::VecDeque};

    use super::*;
    use crate::TryError;

    /// A stream of scripted reads and writes: zero is a deadline that passes.
    #[derive(Default)]
    struct Script {
        bytes: RefCell<VecDeque<u8>>,
        steps: RefCell<VecDeque<usize>>,
    }

    impl Script {
        fn new(bytes: &[u8], steps: &[usize]) -> Framed<Self> {
            Framed::new(Self {
                bytes: RefCell::new(bytes.iter().copied().collect()),
                steps: RefCell::new(steps.iter().copied().collect()),
            })
        }

        fn step(&self) -> Result<usize, TimeoutError> {
            match self.steps.borrow_mut().pop_front().unwrap_or(usize::MAX) {
                0 => Err(TimeoutError::TimedOut),
                count => Ok(count),
            }
        }
    }

    impl ByteSource for Script {
        fn read_until(&self, buffer: &mut [u8], _: Deadline) -> Result<usize, TimeoutError> {
            let mut bytes = self.bytes.borrow_mut();
            let count = self.step()?.min(buffer.len()).min(bytes.len());
            bytes.drain(..count).zip(buffer).for_each(|(byte, place)| *place = byte);
            Ok(count)
        }
    }

    impl ByteSink for Script {
        fn write_until(&self, parts: &[IoSlice<'_>], _: Deadline) -> Result<usize, TimeoutError> {
            let all: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            let count = self.step()?.min(all.len());
            self.bytes.borrow_mut().extend(&all[..count]);
            Ok(count)
        }
    }

    #[test]
    fn a_deadline_within_a_message_loses_nothing() {
        let mut framed = Script::new(b"\0\0\0\x03abc\0\0\0\0", &[2, 0, 1, 0, 1, 0, 2, 0]);
        for _ in 0..4 {
            assert!(matches!(framed.try_recv(), Err(TryError::WouldBlock)));
        }
        assert_eq!(framed.recv().unwrap(), Some(&b"abc"[..]));
        assert_eq!(framed.recv().unwrap(), Some(&b""[..]));
        assert_eq!(framed.recv().unwrap(), None);
    }

    #[test]
    fn the_end_within_a_message_is_an_error() {
        for cut in [&b"\0"[..], b"\0\0\0", b"\0\0\0\x03", b"\0\0\0\x03ab"] {
            let error = Script::new(cut, &[]).recv().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}");
        }
    }

    #[test]
    fn a_length_that_lies_costs_little() {
        let mut framed = Script::new(b"\x7f\xff\xff\xffabc", &[]).with_max_len(MAX_LEN);
        assert_eq!(framed.recv().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(framed.incoming.payload.capacity() <= 2 * STEP);
        let mut framed = Script::new(b"\x7f\xff\xff\xffabc", &[]);
        for _ in 0..2 {
            assert_eq!(framed.recv().unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn a_message_once_begun_is_accepted() {
        let mut framed = Script::new(b"", &[0, 2, 3, 0, 0, 1]);
        assert!(matches!(framed.try_send(b"abc"), Err(TryError::WouldBlock)), "not begun");
        framed.try_send(b"abc").unwrap();
        assert_eq!(framed.pending(), 2);
        assert!(matches!(framed.try_send(b"d"), Err(TryError::WouldBlock)), "behind the first");
        framed.send(b"e").unwrap();
        let all: Vec<u8> = framed.into_stream().bytes.into_inner().into();
        assert_eq!(all, b"\0\0\0\x03abc\0\0\0\x01e");
    }

    #[test]
    fn large_messages_arrive_in_steps() {
        let message: Vec<u8> = (0..3 * STEP + 5).map(|n| n as u8).collect();
        let mut framed = Script::new(b"", &[]);
        framed.send(&message).unwrap();
        assert_eq!(framed.recv().unwrap(), Some(&message[..]));
        assert_eq!(
            framed.with_max_len(4).send(b"large").unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
