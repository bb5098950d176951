use std::{
    io::{self, IoSlice},
    net::Shutdown,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use mp_os::{
    Deadline, Result, TimeoutError,
    frame::{ByteSink, ByteSource},
};

use crate::{
    Received,
    message::{self, Nature},
    unix::{self, connection, descriptor, unix_socket},
};

/// A connection that carries bytes, and file descriptors with them: [`std::os::unix::net::UnixStream`] with deadlines.
///
/// What the peer sent before its death is read first, then reads give zero. [`Framed`](crate::Framed) makes messages of
/// it and tells when the peer died within one. No operation changes flags or options of the socket, which clones and
/// other processes share.
///
/// # Examples
///
/// ```
/// use mp_socket::UnixStream;
/// use std::time::Duration;
///
/// let (left, right) = UnixStream::pair()?;
/// left.write(b"hello")?;
/// drop(left);
///
/// let mut buffer = [0; 64];
/// assert_eq!(right.read_timeout(&mut buffer, Duration::from_secs(1))?, 5);
/// assert_eq!(right.read(&mut buffer)?, 0, "the end");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct UnixStream(OwnedFd);

/// A TCP connection: [`std::net::TcpStream`] with deadlines.
///
/// Whether the peer's machine is gone is not known before it answers or a timeout of TCP passes; hence the deadlines.
///
/// # Examples
///
/// ```
/// use mp_socket::{Framed, TcpListener, TcpStream};
/// use std::time::Duration;
///
/// let listener = TcpListener::bind("127.0.0.1:0".parse()?)?;
/// let client = TcpStream::connect_timeout(listener.local_address()?, Duration::from_secs(1))?;
/// let (server, _) = listener.accept_timeout(Duration::from_secs(1))?;
///
/// Framed::new(client).send(b"hello")?;
/// assert_eq!(Framed::new(server).recv()?, Some(&b"hello"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TcpStream(pub(crate) OwnedFd);

unix_socket!(UnixStream, Stream, SOCK_STREAM);
connection!(UnixStream, Stream);
descriptor!(UnixStream);
descriptor!(TcpStream);

/// Writes the operations on bytes, for a type with a `NATURE`.
macro_rules! byte_stream {
    ($stream:ident, $std:ty) => {
        impl $stream {
            mp_os::family! {
                /// `recv(2)`—Reads some bytes into `buffer`: how many, zero at the end of the connection.
                ///
                /// # Errors
                ///
                /// [`InvalidInput`](io::ErrorKind::InvalidInput) for an empty buffer, for which zero would not mean the
                /// end; over TCP [`ConnectionReset`](io::ErrorKind::ConnectionReset) where the peer is gone.
                pub fn read, try_read, read_timeout, read_deadline(
                    self: &Self, buffer: &mut [u8]
                ) -> usize = read_bytes;

                /// `send(2)`—Writes some of `bytes`, as many as there is room for now and at least one: how many.
                /// Without a deadline it waits until all are written.
                ///
                /// # Errors
                ///
                /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) or [`ConnectionReset`](io::ErrorKind::ConnectionReset)
                /// where the peer is gone.
                pub fn write, try_write, write_timeout, write_deadline(
                    self: &Self, bytes: &[u8]
                ) -> usize = write_bytes;
            }

            /// `shutdown(2)`—Ends one direction or both, for all handles of the socket: the peer reads the end.
            ///
            /// # Errors
            ///
            /// `ENOTCONN` where the connection is gone.
            pub fn shutdown(&self, how: Shutdown) -> Result<()> {
                unix::shutdown(self.as_fd(), how, Self::NATURE.object)
            }

            fn read_bytes(
                &self,
                buffer: &mut [u8],
                deadline: Deadline,
            ) -> Result<usize, TimeoutError> {
                message::receive_bytes(self.as_fd(), buffer, deadline, Self::NATURE)
            }

            fn write_bytes(&self, bytes: &[u8], deadline: Deadline) -> Result<usize, TimeoutError> {
                self.write_until(&[IoSlice::new(bytes)], deadline)
            }
        }

        impl ByteSource for $stream {
            fn read_until(
                &self,
                buffer: &mut [u8],
                deadline: Deadline,
            ) -> Result<usize, TimeoutError> {
                self.read_bytes(buffer, deadline)
            }
        }

        impl ByteSink for $stream {
            fn write_until(
                &self,
                parts: &[IoSlice<'_>],
                deadline: Deadline,
            ) -> Result<usize, TimeoutError> {
                message::send(self.as_fd(), None, parts, &[], deadline, Self::NATURE)
            }
        }

        impl io::Read for $stream {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                io::Read::read(&mut &*self, buffer)
            }
        }

        impl io::Read for &$stream {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if buffer.is_empty() {
                    return Ok(0);
                }
                Ok(self.read_bytes(buffer, Deadline::never())?)
            }
        }

        impl io::Write for $stream {
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

        impl io::Write for &$stream {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                Ok(self.write_bytes(bytes, Deadline::never())?)
            }

            fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
                Ok(self.write_until(parts, Deadline::never())?)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        impl From<$std> for $stream {
            fn from(stream: $std) -> Self {
                Self(stream.into())
            }
        }

        impl From<$stream> for $std {
            fn from(stream: $stream) -> Self {
                stream.0.into()
            }
        }
    };
}

byte_stream!(UnixStream, std::os::unix::net::UnixStream);
byte_stream!(TcpStream, std::net::TcpStream);

impl TcpStream {
    pub(crate) const NATURE: Nature =
        Nature { object: "TCP connection", has_messages: false, is_unix: false };
}

impl UnixStream {
    pub(crate) const NATURE: Nature =
        Nature { object: "Unix stream", has_messages: false, is_unix: true };

    mp_os::family! {
        /// `sendmsg(2)` with `SCM_RIGHTS`—Writes some of `bytes`, and duplicates of `fds` along with the first of them:
        /// how many bytes.
        ///
        /// # Errors
        ///
        /// As for [`write`](Self::write); [`InvalidInput`](io::ErrorKind::InvalidInput) without any bytes, or with more
        /// than [`MAX_FDS`](Self::MAX_FDS) descriptors; `ETOOMANYREFS` where too many are in flight.
        #[doc(alias = "SCM_RIGHTS")]
        pub fn send_with_fds, try_send_with_fds, send_with_fds_timeout, send_with_fds_deadline(
            self: &Self, bytes: &[u8], fds: &[BorrowedFd<'_>]
        ) -> usize = send_with_fds_until;

        /// `recvmsg(2)` with `SCM_RIGHTS`—Reads some bytes and the descriptors that came along with them; zero bytes are
        /// the end of the connection.
        ///
        /// It stops before bytes that came with other descriptors.
        ///
        /// # Errors
        ///
        /// As for [`read`](Self::read); `EMFILE` where not all descriptors could be installed: those that could are
        /// closed, and the bytes are lost.
        pub fn recv_with_fds, try_recv_with_fds, recv_with_fds_timeout, recv_with_fds_deadline(
            self: &Self, buffer: &mut [u8]
        ) -> Received = recv_with_fds_until;
    }

    fn send_with_fds_until(
        &self,
        bytes: &[u8],
        fds: &[BorrowedFd<'_>],
        deadline: Deadline,
    ) -> Result<usize, TimeoutError> {
        message::send(self.as_fd(), None, &[IoSlice::new(bytes)], fds, deadline, Self::NATURE)
    }

    fn recv_with_fds_until(
        &self,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<Received, TimeoutError> {
        message::receive_with_fds(self.as_fd(), buffer, deadline, Self::NATURE)
    }
}
