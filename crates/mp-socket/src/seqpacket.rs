use std::{
    io::IoSlice,
    net::Shutdown,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use mp_os::{Deadline, Result, TimeoutError};

use crate::{
    Received,
    message::{self, Nature},
    unix::{self, connection, descriptor, unix_socket},
};

/// A connection that carries whole messages in order, and file descriptors with them: `AF_UNIX`, `SOCK_SEQPACKET`.
///
/// The kernel holds what was sent: a message is there whole or not at all, whoever is killed and whenever. What the peer
/// sent before its death is received first, then comes the end (`None`). Operations take `&self`: several threads, and
/// several processes that share the socket, may send and receive at once, and each message goes to one receiver.
///
/// A message has at least one byte. An empty one could not be told from the end of the connection: it is refused when
/// sending, and one that another program sent is received as the end.
///
/// No operation changes flags or options of the socket, which clones and other processes share.
///
/// # Examples
///
/// ```
/// use mp_socket::SeqpacketSocket;
/// use std::time::Duration;
///
/// let (left, right) = SeqpacketSocket::pair()?;
/// left.send(b"two")?;
/// left.send(b"messages")?;
/// drop(left);
///
/// let mut buffer = [0; 64];
/// assert_eq!(right.recv_timeout(&mut buffer, Duration::from_secs(1))?, Some(3));
/// assert_eq!(right.recv(&mut buffer)?, Some(8));
/// assert_eq!(&buffer[..8], b"messages");
/// assert_eq!(right.recv(&mut buffer)?, None, "the end");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SeqpacketSocket(pub(crate) OwnedFd);

unix_socket!(SeqpacketSocket, SeqPacket, SOCK_SEQPACKET);
connection!(SeqpacketSocket, SeqPacket);
descriptor!(SeqpacketSocket);

impl SeqpacketSocket {
    pub(crate) const NATURE: Nature =
        Nature { object: "seqpacket socket", has_messages: true, is_unix: true };

    mp_os::family! {
        /// `sendmsg(2)`—Sends a message; blocks while the peer's queue is full.
        ///
        /// # Errors
        ///
        /// [`BrokenPipe`](std::io::ErrorKind::BrokenPipe) or
        /// [`ConnectionReset`](std::io::ErrorKind::ConnectionReset) where the peer is gone, `EMSGSIZE` for a message
        /// larger than the send buffer, [`InvalidInput`](std::io::ErrorKind::InvalidInput) for an empty one.
        #[doc(alias = "sendmsg")]
        pub fn send, try_send, send_timeout, send_deadline(self: &Self, message: &[u8]) -> () = send_until;

        /// `sendmsg(2)` with `SCM_RIGHTS`—Sends a message and duplicates of `fds` with it.
        ///
        /// # Errors
        ///
        /// As for [`send`](Self::send); [`InvalidInput`](std::io::ErrorKind::InvalidInput) for more than
        /// [`MAX_FDS`](Self::MAX_FDS), `ETOOMANYREFS` where too many are in flight.
        #[doc(alias = "SCM_RIGHTS")]
        pub fn send_with_fds, try_send_with_fds, send_with_fds_timeout, send_with_fds_deadline(
            self: &Self, message: &[u8], fds: &[BorrowedFd<'_>]
        ) -> () = send_with_fds_until;

        /// `sendmsg(2)`—Sends one message made of `parts`, a header and a payload for example, without copying them
        /// together first, and duplicates of `fds` with it.
        ///
        /// # Errors
        ///
        /// As for [`send_with_fds`](Self::send_with_fds).
        pub fn send_vectored, try_send_vectored, send_vectored_timeout, send_vectored_deadline(
            self: &Self, parts: &[IoSlice<'_>], fds: &[BorrowedFd<'_>]
        ) -> () = send_vectored_until;

        /// `recvmsg(2)`—Receives a message into `buffer`: its length in bytes, `None` at the end of the connection.
        ///
        /// # Errors
        ///
        /// [`InvalidData`](std::io::ErrorKind::InvalidData) for a message longer than `buffer`, or with descriptors:
        /// it is lost, and the descriptors are closed. [`InvalidInput`](std::io::ErrorKind::InvalidInput) for an empty
        /// buffer.
        #[doc(alias = "recvmsg")]
        pub fn recv, try_recv, recv_timeout, recv_deadline(
            self: &Self, buffer: &mut [u8]
        ) -> Option<usize> = recv_until;

        /// `recvmsg(2)` with `SCM_RIGHTS`—Receives a message and the descriptors that came with it; `None` at the end
        /// of the connection.
        ///
        /// # Errors
        ///
        /// [`InvalidData`](std::io::ErrorKind::InvalidData) for a message longer than `buffer`, `EMFILE` where not all
        /// its descriptors could be installed: it is lost, and those that came are closed.
        /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) for an empty buffer.
        #[doc(alias = "SCM_RIGHTS")]
        pub fn recv_with_fds, try_recv_with_fds, recv_with_fds_timeout, recv_with_fds_deadline(
            self: &Self, buffer: &mut [u8]
        ) -> Option<Received> = recv_with_fds_until;
    }

    /// `shutdown(2)`—Ends one direction or both, for all handles of the socket: the peer receives the end.
    ///
    /// # Errors
    ///
    /// `ENOTCONN` where the connection is gone.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        unix::shutdown(self.as_fd(), how, Self::NATURE.object)
    }

    fn send_until(&self, message: &[u8], deadline: Deadline) -> Result<(), TimeoutError> {
        self.send_vectored_until(&[IoSlice::new(message)], &[], deadline)
    }

    fn send_with_fds_until(
        &self,
        message: &[u8],
        fds: &[BorrowedFd<'_>],
        deadline: Deadline,
    ) -> Result<(), TimeoutError> {
        self.send_vectored_until(&[IoSlice::new(message)], fds, deadline)
    }

    /// [`send_vectored_deadline`](Self::send_vectored_deadline), for who has a [`Deadline`], which may be never.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send_vectored_until(
        &self,
        parts: &[IoSlice<'_>],
        fds: &[BorrowedFd<'_>],
        deadline: Deadline,
    ) -> Result<(), TimeoutError> {
        let reason = "an empty message reads as the end of the connection";
        message::refuse_empty(parts, Self::NATURE, reason)?;
        message::send(self.as_fd(), None, parts, fds, deadline, Self::NATURE).map(drop)
    }

    fn recv_until(
        &self,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<Option<usize>, TimeoutError> {
        let len = message::receive_bytes(self.as_fd(), buffer, deadline, Self::NATURE)?;
        Ok((len > 0).then_some(len))
    }

    /// [`recv_with_fds_deadline`](Self::recv_with_fds_deadline), for who has a [`Deadline`], which may be never.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn recv_with_fds_until(
        &self,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<Option<Received>, TimeoutError> {
        let received = message::receive_with_fds(self.as_fd(), buffer, deadline, Self::NATURE)?;
        Ok((received.len > 0).then_some(received))
    }
}
