//! Datagrams of the standard library.

use std::{
    fmt::Debug,
    io,
    net::{Ipv4Addr, UdpSocket},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixDatagram,
    },
};

use mp_benches::Link;
use mp_os::transfer::Fd;
use serde::{Deserialize, Serialize};

/// A socket of datagrams.
pub trait Datagram: Debug + AsFd + From<OwnedFd> + 'static {
    /// What criterion calls it.
    const NAME: &'static str;

    /// The longest message.
    const LONGEST: usize;

    /// Two sockets that are connected to each other.
    ///
    /// # Panics
    ///
    /// Where the operating system refuses.
    fn pair() -> (Self, Self);

    /// Sends a datagram: its length.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn send(&self, message: &[u8]) -> io::Result<usize>;

    /// Receives a datagram: its length.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn recv(&self, message: &mut [u8]) -> io::Result<usize>;
}

/// A message in a datagram, from the second socket to the first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct DatagramLink<D: Datagram>(Fd<D>, Fd<D>);

impl<D: Datagram> Link for DatagramLink<D> {
    const NAME: &'static str = D::NAME;
    const LONGEST: usize = D::LONGEST;

    fn open(_len: usize) -> Self {
        let (receiver, sender) = D::pair();
        Self(receiver.into(), sender.into())
    }

    fn send(&mut self, message: &[u8]) {
        let sent = self.1.send(message).expect("a socket whose other end receives");
        assert_eq!(sent, message.len(), "a datagram is sent whole");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        let received = self.0.recv(message).expect("a socket whose other end sends");
        assert_eq!(received, message.len(), "a datagram has the length of what was sent");
    }
}

impl Datagram for UnixDatagram {
    const NAME: &'static str = "std-unix-dgram";
    // What one datagram of the usual size of a socket's buffer holds, 1 MiB does not fit.
    const LONGEST: usize = 128 << 10;

    fn pair() -> (Self, Self) {
        Self::pair().expect("a pair of sockets")
    }

    fn send(&self, message: &[u8]) -> io::Result<usize> {
        self.send(message)
    }

    fn recv(&self, message: &mut [u8]) -> io::Result<usize> {
        self.recv(message)
    }
}

/// By the loopback interface. One message at a time: where there is no room for more, they are lost.
impl Datagram for UdpSocket {
    const NAME: &'static str = "std-udp";
    // All that an address of IPv4 can be sent at once.
    const LONGEST: usize = 65_507;

    fn pair() -> (Self, Self) {
        let open = || Self::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let (receiver, sender) = (open(), open());
        let connect = |from: &Self, to: &Self| {
            from.connect(to.local_addr().expect("it is bound"))
                .expect("an address of this machine");
        };
        connect(&sender, &receiver);
        connect(&receiver, &sender);
        (receiver, sender)
    }

    fn send(&self, message: &[u8]) -> io::Result<usize> {
        self.send(message)
    }

    fn recv(&self, message: &mut [u8]) -> io::Result<usize> {
        self.recv(message)
    }
}
