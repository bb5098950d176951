//! The same deadlines for sockets of the Internet protocols.

use std::{
    io::{self, IoSlice},
    net::{self, SocketAddr},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

use mp_os::{Deadline, Error, Result, TimeoutError};
use nix::{
    libc,
    sys::socket::{self, SockaddrStorage},
};

use crate::{
    TcpStream, listener,
    message::{self, Nature},
    sys::Arrival,
    unix::descriptor,
};

impl TcpStream {
    /// `connect(2)`—A connection to `address`.
    ///
    /// An address, not a host name: resolving one takes a time that no deadline bounds. See
    /// [`ToSocketAddrs`](net::ToSocketAddrs).
    ///
    /// # Errors
    ///
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) where nobody listens, `ETIMEDOUT` where nobody answers,
    /// or another error of `connect(2)`.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self::connect_until(address, Deadline::never())?)
    }

    /// [`connect`](Self::connect) for at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TimeoutError::TimedOut) when `timeout` has passed first; otherwise as there.
    pub fn connect_timeout(address: SocketAddr, timeout: Duration) -> Result<Self, TimeoutError> {
        Self::connect_until(address, Deadline::after(timeout))
    }

    /// [`connect`](Self::connect) until `deadline` at the latest.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TimeoutError::TimedOut) when `deadline` has passed first; otherwise as there.
    pub fn connect_deadline(address: SocketAddr, deadline: Instant) -> Result<Self, TimeoutError> {
        Self::connect_until(address, Deadline::at(deadline))
    }

    fn connect_until(address: SocketAddr, deadline: Deadline) -> Result<Self, TimeoutError> {
        let connected = match deadline.remaining() {
            None => net::TcpStream::connect(address),
            Some(Duration::ZERO) => return Err(TimeoutError::TimedOut),
            Some(left) => net::TcpStream::connect_timeout(&address, left),
        };
        match connected {
            Ok(stream) => Ok(stream.into()),
            // Not the timeout of TCP, which has an `errno`.
            Err(error)
                if error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none() =>
            {
                Err(TimeoutError::TimedOut)
            }
            Err(error) => Err(Error::new("connect", format!("TCP to {address}"), error).into()),
        }
    }

    /// The socket that `fd` is, if it is one of this type; `fd` is closed otherwise.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for another type of socket, `ENOTSOCK` where it is none.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        message::check_type(fd.as_fd(), &DOMAINS, libc::SOCK_STREAM, Self::NATURE.object)?;
        Ok(Self(fd))
    }

    /// `dup(2)`—Another handle of the same connection.
    ///
    /// # Errors
    ///
    /// `EMFILE` at the limit of descriptors.
    pub fn try_clone(&self) -> Result<Self> {
        let clone = self.0.try_clone().map(Self);
        clone.map_err(|error| Error::new("duplicate", Self::NATURE.object, error))
    }
}

const DOMAINS: [libc::c_int; 2] = [libc::AF_INET, libc::AF_INET6];

/// Accepts TCP connections: [`std::net::TcpListener`] with deadlines.
///
/// In nonblocking mode, as every [`Listener`](crate::Listener) is.
///
/// # Examples
///
/// ```
/// use mp_socket::{TcpListener, TcpStream, TryError};
///
/// let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
/// assert!(matches!(listener.try_accept(), Err(TryError::WouldBlock)));
/// let client = TcpStream::connect(listener.local_address()?)?;
/// let (served, _address) = listener.accept()?;
/// client.write(b"hello")?;
/// let mut buffer = [0; 8];
/// let len = served.read(&mut buffer)?;
/// assert_eq!(&buffer[..len], b"hello");
/// # Ok::<(), mp_socket::Error>(())
/// ```
#[derive(Debug)]
pub struct TcpListener(net::TcpListener);

