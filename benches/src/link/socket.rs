//! `mp_socket`: pairs, and sockets that are connected by a name, which the kernel may treat in another way.

use std::{
    hint,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::Ordering::{Acquire, Relaxed, Release},
};

use mp_os::transfer::Fd;
use mp_socket::{
    Address, SeqpacketListener, SeqpacketSocket, TcpListener, TcpStream, UdpSocket, UnixDatagram,
    UnixListener, UnixStream,
};
use serde::{Deserialize, Serialize};

use super::{Link, unique};
use crate::Words;

/// What fits into the send buffer that Linux gives a socket, of 208 KiB, with what the kernel needs for itself.
const MESSAGE: usize = 128 << 10;

/// Two connected ends: the name of the link, the type of the ends, what criterion calls it, the longest message, how the ends
/// are made, the one that reads first, and the methods that send and receive a message.
macro_rules! ends {
    ($($(#[$doc:meta])* $link:ident($end:ty), $name:literal, $longest:expr, $ends:expr, $send:ident, $recv:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Serialize, Deserialize)]
        pub struct $link($end, $end);

        impl Link for $link {
            const NAME: &'static str = $name;
            const LONGEST: usize = $longest;

            fn open(_len: usize) -> Self {
                let (reader, writer) = $ends;
                Self(reader, writer)
            }

            fn send(&mut self, message: &[u8]) {
                self.1.$send(message).expect("an end whose other end reads");
            }

            fn recv(&mut self, message: &mut Vec<u8>) {
                self.0.$recv(message).expect("an end whose other end writes");
            }
        }
    )+};
}

ends! {
    /// [`UnixStream::pair`].
    StreamLink(UnixStream), "unix-stream", usize::MAX, UnixStream::pair().expect("a pair"), write_all, read_exact;
    /// [`UnixListener`].
    NamedStreamLink(UnixStream), "unix-stream-named", usize::MAX, named_stream(), write_all, read_exact;
    /// [`UnixDatagram::pair`].
    DatagramLink(UnixDatagram), "unix-dgram", MESSAGE, UnixDatagram::pair().expect("a pair"), send, recv;
    /// [`UnixDatagram::bind`].
    NamedDatagramLink(UnixDatagram), "unix-dgram-named", MESSAGE, named_datagram(), send, recv;
    /// [`SeqpacketSocket::pair`].
    SeqpacketLink(SeqpacketSocket), "unix-seqpacket", MESSAGE, SeqpacketSocket::pair().expect("a pair"), send, recv;
    /// [`SeqpacketListener`].
    NamedSeqpacketLink(SeqpacketSocket), "unix-seqpacket-named", MESSAGE, named_seqpacket(), send, recv;
    /// [`TcpStream`] by the loopback interface.
    TcpLink(TcpStream), "tcp", usize::MAX, tcp(), write_all, read_exact;
}

fn name() -> Address {
    Address::abstract_name(unique()).expect("a name without zeroes")
}

fn named_stream() -> (UnixStream, UnixStream) {
    let address = name();
    let listener = UnixListener::bind(&address).expect("a name of our own");
    let writer = UnixStream::connect(&address).expect("somebody listens");
    (listener.accept().expect("somebody has connected"), writer)
}

fn named_datagram() -> (UnixDatagram, UnixDatagram) {
    let address = name();
    let reader = UnixDatagram::bind(&address).expect("a name of our own");
    let writer = UnixDatagram::unbound().expect("a socket");
    writer.connect(&address).expect("it is bound");
    (reader, writer)
}

fn named_seqpacket() -> (SeqpacketSocket, SeqpacketSocket) {
    let address = name();
    let listener = SeqpacketListener::bind(&address).expect("a name of our own");
    let writer = SeqpacketSocket::connect(&address).expect("somebody listens");
    (listener.accept().expect("somebody has connected"), writer)
}

/// Port 0 of this machine: any that is free.
fn any_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(any_port()).expect("a port");
    let address = listener.local_address().expect("it is bound");
    let writer = TcpStream::connect(address).expect("somebody listens");
    let (reader, _) = listener.accept().expect("somebody has connected");
    (reader, writer)
}

/// [`UdpSocket`] by the loopback interface, which loses what finds no room. So the receiver counts what it has taken, in
/// shared memory, and the sender is never further ahead than there is room for.
#[derive(Debug, Serialize, Deserialize)]
pub struct UdpLink {
    reader: Fd<UdpSocket>,
    writer: Fd<UdpSocket>,
    words: Words,
    sent: u64,
    /// How many messages may be on their way.
    window: u64,
}

impl Link for UdpLink {
    const NAME: &'static str = "udp";
    /// The most that a datagram of IPv4 carries.
    const LONGEST: usize = 65_507;

    fn open(len: usize) -> Self {
        let [reader, writer] = [(); 2].map(|()| UdpSocket::bind(any_port()).expect("a port"));
        let address = |socket: &UdpSocket| socket.local_address().expect("it is bound");
        writer.connect(address(&reader)).expect("an address of this machine");
        reader.connect(address(&writer)).expect("an address of this machine");
        let window = ((64 << 10) / len as u64).clamp(1, 64);
        let (reader, writer) = (reader.into(), writer.into());
        Self { reader, writer, words: Words::create(), sent: 0, window }
    }

    fn send(&mut self, message: &[u8]) {
        while self.sent - self.words.u64(0).load(Acquire) >= self.window {
            hint::spin_loop();
        }
        self.writer.send(message).expect("a message that fits");
        self.sent += 1;
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        let len = self.reader.recv(message).expect("a message that fits");
        assert_eq!(len, message.len(), "a datagram comes whole");
        let taken = self.words.u64(0);
        taken.store(taken.load(Relaxed) + 1, Release);
    }
}
