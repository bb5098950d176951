use std::{io::IoSlice, os::fd::AsFd};

use mp_os::{
    Deadline, Error, Result, TimeoutError,
    poll::{self, Interest},
};

use crate::{PIPE_BUF, end::end, handle::Handle, sys, writer::check_message};

/// The end of a packet pipe that packets come out of; see [`packets`](crate::packets).
///
/// # Examples
///
/// ```
/// use mp_pipe::{PIPE_BUF, TimeoutError};
/// use std::time::Duration;
///
/// let (reader, writer) = mp_pipe::packets()?;
/// let mut packet = [0; PIPE_BUF];
/// let nothing = reader.recv_timeout(&mut packet, Duration::from_millis(1));
/// assert!(matches!(nothing, Err(TimeoutError::TimedOut)));
/// writer.send(b"a whole packet")?;
/// assert_eq!(reader.recv(&mut packet)?, Some(14));
/// # Ok::<(), mp_pipe::Error>(())
/// ```
#[derive(Debug)]
pub struct PacketReader(pub(crate) Handle);

/// The end of a packet pipe that packets go into; see [`packets`](crate::packets).
///
/// # Examples
///
/// ```
/// let (reader, writer) = mp_pipe::packets()?;
/// writer.send(b"one")?;
/// writer.send(b"two")?;
/// drop(reader);
/// let error = writer.send(b"three").unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
/// # Ok::<(), mp_pipe::Error>(())
/// ```
#[derive(Debug)]
pub struct PacketWriter(pub(crate) Handle);

end!(PacketReader, O_RDONLY, "packet pipe reader");
end!(PacketWriter, O_WRONLY, "packet pipe writer");

impl PacketReader {
    mp_os::family! {
        /// `read(2)`—Receives a packet: its length in bytes, `None` at the end.
        ///
        /// # Errors
        ///
        /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) for a buffer shorter than [`PIPE_BUF`]: the kernel would
        /// drop the rest of a packet silently.
        pub fn recv, try_recv, recv_timeout, recv_deadline(
            self: &Self, buffer: &mut [u8]
        ) -> Option<usize> = recv_until;
    }

    fn recv_until(
        &self,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<Option<usize>, TimeoutError> {
        if buffer.len() < PIPE_BUF {
            let reason = format!("the buffer has {} of {PIPE_BUF} bytes", buffer.len());
            return Err(Error::invalid_input("receive from", Self::OBJECT, reason).into());
        }
        let read = |may_block| match may_block {
            true => sys::read(self.as_fd(), buffer),
            false => sys::read_now(&self.0, buffer),
        };
        let len = poll::until(self.as_fd(), Interest::Readable, deadline, read)
            .map_err(|error| Error::new("receive from", Self::OBJECT, error))?
            .ok_or(TimeoutError::TimedOut)?;
        Ok((len > 0).then_some(len))
    }
}

impl PacketWriter {
    mp_os::family! {
        /// `write(2)`—Sends a packet; it is received whole or not at all, whoever is killed.
        ///
        /// # Errors
        ///
        /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) for a packet that is empty or longer than [`PIPE_BUF`];
        /// [`BrokenPipe`](std::io::ErrorKind::BrokenPipe) where no reader is left.
        pub fn send, try_send, send_timeout, send_deadline(self: &Self, packet: &[u8]) -> () = send_until;
    }

    fn send_until(&self, packet: &[u8], deadline: Deadline) -> Result<(), TimeoutError> {
        check_message(packet, Self::OBJECT)?;
        let write = |may_block| sys::write(&self.0, &[IoSlice::new(packet)], may_block);
        poll::until(self.as_fd(), Interest::Writable, deadline, write)
            .map_err(|error| Error::new("send to", Self::OBJECT, error))?
            .map(drop)
            .ok_or(TimeoutError::TimedOut)
    }
}