impl TcpListener {
    /// `bind(2)`, `listen(2)`—A listener at `address`; port 0 asks for a free one.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) where somebody listens there, or another error of `bind(2)`.
    #[doc(alias = "listen")]
    pub fn bind(address: SocketAddr) -> Result<Self> {
        net::TcpListener::bind(address)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| Self(listener)))
            .map_err(|error| Error::new("bind", format!("TCP listener to {address}"), error))
    }

    mp_os::family! {
        /// `accept4(2)`—The next connection, close-on-exec, and where it comes from.
        ///
        /// # Errors
        ///
        /// `EMFILE` or `ENFILE` at the limit of descriptors; the client waits on.
        #[doc(alias = "accept4")]
        pub fn accept, try_accept, accept_timeout, accept_deadline(
            self: &Self
        ) -> (TcpStream, SocketAddr) = accept_until;
    }

    fn accept_until(&self, deadline: Deadline) -> Result<(TcpStream, SocketAddr), TimeoutError> {
        let (socket, from) =
            listener::accept::<SockaddrStorage>(self.0.as_fd(), deadline, "TCP listener")?;
        Ok((TcpStream(socket), address(from, "TCP connection")?))
    }

    /// `getsockname(2)`—Where it listens.
    ///
    /// # Errors
    ///
    /// What `getsockname(2)` fails with.
    pub fn local_address(&self) -> Result<SocketAddr> {
        self.0.local_addr().map_err(|error| Error::new("name", "TCP listener", error))
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// In nonblocking mode.
impl From<TcpListener> for net::TcpListener {
    fn from(listener: TcpListener) -> Self {
        listener.0
    }
}

fn address(from: Option<SockaddrStorage>, object: &'static str) -> Result<SocketAddr> {
    let from = from.as_ref();
    let v4 = from.and_then(|from| from.as_sockaddr_in()).map(|from| SocketAddr::from(*from));
    v4.or_else(|| from?.as_sockaddr_in6().map(|from| SocketAddr::from(*from))).ok_or_else(|| {
        let reason = "it has an address of another family";
        Error::new("name the peer of", object, io::Error::new(io::ErrorKind::InvalidData, reason))
    })
}

/// A UDP socket: [`std::net::UdpSocket`] with deadlines, and an error where a datagram was cut.
///
/// The network may lose, repeat and reorder datagrams.
///
/// # Examples
///
/// ```
/// use mp_socket::UdpSocket;
/// use std::time::Duration;
///
/// let server = UdpSocket::bind("127.0.0.1:0".parse()?)?;
/// let client = UdpSocket::bind("127.0.0.1:0".parse()?)?;
/// client.send_to(b"hello", server.local_address()?)?;
///
/// let mut buffer = [0; 1500];
/// let (len, from) = server.recv_from_timeout(&mut buffer, Duration::from_secs(1))?;
/// assert_eq!((len, from), (5, client.local_address()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct UdpSocket(OwnedFd);

descriptor!(UdpSocket);

impl UdpSocket {
    const NATURE: Nature = Nature { object: "UDP socket", has_messages: true, is_unix: false };

    /// `bind(2)`—A socket at `address`, close-on-exec; port 0 asks for a free one.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) where another socket is, or another error of `bind(2)`.
    pub fn bind(address: SocketAddr) -> Result<Self> {
        net::UdpSocket::bind(address)
            .map(Self::from)
            .map_err(|error| Error::new("bind", format!("UDP socket to {address}"), error))
    }

    /// `connect(2)`—Sets where [`send`](Self::send) sends to, and the only one to receive from.
    ///
    /// # Errors
    ///
    /// What `connect(2)` fails with.
    pub fn connect(&self, address: SocketAddr) -> Result<()> {
        socket::connect(self.as_raw_fd(), &SockaddrStorage::from(address)).map_err(|errno| {
            Error::new("connect", format!("UDP socket to {address}"), errno.into())
        })
    }

    /// `getsockname(2)`—Where it receives.
    ///
    /// # Errors
    ///
    /// What `getsockname(2)` fails with.
    pub fn local_address(&self) -> Result<SocketAddr> {
        let object = Self::NATURE.object;
        let name = socket::getsockname(self.as_raw_fd())
            .map_err(|errno| Error::new("name", object, errno.into()))?;
        address(Some(name), object)
    }

    mp_os::family! {
        /// `send(2)`—Sends a datagram to the address this socket is connected to.
        ///
        /// # Errors
        ///
        /// `EMSGSIZE` for a message too large, `EDESTADDRREQ` where the socket is not connected,
        /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) where an earlier one found nobody.
        pub fn send, try_send, send_timeout, send_deadline(self: &Self, message: &[u8]) -> () = send_until;

        /// `sendto(2)`—Sends a datagram to `address`.
        ///
        /// # Errors
        ///
        /// `EMSGSIZE` for a message too large, or another error of `sendto(2)`.
        #[doc(alias = "sendto")]
        pub fn send_to, try_send_to, send_to_timeout, send_to_deadline(
            self: &Self, message: &[u8], address: SocketAddr
        ) -> () = send_to_until;

        /// `recv(2)`—Receives a datagram into `buffer`: its length in bytes, which may be zero.
        ///
        /// # Errors
        ///
        /// [`InvalidData`](io::ErrorKind::InvalidData) for a message longer than `buffer`: it is lost.
        /// [`InvalidInput`](io::ErrorKind::InvalidInput) for an empty buffer.
        pub fn recv, try_recv, recv_timeout, recv_deadline(self: &Self, buffer: &mut [u8]) -> usize = recv_until;

        /// `recvfrom(2)`—Receives a datagram: its length in bytes, and where it comes from.
        ///
        /// # Errors
        ///
        /// As for [`recv`](Self::recv).
        #[doc(alias = "recvfrom")]
        pub fn recv_from, try_recv_from, recv_from_timeout, recv_from_deadline(
            self: &Self, buffer: &mut [u8]
        ) -> (usize, SocketAddr) = recv_from_until;
    }

    fn send_until(&self, message: &[u8], deadline: Deadline) -> Result<(), TimeoutError> {
        let parts = [IoSlice::new(message)];
        message::send(self.as_fd(), None, &parts, &[], deadline, Self::NATURE).map(drop)
    }

    fn send_to_until(
        &self,
        message: &[u8],
        address: SocketAddr,
        deadline: Deadline,
    ) -> Result<(), TimeoutError> {
        let (to, parts) = (SockaddrStorage::from(address), [IoSlice::new(message)]);
        message::send(self.as_fd(), Some(&to), &parts, &[], deadline, Self::NATURE).map(drop)
    }

    fn recv_until(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize, TimeoutError> {
        message::receive_bytes(self.as_fd(), buffer, deadline, Self::NATURE)
    }

    fn recv_from_until(
        &self,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<(usize, SocketAddr), TimeoutError> {
        let arrival: Arrival<SockaddrStorage> =
            message::receive(self.as_fd(), buffer, false, deadline, Self::NATURE)?;
        Ok((arrival.len, address(arrival.from, Self::NATURE.object)?))
    }
}

impl From<net::UdpSocket> for UdpSocket {
    fn from(socket: net::UdpSocket) -> Self {
        Self(socket.into())
    }
}

impl From<UdpSocket> for net::UdpSocket {
    fn from(socket: UdpSocket) -> Self {
        socket.0.into()
    }
}
