use std::{
    error, fmt, io,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use mp_os::{Deadline, Error, Result, TimeoutError, transfer};
use mp_socket::SeqpacketSocket;
use parking_lot::Mutex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use crate::{
    DecodeError, EncodeError, encoding,
    frame::{self, Frame},
};

/// Longer messages, in bytes, go through shared memory.
const LIMIT: usize = 64 << 10;

/// One end of a connection that carries values, with the files, queues and other handles inside them.
///
/// It travels in arguments, results and messages itself. A message arrives whole or not at all, whoever is killed and
/// whenever; what was sent before the death of the sender still arrives. One that is larger than 64 KiB goes through sealed
/// shared memory, so that a send never waits for the peer to read *this* message, only for room in the queue (about 200
/// messages or 200 KiB).
///
/// Several threads and several processes may use one end at once: each message goes to one receiver.
///
/// # Examples
///
/// ```
/// use mp_process::{Connection, RecvError};
///
/// fn upper(peer: Connection) {
///     while let Ok(text) = peer.recv::<String>() {
///         peer.send(&text.to_uppercase()).unwrap();
///     }
/// }
///
/// let (ours, theirs) = Connection::pair()?;
/// let child = mp_process::spawn(upper, theirs)?;
/// ours.send("hello")?;
/// assert_eq!(ours.recv::<String>()?, "HELLO");
/// child.kill()?;
/// assert!(matches!(ours.recv::<String>(), Err(RecvError::Closed)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Connection {
    socket: SeqpacketSocket,
    /// Room for a message, kept so that it is not cleared for each. Whoever finds it taken makes its own.
    buffer: Mutex<Vec<u8>>,
}

impl Connection {
    /// Two connected ends.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENFILE` or `ENOMEM` at a limit.
    pub fn pair() -> Result<(Self, Self)> {
        SeqpacketSocket::pair().map(|(left, right)| (left.into(), right.into()))
    }

    /// Another handle of the same end.
    ///
    /// # Errors
    ///
    /// `EMFILE` at the limit of descriptors.
    pub fn try_clone(&self) -> Result<Self> {
        self.socket.try_clone().map(Self::from)
    }

    /// Sends `value`; blocks while the queue is full.
    ///
    /// # Errors
    ///
    /// [`SendError`]; nothing was sent then.
    pub fn send<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), SendError> {
        self.send_until(value, Deadline::never())
    }

    /// [`send`](Self::send) without waiting.
    ///
    /// # Errors
    ///
    /// [`SendError::TimedOut`] where the queue is full; otherwise as there.
    pub fn try_send<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), SendError> {
        self.send_timeout(value, Duration::ZERO)
    }

    /// [`send`](Self::send) for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn send_timeout<T: Serialize + ?Sized>(
        &self,
        value: &T,
        timeout: Duration,
    ) -> Result<(), SendError> {
        self.send_until(value, Deadline::after(timeout))
    }

    /// [`send`](Self::send) until `deadline` at the latest.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn send_deadline<T: Serialize + ?Sized>(
        &self,
        value: &T,
        deadline: Instant,
    ) -> Result<(), SendError> {
        self.send_until(value, Deadline::at(deadline))
    }

    fn send_until<T: Serialize + ?Sized>(
        &self,
        value: &T,
        deadline: Deadline,
    ) -> Result<(), SendError> {
        let mut bytes = Vec::new();
        let (encoded, fds) = transfer::collect(|| encoding::encode(value, &mut bytes));
        encoded.map_err(SendError::Encode)?;
        Ok(frame::send(&self.socket, &bytes, &fds, LIMIT, deadline)?)
    }

    /// Receives a value; blocks while there is none.
    ///
    /// # Errors
    ///
    /// [`RecvError`]; after [`RecvError::Undecodable`] the next message can be received.
    pub fn recv<T: DeserializeOwned>(&self) -> Result<T, RecvError> {
        self.recv_until(Deadline::never())
    }

    /// [`recv`](Self::recv) without waiting.
    ///
    /// # Errors
    ///
    /// [`RecvError::TimedOut`] where there is none; otherwise as there.
    pub fn try_recv<T: DeserializeOwned>(&self) -> Result<T, RecvError> {
        self.recv_timeout(Duration::ZERO)
    }

    /// [`recv`](Self::recv) for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    pub fn recv_timeout<T: DeserializeOwned>(&self, timeout: Duration) -> Result<T, RecvError> {
        self.recv_until(Deadline::after(timeout))
    }

    /// [`recv`](Self::recv) until `deadline` at the latest.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    pub fn recv_deadline<T: DeserializeOwned>(&self, deadline: Instant) -> Result<T, RecvError> {
        self.recv_until(Deadline::at(deadline))
    }

    fn recv_until<T: DeserializeOwned>(&self, deadline: Deadline) -> Result<T, RecvError> {
        let (mut kept, mut own);
        let buffer = match self.buffer.try_lock() {
            Some(guard) => {
                kept = guard;
                &mut *kept
            }
            None => {
                own = Vec::new();
                &mut own
            }
        };
        buffer.resize(1 + LIMIT, 0);
        let Frame { body, fds } =
            frame::recv(&self.socket, buffer, deadline)?.ok_or(RecvError::Closed)?;
        transfer::provide(fds, || encoding::decode(&body)).map_err(RecvError::Undecodable)
    }
}

impl From<SeqpacketSocket> for Connection {
    fn from(socket: SeqpacketSocket) -> Self {
        Self { socket, buffer: Mutex::default() }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Inside arguments, results and messages only, which carry a duplicate of the descriptor.
impl Serialize for Connection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.socket.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Connection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        SeqpacketSocket::deserialize(deserializer).map(Self::from)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.socket).finish()
    }
}

/// Why a value was not sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// The peer is gone: every handle of the other end is closed.
    Closed,
    /// The queue stayed full until the deadline.
    TimedOut,
    /// The value could not be serialized.
    Encode(EncodeError),
    /// The operating system refused it.
    Os(Error),
}

impl From<TimeoutError> for SendError {
    fn from(error: TimeoutError) -> Self {
        match error {
            TimeoutError::TimedOut => Self::TimedOut,
            error => match Error::from(error) {
                error if is_closed(&error) => Self::Closed,
                error => Self::Os(error),
            },
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the other end of the connection is closed"),
            Self::TimedOut => f.write_str("the queue of the connection stayed full"),
            Self::Encode(error) => error.fmt(f),
            Self::Os(error) => error.fmt(f),
        }
    }
}

impl error::Error for SendError {}

/// Why no value was received.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecvError {
    /// The peer is gone, and what it sent is received: every handle of the other end is closed.
    Closed,
    /// No message came until the deadline.
    TimedOut,
    /// The message is not a value of this type. It is gone; the next one can be received.
    Undecodable(DecodeError),
    /// The operating system refused it.
    Os(Error),
}

impl From<TimeoutError> for RecvError {
    fn from(error: TimeoutError) -> Self {
        match error {
            TimeoutError::TimedOut => Self::TimedOut,
            error => Self::Os(error.into()),
        }
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the other end of the connection is closed"),
            Self::TimedOut => f.write_str("no message came"),
            Self::Undecodable(error) => error.fmt(f),
            Self::Os(error) => error.fmt(f),
        }
    }
}

impl error::Error for RecvError {}

fn is_closed(error: &Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}
