//! Connected sockets of every type by every way to connect them, behind one set of names.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use mp_socket::{
    Address, Received, Result, SeqpacketListener, SeqpacketSocket, TimeoutError, TryError,
    UnixDatagram, UnixListener, UnixStream,
};

/// What the tests need of a connected socket.
pub(crate) trait Channel: AsFd + From<OwnedFd> + Into<OwnedFd> + Send + Sync {
    /// The end of the peer is told.
    const HAS_END: bool;
    /// Messages keep their boundaries.
    const HAS_MESSAGES: bool;

    fn send(&self, bytes: &[u8]) -> Result<()>;
    fn try_send(&self, bytes: &[u8]) -> Result<(), TryError>;
    fn send_timeout(&self, bytes: &[u8], timeout: Duration) -> Result<(), TimeoutError>;
    fn send_fds(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()>;
    /// Zero is the end.
    fn recv(&self, buffer: &mut [u8]) -> Result<usize>;
    fn try_recv(&self, buffer: &mut [u8]) -> Result<usize, TryError>;
    fn recv_timeout(&self, buffer: &mut [u8], timeout: Duration) -> Result<usize, TimeoutError>;
    fn recv_fds(&self, buffer: &mut [u8]) -> Result<Option<Received>>;
    fn adopt(fd: OwnedFd) -> Result<Self>;
    fn clone_of(&self) -> Self;
    fn addresses(&self) -> (Address, Address);
    fn peer_pid(&self) -> u32;
}

macro_rules! channel {
    ($socket:ident, end: $end:literal, messages: $messages:literal,
     $send:ident, $try_send:ident, $send_timeout:ident, $recv:ident, $try_recv:ident, $recv_timeout:ident,
     $count:expr, $received:expr) => {
        impl Channel for $socket {
            const HAS_END: bool = $end;
            const HAS_MESSAGES: bool = $messages;

            fn send(&self, bytes: &[u8]) -> Result<()> {
                self.$send(bytes).map(drop)
            }
            fn try_send(&self, bytes: &[u8]) -> Result<(), TryError> {
                self.$try_send(bytes).map(drop)
            }
            fn send_timeout(&self, bytes: &[u8], timeout: Duration) -> Result<(), TimeoutError> {
                self.$send_timeout(bytes, timeout).map(drop)
            }
            fn send_fds(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
                self.send_with_fds(bytes, fds).map(drop)
            }
            fn recv(&self, buffer: &mut [u8]) -> Result<usize> {
                self.$recv(buffer).map($count)
            }
            fn try_recv(&self, buffer: &mut [u8]) -> Result<usize, TryError> {
                self.$try_recv(buffer).map($count)
            }
            fn recv_timeout(
                &self,
                buffer: &mut [u8],
                timeout: Duration,
            ) -> Result<usize, TimeoutError> {
                self.$recv_timeout(buffer, timeout).map($count)
            }
            fn recv_fds(&self, buffer: &mut [u8]) -> Result<Option<Received>> {
                self.recv_with_fds(buffer).map($received)
            }
            fn adopt(fd: OwnedFd) -> Result<Self> {
                Self::from_fd(fd)
            }
            fn clone_of(&self) -> Self {
                self.try_clone().unwrap()
            }
            fn addresses(&self) -> (Address, Address) {
                (self.local_address().unwrap(), self.peer_address().unwrap())
            }
            fn peer_pid(&self) -> u32 {
                self.peer_credentials().unwrap().pid
            }
        }
    };
}

channel!(UnixStream, end: true, messages: false,
    write, try_write, write_timeout, read, try_read, read_timeout, |len| len, Some);
channel!(UnixDatagram, end: false, messages: true,
    send, try_send, send_timeout, recv, try_recv, recv_timeout, |len| len, Some);
channel!(SeqpacketSocket, end: true, messages: true,
    send, try_send, send_timeout, recv, try_recv, recv_timeout, Option::unwrap_or_default, |it| it);

/// A name that nobody else has: of a file in a directory that goes away, or abstract.
pub(crate) struct Place {
    pub(crate) address: Address,
    _directory: Option<tempfile::TempDir>,
}

pub(crate) fn path() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let address = Address::path(directory.path().join("socket")).unwrap();
    Place { address, _directory: Some(directory) }
}

pub(crate) fn abstract_name() -> Place {
    let address = Address::abstract_name(mp_testkit::unique_name("socket")).unwrap();
    Place { address, _directory: None }
}

pub(crate) fn stream_at(place: &Place) -> (UnixStream, UnixStream) {
    let listener = UnixListener::bind(&place.address).unwrap();
    let client = UnixStream::connect(&place.address).unwrap();
    (client, listener.accept().unwrap())
}

pub(crate) fn seqpacket_at(place: &Place) -> (SeqpacketSocket, SeqpacketSocket) {
    let listener = SeqpacketListener::bind(&place.address).unwrap();
    let client = SeqpacketSocket::connect(&place.address).unwrap();
    (client, listener.accept().unwrap())
}

pub(crate) fn datagram_at(make: fn() -> Place) -> (UnixDatagram, UnixDatagram) {
    let (here, there) = (make(), make());
    let left = UnixDatagram::bind(&here.address).unwrap();
    let right = UnixDatagram::bind(&there.address).unwrap();
    left.connect(&there.address).unwrap();
    right.connect(&here.address).unwrap();
    (left, right)
}

/// Writes each generic function of the module as a test of every backend.
macro_rules! for_every_backend {
    ($($test:ident),+ $(,)?) => {
        crate::backends::for_every_backend! { @
            stream_pair = mp_socket::UnixStream::pair().unwrap();
            stream_path = crate::backends::stream_at(&crate::backends::path());
            stream_abstract = crate::backends::stream_at(&crate::backends::abstract_name());
            datagram_pair = mp_socket::UnixDatagram::pair().unwrap();
            datagram_path = crate::backends::datagram_at(crate::backends::path);
            datagram_abstract = crate::backends::datagram_at(crate::backends::abstract_name);
            seqpacket_pair = mp_socket::SeqpacketSocket::pair().unwrap();
            seqpacket_path = crate::backends::seqpacket_at(&crate::backends::path());
            seqpacket_abstract = crate::backends::seqpacket_at(&crate::backends::abstract_name());
            => [$($test),+]
        }
    };
    (@ $($backend:ident = $ends:expr;)+ => $tests:tt) => {
        $(crate::backends::for_every_backend! { # $backend = $ends; $tests })+
    };
    (# $backend:ident = $ends:expr; [$($test:ident),+]) => {
        mod $backend {
            $(#[test]
            fn $test() {
                mp_testkit::isolated(|| super::$test(|| $ends));
            })+
        }
    };
}

pub(crate) use for_every_backend;
