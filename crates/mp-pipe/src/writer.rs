use std::{
    io::{self, IoSlice},
    os::fd::{AsFd, OwnedFd},
};

use mp_os::{
    Deadline, Error, Result, TimeoutError,
    frame::ByteSink,
    poll::{self, Interest},
};

use crate::{PIPE_BUF, end::end, handle::Handle, splice, sys};

/// The end of a pipe or FIFO that bytes go into: [`std::io::PipeWriter`] with deadlines.
///
/// Writing where no reader is left is an error and never the signal `SIGPIPE`, also in a program where that is not
/// ignored. Operations take `&self` and leave the descriptor's flags alone, which clones and child processes share.
///
/// # Examples
///
/// ```
/// let (reader, writer) = mp_pipe::pipe()?;
/// writer.write_message(b"up to 4096 bytes, in one piece")?;
/// drop(reader);
/// let error = writer.write(b"x").unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
/// # Ok::<(), mp_pipe::Error>(())
/// ```
#[derive(Debug)]
pub struct PipeWriter(pub(crate) Handle);

end!(PipeWriter, O_WRONLY, "pipe writer");

impl PipeWriter {
    mp_os::family! {
        /// `write(2)`—Writes some of `bytes`, as many as there is room for now and at least one: how many. Without a
        /// deadline it waits until all are written.
        ///
        /// More than [`PIPE_BUF`] bytes may be mixed with those of other writers, and a writer that is killed may have
        /// written a part; [`Framed`](crate::Framed) tells.
        ///
        /// # Errors
        ///
        /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) where no reader is left.
        pub fn write, try_write, write_timeout, write_deadline(self: &Self, bytes: &[u8]) -> usize = write_bytes;

        /// `write(2)`—Writes `message` in one piece: all of it or nothing, and never mixed with other writers' bytes,
        /// whoever is killed.
        ///
        /// A pipe keeps no boundaries: the reader knows where it ends by its content, such as a line end.
        /// [`packets`](crate::packets) and [`Framed`](crate::Framed) keep them.
        ///
        /// # Errors
        ///
        /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a message that is empty or longer than [`PIPE_BUF`];
        /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) where no reader is left.
        #[doc(alias = "PIPE_BUF")]
        pub fn write_message, try_write_message, write_message_timeout, write_message_deadline(
            self: &Self, message: &[u8]
        ) -> () = write_message_until;

        /// `splice(2)`—Moves at most `max` bytes from a file into the pipe without copying them through this process:
        /// how many, zero at the end of the file.
        ///
        /// A file is read at its position. Waiting for a file is not bounded by a deadline, and need not be. A socket must
        /// be nonblocking, except for the form that waits for ever: the kernel goes by its flag alone.
        ///
        /// # Errors
        ///
        /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) where no reader is left, `EINVAL` for a descriptor that cannot be
        /// spliced, [`InvalidInput`](io::ErrorKind::InvalidInput) with a deadline and a blocking socket.
        #[doc(alias = "splice")]
        pub fn splice_from, try_splice_from, splice_from_timeout, splice_from_deadline(
            self: &Self, from: &impl AsFd, max: usize
        ) -> usize = splice_until;
    }

    #[inline]
    fn write_bytes(&self, bytes: &[u8], deadline: Deadline) -> Result<usize, TimeoutError> {
        self.write_parts(&[IoSlice::new(bytes)], deadline)
    }

    fn write_message_until(&self, message: &[u8], deadline: Deadline) -> Result<(), TimeoutError> {
        check_message(message, Self::OBJECT)?;
        self.write_bytes(message, deadline).map(drop)
    }

    fn splice_until(
        &self,
        from: &impl AsFd,
        max: usize,
        deadline: Deadline,
    ) -> Result<usize, TimeoutError> {
        splice::splice(from.as_fd(), self.as_fd(), max, deadline)
    }

    #[inline]
    fn write_parts(
        &self,
        parts: &[IoSlice<'_>],
        deadline: Deadline,
    ) -> Result<usize, TimeoutError> {
        let write = |may_block| sys::write(&self.0, parts, may_block);
        poll::until(self.as_fd(), Interest::Writable, deadline, write)
            .map_err(|error| Error::new("write to", Self::OBJECT, error))?
            .ok_or(TimeoutError::TimedOut)
    }
}

/// Only messages of these lengths are atomic.
pub(crate) fn check_message(message: &[u8], object: &'static str) -> Result<()> {
    match message.len() {
        1..=PIPE_BUF => Ok(()),
        0 => Err(Error::invalid_input("write to", object, "an empty message is no message")),
        len => {
            let reason = format!("{len} bytes are not written in one piece, only {PIPE_BUF} are");
            Err(Error::invalid_input("write to", object, reason).with_hint("frame larger ones"))
        }
    }
}

impl ByteSink for PipeWriter {
    fn write_until(
        &self,
        parts: &[IoSlice<'_>],
        deadline: Deadline,
    ) -> Result<usize, TimeoutError> {
        self.write_parts(parts, deadline)
    }
}

impl io::Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut &*self, bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        io::Write::write_vectored(&mut &*self, parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Write for &PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        PipeWriter::write(self, bytes).map_err(io::Error::from)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_parts(parts, Deadline::never()).map_err(io::Error::from)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<io::PipeWriter> for PipeWriter {
    fn from(writer: io::PipeWriter) -> Self {
        Self(OwnedFd::from(writer).into())
    }
}

impl From<PipeWriter> for io::PipeWriter {
    fn from(writer: PipeWriter) -> Self {
        OwnedFd::from(writer).into()
    }
}
