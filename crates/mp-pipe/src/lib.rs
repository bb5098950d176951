//! Pipes and FIFOs: bytes, packets and whole messages from process to process, with a deadline on every wait.
//!
//! ```
//! use mp_pipe::Framed;
//! use std::{process::{Command, Stdio}, time::Duration};
//!
//! let (reader, writer) = mp_pipe::pipe()?;
//! let mut child = Command::new("echo").arg("from a child").stdout(Stdio::from(writer)).spawn()?;
//! let mut buffer = [0; 64];
//! let len = reader.read_timeout(&mut buffer, Duration::from_secs(10))?;
//! assert_eq!(&buffer[..len], b"from a child\n");
//! assert_eq!(reader.read(&mut buffer)?, 0, "the end: the last writer is gone");
//! child.wait()?;
//!
//! let (reader, writer) = mp_pipe::pipe()?;
//! let (mut receiver, mut sender) = (Framed::new(reader), Framed::new(writer));
//! sender.send(b"a whole message")?;
//! assert_eq!(receiver.recv()?, Some(&b"a whole message"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | item | what it is |
//! |---|---|
//! | [`pipe`] | an unnamed pipe of bytes: [`PipeReader`], [`PipeWriter`] |
//! | [`packets`] | an unnamed pipe of packets of up to [`PIPE_BUF`] bytes: [`PacketReader`], [`PacketWriter`] |
//! | [`Fifo`] | a named pipe: unrelated programs meet at a path, and wait for each other only as long as they want to |
//! | [`Framed`] | messages of any length over a pipe or FIFO, in the format of Python's `multiprocessing.connection` |
//! | [`PipeReader::tee_to`], [`splice_to`](PipeReader::splice_to), [`PipeWriter::splice_from`] | bytes between pipes and files within the kernel |
//!
//! Every operation that may wait comes in four forms: `read`, `try_read`, `read_timeout`, `read_deadline`. None changes a
//! flag of the descriptor, which clones and children share; none allocates, except that a [`Framed`] grows its buffer to its
//! largest message; none raises `SIGPIPE`. With the feature `serde` the ends travel inside messages that carry descriptors.
//!
//! # When somebody is killed
//!
//! | who, when | what the others see |
//! |---|---|
//! | the last writer | its bytes first, then the end: zero bytes, `None` |
//! | a writer within [`write_message`](PipeWriter::write_message) or [`send`](PacketWriter::send) | all of the message, or nothing |
//! | a writer within a longer `write` | the bytes that it had written; a [`Framed`] reader gets every whole message, then [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof) |
//! | the last reader | writers get [`BrokenPipe`](std::io::ErrorKind::BrokenPipe), also those that wait; what was in the pipe is lost |
//! | a reader among several | what it had read is lost, nothing else; half a frame confuses the next reader, a packet or message cannot be halved |
//! | one that waits to open a [`Fifo`] | nothing: the other side waits on |
//! | the creator of a [`Fifo`] | the pipe works on; the file stays, as nobody unlinks it |
//!
//! An end that another process has inherited keeps the pipe open: drop ends you do not use, as close-on-exec does in
//! programs that are executed.
//!
//! # What this crate does not do
//!
//! * Wait for many at once: the ends are [`AsFd`](std::os::fd::AsFd), for `poll(2)`, `epoll(7)`, mio or tokio.
//! * Both directions: take two pipes, or a socket (`mp-socket`).
//! * Pass file descriptors or identify the peer: sockets do.
//! * Tell what else is in a FIFO's directory: choose one that only you can write to.
//!
//! # What it costs beside the system calls
//!
//! A read that may wait is `read(2)`. A write is `pwritev2(2)`, which alone can be told to raise no signal (`RWF_NOSIGNAL`):
//! a library does not know what `SIGPIPE` does by the time of the write, and asking costs more. The kernel takes longer for
//! it than for `write(2)`, so a few bytes written and read cost 1.12 to 1.2 times as much, of which the call itself takes 1.13. Not
//! to wait is told in the same way to `preadv2(2)`: 1.25 to 1.3 times as much as with a descriptor that never waits, and 1.4 times
//! where there is nothing; again that is what the call itself takes. Every form that need not wait is one call. Before Linux 6.18
//! there are two more around each write. A program that knows `SIGPIPE` to be ignored for good converts into a
//! [`std::io::PipeWriter`], and back. `cargo bench -p mp-benches --bench raw` measures it.
//!
//! # Differences from std
//!
//! [`std::io::pipe`] has blocking forms only. Its ends convert to and from these. Here an empty buffer is an error, because
//! zero bytes mean the end.
//!
//! # Platform-specific behavior
//!
//! Linux 5.10 or newer. Not waiting is `RWF_NOWAIT` (Linux 6.4, unnamed pipes); otherwise the end is opened a second time
//! through `/proc/self/fd`, which must be mounted, and the pipe must belong to this user. That second descriptor is closed
//! with the end.

#![deny(unsafe_code)]

mod end;
mod fifo;
mod handle;
mod packet;
mod pipe;
mod reader;
mod rendezvous;
mod splice;
mod sys;
#[cfg(feature = "serde")]
mod transfer;
mod writer;

pub use mp_os::{
    Deadline, Error, Result, TimeoutError, TryError,
    frame::{ByteSink, ByteSource, Framed},
};

pub use crate::{
    fifo::Fifo,
    packet::{PacketReader, PacketWriter},
    pipe::{PIPE_BUF, packets, pipe},
    reader::PipeReader,
    writer::PipeWriter,
};
