use std::{
    io::IoSlice,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use mp_os::{CreatedFile, Deadline, Error, Result, TimeoutError};
use nix::sys::socket::{self, SockFlag, SockType, UnixAddr};

use crate::{
    Address, Received, bind,
    message::{self, Nature},
    sys::Arrival,
    unix::{self, unix_socket},
};

/// A socket that sends and receives single messages, to and from any number of others, and file descriptors with them:
/// [`std::os::unix::net::UnixDatagram`] with deadlines.
///
/// Between Unix sockets datagrams are neither lost nor reordered; a full queue makes the sender wait. There is no
/// connection, hence no end: **a receiver is not told that the senders are dead**, not even one of a pair. Use a
/// [`SeqpacketSocket`](crate::SeqpacketSocket), or a deadline. The sender to a dead receiver is told, by
/// [`ConnectionRefused`](std::io::ErrorKind::ConnectionRefused).
///
/// # Examples
///
/// ```
/// use mp_socket::{Address, UnixDatagram};
///
/// let address = Address::abstract_name(format!("mp-socket-doc-{}", std::process::id()))?;
/// let server = UnixDatagram::bind(&address)?;
/// let client = UnixDatagram::unbound()?;
/// client.send_to(b"hello", &address)?;
///
/// let mut buffer = [0; 64];
/// let (len, from) = server.recv_from(&mut buffer)?;
/// assert_eq!((&buffer[..len], from.is_unnamed()), (&b"hello"[..], true));
/// # Ok::<(), mp_socket::Error>(())
/// ```
#[derive(Debug)]
pub struct UnixDatagram(
    OwnedFd,
    /// Unlinks the file, if this value made it.
    Option<CreatedFile>,
);

unix_socket!(UnixDatagram, Datagram, SOCK_DGRAM);

impl UnixDatagram {
    const NATURE: Nature =
        Nature { object: "Unix datagram socket", has_messages: true, is_unix: true };

    /// `socket(2)`—A socket without a name, close-on-exec: nobody can answer it.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENFILE` or `ENOMEM` at a limit.
    pub fn unbound() -> Result<Self> {
        unix::new(SockType::Datagram, SockFlag::empty())
            .map(Self::from)
            .map_err(|errno| Error::new("create", Self::NATURE.object, errno.into()))
    }

    /// `bind(2)`—A socket at `address`, where others send to.
    ///
    /// A path that a dead socket left is taken over. The file is unlinked when this value is dropped; clones, and
    /// descriptors made of it, do not keep it.
    ///
    /// # Errors
    ///
    /// As for [`UnixListener::bind`](crate::UnixListener::bind).
    pub fn bind(address: &Address) -> Result<Self> {
        let (socket, file) = bind::bind(SockType::Datagram, address, |_| Ok(()))
            .map_err(|error| bind::error(error, address, Self::NATURE.object))?;
        Ok(Self(socket, file))
    }

    /// Leaves the file there when this value is dropped.
    pub fn persist(&mut self) {
        if let Some(file) = self.1.take() {
            file.persist();
        }
    }

    /// `connect(2)`—Sets where [`send`](Self::send) sends to, and the only one to receive from.
    ///
    /// # Errors
    ///
    /// As for [`SeqpacketSocket::connect`](crate::SeqpacketSocket::connect).
    pub fn connect(&self, address: &Address) -> Result<()> {
        socket::connect(self.as_raw_fd(), address.as_raw())
            .map_err(|errno| unix::connect_error(errno.into(), address, Self::NATURE.object))
    }

    mp_os::family! {
        /// `send(2)`—Sends a datagram to the socket this one is connected to; waits while its queue is full.
        ///
        /// # Errors
        ///
        /// [`ConnectionRefused`](std::io::ErrorKind::ConnectionRefused) or
        /// [`ConnectionReset`](std::io::ErrorKind::ConnectionReset) where the receiver is gone, `ENOTCONN` where there
        /// is none, `EMSGSIZE` for a message larger than the send buffer.
        pub fn send, try_send, send_timeout, send_deadline(self: &Self, message: &[u8]) -> () = send_until;

        /// `sendto(2)`—Sends a datagram to `address`; waits while the receiver's queue is full.
        ///
        /// # Errors
        ///
        /// As for [`send`](Self::send); [`NotFound`](std::io::ErrorKind::NotFound) where there is no such path.
        #[doc(alias = "sendto")]
        pub fn send_to, try_send_to, send_to_timeout, send_to_deadline(
            self: &Self, message: &[u8], address: &Address
        ) -> () = send_to_until;

        /// `sendmsg(2)` with `SCM_RIGHTS`—Sends a datagram and duplicates of `fds` to the socket this one is connected
        /// to.
        ///
        /// # Errors
        ///
        /// As for [`send`](Self::send); [`InvalidInput`](std::io::ErrorKind::InvalidInput) for more than
        /// [`MAX_FDS`](Self::MAX_FDS) descriptors, `ETOOMANYREFS` where too many are in flight.
        #[doc(alias = "SCM_RIGHTS")]
        pub fn send_with_fds, try_send_with_fds, send_with_fds_timeout, send_with_fds_deadline(
            self: &Self, message: &[u8], fds: &[BorrowedFd<'_>]
        ) -> () = send_with_fds_until;

        /// `recv(2)`—Receives a datagram into `buffer`: its length in bytes, which may be zero.
        ///
        /// # Errors
        ///
        /// [`InvalidData`](std::io::ErrorKind::InvalidData) for a message longer than `buffer`, or with descriptors: it
        /// is lost, and the descriptors are closed. [`InvalidInput`](std::io::ErrorKind::InvalidInput) for an empty
        /// buffer.
        pub fn recv, try_recv, recv_timeout, recv_deadline(self: &Self, buffer: &mut [u8]) -> usize = recv_until;

        /// `recvfrom(2)`—Receives a datagram: its length in bytes, and where to answer to.
        ///
        /// # Errors
        ///
        /// As for [`recv`](Self::recv).
        #[doc(alias = "recvfrom")]
        pub fn recv_from, try_recv_from, recv_from_timeout, recv_from_deadline(
            self: &Self, buffer: &mut [u8]
        ) -> (usize, Address) = recv_from_until;

        /// `recvmsg(2)` with `SCM_RIGHTS`—Receives a datagram and the descriptors that came with it.
        ///
        /// # Errors
        ///
        /// [`InvalidData`](std::io::ErrorKind::InvalidData) for a message longer than `buffer`, `EMFILE` where not all
        /// its descriptors could be installed: it is lost, and those that came are closed.
        #[doc(alias = "SCM_RIGHTS")]
        pub fn recv_with_fds, try_recv_with_fds, recv_with_fds_timeout, recv_with_fds_deadline(
            self: &Self, buffer: &mut [u8]
        ) -> Received = recv_with_fds_until;
    }

    fn send_until(&self, message: &[u8], deadline: Deadline) -> Result<(), TimeoutError> {
        self.send_with_fds_until(message, &[], deadline)
    }

    fn send_to_until(
        &self,
        message: &[u8],
        address: &Address,
        deadline: Deadline,
    ) -> Result<(), TimeoutError> {
        let (to, parts) = (Some(address.as_raw()), [IoSlice::new(message)]);
        message::send(self.as_fd(), to, &parts, &[], deadline, Self::NATURE).map(drop)
    }

    fn send_with_fds_until(
        &self,
        message: &[u8],
        fds: &[BorrowedFd<'_>],
        deadline: Deadline,
    ) -> Result<(), TimeoutError> {
        let parts = [IoSlice::new(message)];
        message::send(self.as_fd(), None, &parts, fds, deadline, Self::NATURE).map(drop)
    }

    fn recv_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize, TimeoutError> {
        message::receive_bytes(self.as_fd(), buffer, deadline, Self::NATURE)
    }

    fn recv_from_until(
        &self,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<(usize, Address), TimeoutError> {
        let arrival: Arrival<UnixAddr> =
            message::receive(self.as_fd(), buffer, false, deadline, Self::NATURE)?;
        Ok((arrival.len, Address::from_raw(arrival.from)))
    }

    fn recv_with_fds_until(
        &self,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<Received, TimeoutError> {
        message::receive_with_fds(self.as_fd(), buffer, deadline, Self::NATURE)
    }
}

impl AsFd for UnixDatagram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for UnixDatagram {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Unchecked, as in std; see [`UnixDatagram::from_fd`].
impl From<OwnedFd> for UnixDatagram {
    fn from(fd: OwnedFd) -> Self {
        Self(fd, None)
    }
}

impl From<UnixDatagram> for OwnedFd {
    fn from(socket: UnixDatagram) -> Self {
        socket.0
    }
}
