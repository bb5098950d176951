//! Sockets between processes: streams, datagrams and messages, with a deadline on every wait, file descriptors in messages,
//! and the peer's identity.
//!
//! ```
//! use mp_socket::{Address, SeqpacketListener, SeqpacketSocket};
//! use std::{os::fd::AsFd, time::Duration};
//!
//! let address = Address::abstract_name(format!("mp-socket-tour-{}", std::process::id()))?;
//! let listener = SeqpacketListener::bind(&address)?;
//! let client = SeqpacketSocket::connect_timeout(&address, Duration::from_secs(1))?;
//! let server = listener.accept_timeout(Duration::from_secs(1))?;
//!
//! client.send_with_fds(b"my output", &[std::io::stdout().as_fd()])?;
//! let mut buffer = [0; 64];
//! let message = server.recv_with_fds(&mut buffer)?.expect("not the end");
//! assert_eq!((&buffer[..message.len], message.fds.len()), (&b"my output"[..], 1));
//! assert_eq!(server.peer_credentials()?.pid, std::process::id());
//!
//! drop(client);
//! assert_eq!(server.recv(&mut buffer)?, None, "the end");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | item | what it is |
//! |---|---|
//! | [`SeqpacketSocket`], [`SeqpacketListener`] | connections that carry whole messages: the best choice between processes of one machine |
//! | [`UnixStream`], [`UnixListener`] | connections that carry bytes |
//! | [`UnixDatagram`] | single messages from and to many |
//! | [`TcpStream`], [`TcpListener`], [`UdpSocket`] | the same deadlines over the network |
//! | [`Framed`] | messages of any length over a stream, in the format of Python's `multiprocessing.connection` |
//! | [`Address`] | a path or an abstract name |
//! | [`Credentials`], [`PidFd`] | who is at the other end, as the kernel noted it |
//! | [`activation`] | sockets that a service manager passes by inheritance |
//!
//! Every operation that may wait comes in four forms: `recv`, `try_recv`, `recv_timeout`, `recv_deadline`. Except for
//! listeners, which are nonblocking from birth, none changes a flag or an option of the socket, which clones and other
//! processes share. None allocates but for the list of descriptors that came. None raises `SIGPIPE`. Every descriptor is
//! close-on-exec. With the feature `serde` sockets travel inside messages that carry descriptors.
//!
//! # When somebody is killed
//!
//! | who, when | seqpacket | stream | datagram |
//! |---|---|---|---|
//! | the peer; a receiver waits | what it had sent, then the end | what it had sent, then the end | what it had sent, then **nothing**: use deadlines |
//! | the peer; a sender waits or comes later | [`BrokenPipe`] or [`ConnectionReset`] | the same | [`ConnectionRefused`] |
//! | the sender within a message | all of it or nothing | a part; [`Framed`] says [`UnexpectedEof`] | all of it or nothing |
//! | a receiver among several | at most the message in its hands is lost | bytes are lost, the rest is no use | at most the message in its hands is lost |
//! | with descriptors on the way | the kernel closes them | the same | the same |
//! | the listener; a client waits for room | [`ConnectionRefused`] | the same | |
//! | the one who bound a path | the file stays; the next `bind` takes it over | the same | the same |
//!
//! The end comes a moment before the process is dead: the kernel closes its descriptors first. Wait on
//! [`peer_pidfd`](SeqpacketSocket::peer_pidfd) for the death itself. Over TCP a machine that vanishes says nothing.
//!
//! A descriptor that another process has inherited keeps a connection open: drop ends you do not use.
//!
//! # What this crate does not do
//!
//! * Wait for many at once: sockets are [`AsFd`](std::os::fd::AsFd), for `poll(2)`, `epoll(7)`, mio or tokio.
//! * Encrypt, or authenticate beyond the kernel's word for a Unix peer.
//! * Resolve host names: that takes a time which no deadline bounds.
//! * Keep several senders of one stream apart: that is what messages are for.
//! * Options beyond these: the types convert to and from std's, for the `socket2` crate.
//!
//! # What it costs beside the system calls
//!
//! Bytes are sent by `sendto(2)`, and over TCP and UDP received by `recvfrom(2)`. From a Unix socket they are received by `recvmsg(2)`,
//! which alone tells that descriptors came along and were dropped: of a few bytes, sending and receiving costs 1.1 to 1.2
//! times what it would by `recv(2)`, of which the call itself takes 1.11 to 1.13; to be told that there is nothing costs 1.3 times as
//! much. Every form that need not wait is one call. Nothing is allocated, but for the list of descriptors where some come.
//! `cargo bench -p mp-benches --bench raw` measures it.
//!
//! # Differences from std
//!
//! std has no seqpacket sockets, descriptors in messages, peer credentials (stable) or connects to Unix sockets with a
//! timeout; its timeouts are options of the socket, for all who share it. Here a cut message is an error; an empty buffer is
//! one too, because zero bytes mean the end; and a listener takes over what a dead one left.
//!
//! # Platform-specific behavior
//!
//! Linux 5.10 or newer. [`peer_pidfd`](SeqpacketSocket::peer_pidfd) needs Linux 6.5 and says so.
//!
//! [`BrokenPipe`]: std::io::ErrorKind::BrokenPipe
//! [`ConnectionReset`]: std::io::ErrorKind::ConnectionReset
//! [`ConnectionRefused`]: std::io::ErrorKind::ConnectionRefused
//! [`UnexpectedEof`]: std::io::ErrorKind::UnexpectedEof

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
