//! Streams of bytes.

use std::{
    fmt::Debug,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::{AsFd, OwnedFd},
};

use interprocess::{
    local_socket::{self, GenericNamespaced, ListenerOptions, prelude::*},
    os::unix::uds_local_socket,
};
use mp_benches::Link;
use mp_os::transfer::Fd;
use serde::{Deserialize, Serialize};

use crate::unique;

/// A stream that is made of two ends.
pub trait Pair: Debug + 'static {
    /// What criterion calls it.
    const NAME: &'static str;

    /// The end that reads.
    type Reader: Read + Debug + AsFd + From<OwnedFd> + 'static;

    /// The end that writes.
    type Writer: Write + Debug + AsFd + From<OwnedFd> + 'static;

    /// Both ends.
    ///
    /// # Panics
    ///
    /// Where the operating system refuses.
    fn open() -> (Self::Reader, Self::Writer);
}

/// Messages in a stream, one after the other: both sides know how long they are.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct StreamLink<P: Pair>(Fd<P::Reader>, Fd<P::Writer>);

impl<P: Pair> Link for StreamLink<P> {
    const NAME: &'static str = P::NAME;

    fn open(_len: usize) -> Self {
        let (reader, writer) = P::open();
        Self(reader.into(), writer.into())
    }

    fn send(&mut self, message: &[u8]) {
        self.1.write_all(message).expect("an end whose other end reads");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        self.0.read_exact(message).expect("an end whose other end writes");
    }
}

/// [`std::net::TcpStream`] by the loopback interface, told not to collect small messages.
#[derive(Debug)]
pub struct Tcp;

impl Pair for Tcp {
    const NAME: &'static str = "std-tcp";
    type Reader = TcpStream;
    type Writer = TcpStream;

    fn open() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let writer = TcpStream::connect(address).expect("somebody listens");
        writer.set_nodelay(true).expect("a connection");
        let (reader, _) = listener.accept().expect("somebody has connected");
        (reader, writer)
    }
}

/// A local socket of `interprocess`, with a name that is in no file system.
#[derive(Debug)]
pub struct Interprocess;

impl Pair for Interprocess {
    const NAME: &'static str = "interprocess";
    type Reader = uds_local_socket::Stream;
    type Writer = uds_local_socket::Stream;

    fn open() -> (uds_local_socket::Stream, uds_local_socket::Stream) {
        let name = unique();
        let name = || name.as_str().to_ns_name::<GenericNamespaced>().expect("a name");
        let listener = ListenerOptions::new().name(name()).create_sync().expect("a free name");
        let local_socket::Stream::UdSocket(writer) =
            local_socket::Stream::connect(name()).expect("somebody listens");
        let local_socket::Stream::UdSocket(reader) =
            listener.accept().expect("somebody has connected");
        (reader, writer)
    }
}
