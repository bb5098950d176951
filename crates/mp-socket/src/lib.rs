//! Sockets between processes.

#![deny(unsafe_code)]

pub mod activation;
mod address;
mod bind;
mod datagram;
mod listener;
mod message;
mod net;
mod peer;
mod seqpacket;
mod stream;
mod sys;
#[cfg(feature = "serde")]
mod transfer;
mod unix;

pub use mp_os::{
    Deadline, Error, PidFd, Result, TimeoutError, TryError,
    frame::{ByteSink, ByteSource, Framed},
};

pub use crate::{
    address::Address,
    datagram::UnixDatagram,
    listener::{Connection, Listener, SeqpacketListener, UnixListener},
    message::Received,
    net::{TcpListener, UdpSocket},
    peer::Credentials,
    seqpacket::SeqpacketSocket,
    stream::{TcpStream, UnixStream},
};
