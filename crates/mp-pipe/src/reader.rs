use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use mp_os::{
    Deadline, Error, Result, TimeoutError,
    frame::ByteSource,
    poll::{self, Interest},
};

use crate::{PipeWriter, end::end, handle::Handle, splice, sys};

/// The end of a pipe or FIFO that bytes come out of: [`std::io::PipeReader`] with deadlines.
///
/// A read takes what is there and waits only while there is nothing. When the last writer is closed or killed, what it
/// wrote is read first, then reads give zero. Operations take `&self` and leave the descriptor's flags alone, which
/// clones and child processes share.
///
/// # Examples
///
/// ```
/// use mp_pipe::TryError;
/// use std::time::Duration;
///
/// let (reader, writer) = mp_pipe::pipe()?;
/// let mut buffer = [0; 64];
/// assert!(matches!(reader.try_read(&mut buffer), Err(TryError::WouldBlock)));
///
/// writer.write(b"hello")?;
/// assert_eq!(reader.read_timeout(&mut buffer, Duration::from_secs(1))?, 5);
///
/// drop(writer);
/// assert_eq!(reader.read(&mut buffer)?, 0, "the end");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PipeReader(pub(crate) Handle);

end!(PipeReader, O_RDONLY, "pipe reader");

impl PipeReader {
    mp_os::family! {
        /// `read(2)`—Reads some bytes into `buffer`: how many, zero at the end.
        ///
        /// # Errors
        ///
        /// [`InvalidInput`](io::ErrorKind::InvalidInput) for an empty buffer, for which zero would not mean the end.
        pub fn read, try_read, read_timeout, read_deadline(self: &Self, buffer: &mut [u8]) -> usize = read_bytes;

        /// `tee(2)`—Copies at most `max` bytes to another pipe without taking them: how many, zero at the end.
        ///
        /// # Errors
        ///
        /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) where the other pipe's reader is gone, `EINVAL` where it is the
        /// same pipe.
        #[doc(alias = "tee")]
        pub fn tee_to, try_tee_to, tee_to_timeout, tee_to_deadline(
            self: &Self, writer: &PipeWriter, max: usize
        ) -> usize = tee_until;

        /// `splice(2)`—Moves at most `max` bytes to a file or another pipe without copying them through this process:
        /// how many, zero at the end.
        ///
        /// A file is written at its position. Waiting for a file is not bounded by a deadline, and need not be. A socket must
        /// be nonblocking, except for the form that waits for ever: the kernel goes by its flag alone.
        ///
        /// # Errors
        ///
        /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) where the other pipe's reader is gone, `EINVAL` for a file opened
        /// to append and for the same pipe, [`InvalidInput`](io::ErrorKind::InvalidInput) with a deadline and a blocking
        /// socket, `ENOSPC` or another error of writing to the file.
        #[doc(alias = "splice")]
        pub fn splice_to, try_splice_to, splice_to_timeout, splice_to_deadline(
            self: &Self, to: &impl AsFd, max: usize
        ) -> usize = splice_until;
    }

    #[inline]
    fn read_bytes(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize, TimeoutError> {
        if buffer.is_empty() {
            let error = Error::invalid_input("read from", Self::OBJECT, "the buffer is empty");
            return Err(error.into());
        }
        let read = |may_block| match may_block {
            true => sys::read(self.as_fd(), buffer),
            false => sys::read_now(&self.0, buffer),
        };
        poll::until(self.as_fd(), Interest::Readable, deadline, read)
            .map_err(|error| Error::new("read from", Self::OBJECT, error))?
            .ok_or(TimeoutError::TimedOut)
    }

    fn tee_until(
        &self,
        writer: &PipeWriter,
        max: usize,
        deadline: Deadline,
    ) -> Result<usize, TimeoutError> {
        splice::tee(self.as_fd(), writer.as_fd(), max, deadline)
    }

    fn splice_until(
        &self,
        to: &impl AsFd,
        max: usize,
        deadline: Deadline,
    ) -> Result<usize, TimeoutError> {
        splice::splice(self.as_fd(), to.as_fd(), max, deadline)
    }
}

impl ByteSource for PipeReader {
    fn read_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize, TimeoutError> {
        self.read_bytes(buffer, deadline)
    }
}

impl io::Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &*self, buffer)
    }
}

impl io::Read for &PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        PipeReader::read(self, buffer).map_err(io::Error::from)
    }
}

impl From<io::PipeReader> for PipeReader {
    fn from(reader: io::PipeReader) -> Self {
        Self(OwnedFd::from(reader).into())
    }
}

impl From<PipeReader> for io::PipeReader {
    fn from(reader: PipeReader) -> Self {
        OwnedFd::from(reader).into()
    }
}
