//! Datagrams of the standard library.

use std::{
    net::{Ipv4Addr, UdpSocket},
    os::unix::net::UnixDatagram,
};

use mp_benches::Link;
use mp_os::transfer::Fd;
use serde::{Deserialize, Serialize};

/// [`UnixDatagram`]: the one that receives, and the one that sends.
#[derive(Debug, Serialize, Deserialize)]
pub struct UnixDatagramLink(Fd<UnixDatagram>, Fd<UnixDatagram>);

impl Link for UnixDatagramLink {
    const NAME: &'static str = "std-unix-dgram";
    // What one datagram of the usual size of a socket's buffer holds, 1 MiB does not fit.
    const LONGEST: usize = 128 << 10;

    fn open(_len: usize) -> Self {
        let (receiver, sender) = UnixDatagram::pair().expect("a pair of sockets");
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

/// [`UdpSocket`] by the loopback interface. One message at a time: where there is no room for more, they are lost.
#[derive(Debug, Serialize, Deserialize)]
pub struct UdpLink(Fd<UdpSocket>, Fd<UdpSocket>);

impl Link for UdpLink {
    const NAME: &'static str = "std-udp";
    // All that an address of IPv4 can be sent at once.
    const LONGEST: usize = 65_507;

    fn open(_len: usize) -> Self {
        let open = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let (receiver, sender) = (open(), open());
        let connect = |from: &UdpSocket, to: &UdpSocket| {
            from.connect(to.local_addr().expect("it is bound"))
                .expect("an address of this machine");
        };
        connect(&sender, &receiver);
        connect(&receiver, &sender);
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
