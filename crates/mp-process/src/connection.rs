mod direction;
mod error;

use std::{
    fmt,
    marker::PhantomData,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use mp_os::{
    Deadline, Error, Result,
    poll::{self, Interest, Source},
    transfer,
};
use mp_socket::SeqpacketSocket;
use parking_lot::Mutex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

pub use self::{
    direction::{Duplex, Receives, RecvOnly, SendOnly, Sends},
    error::{RecvError, SendError},
};
use crate::{
    encoding,
    frame::{self, Body},
};

/// Longer messages, in bytes, go through shared memory.
const LIMIT: usize = 64 << 10;

/// One end of a connection that carries messages: bytes, or values with the files, queues and other handles inside them.
///
/// It travels in arguments, results and messages itself. A message has from 0 bytes to as many as memory holds, and arrives
/// whole or not at all, whoever is killed and whenever; what was sent before the death of the sender still arrives. One that
/// is larger than 64 KiB goes through sealed shared memory, so that a send never waits for the peer to read *this* message,
/// only for room in the queue (about 200 messages or 200 KiB).
///
/// Several threads and several processes may use one end at once: each message goes to one receiver.
///
/// `D` says which way the end may be used: both, or one of a [one-way](Connection::one_way) connection. The descriptor is
/// readable when there is a message, and from when the other end is closed; that of an end that only sends, from then on only.
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
pub struct Connection<D = Duplex> {
    socket: SeqpacketSocket,
    /// Room for a message, kept so that it is not cleared for each. Whoever finds it taken makes its own.
    buffer: Mutex<Vec<u8>>,
    direction: PhantomData<fn() -> D>,
}

impl Connection {
    /// Two connected ends, both of which send and receive.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENFILE` or `ENOMEM` at a limit.
    pub fn pair() -> Result<(Self, Self)> {
        SeqpacketSocket::pair().map(|(left, right)| (left.into(), right.into()))
    }
}

impl Connection<RecvOnly> {
    /// Two connected ends, the first of which only receives and the second only sends.
    ///
    /// # Errors
    ///
    /// As for [`pair`](Connection::pair).
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_process::Connection;
    ///
    /// let (receiver, sender) = Connection::one_way()?;
    /// sender.send_bytes(b"")?;
    /// assert!(receiver.poll()?);
    /// assert_eq!(receiver.recv_bytes()?, b"");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// The other way round is refused by the compiler:
    ///
    /// ```compile_fail,E0599
    /// let (receiver, sender) = mp_process::Connection::one_way().unwrap();
    /// sender.recv_bytes();
    /// ```
    pub fn one_way() -> Result<(Self, Connection<SendOnly>)> {
        SeqpacketSocket::pair().map(|(left, right)| (left.into(), right.into()))
    }
}

impl<D> Connection<D> {
    /// Another handle of the same end.
    ///
    /// # Errors
    ///
    /// `EMFILE` at the limit of descriptors.
    pub fn try_clone(&self) -> Result<Self> {
        self.socket.try_clone().map(Self::from)
    }
}

impl<D: Sends> Connection<D> {
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

    mp_os::family! {
        fails with (SendError, SendError, SendError):

        /// Sends `message`, which may be empty; blocks while the queue is full.
        ///
        /// # Errors
        ///
        /// [`SendError`]; nothing was sent then.
        pub fn send_bytes, try_send_bytes, send_bytes_timeout, send_bytes_deadline(
            self: &Self, message: &[u8]
        ) -> () = send_bytes_until;
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

    fn send_bytes_until(&self, message: &[u8], deadline: Deadline) -> Result<(), SendError> {
        Ok(frame::send(&self.socket, message, &[], LIMIT, deadline)?)
    }
}

impl<D: Receives> Connection<D> {
    /// Receives a value; blocks while there is none.
    ///
    /// `T` is the type that was sent: the bytes do not tell it, and those of one type may be those of another, too (of `-1` as an
    /// `i32` and of `1` as a `u32`).
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

    mp_os::family! {
        fails with (RecvError, RecvError, RecvError):

        /// Receives a message as bytes; blocks while there is none.
        ///
        /// That of a value is its [encoding](crate::encode); handles in it are closed.
        ///
        /// # Errors
        ///
        /// [`RecvError`].
        pub fn recv_bytes, try_recv_bytes, recv_bytes_timeout, recv_bytes_deadline(
            self: &Self
        ) -> Vec<u8> = recv_bytes_until;

        /// [`recv_bytes`](Self::recv_bytes) to the front of `buffer`: the length of the message.
        ///
        /// # Errors
        ///
        /// [`RecvError`]; [`RecvError::TooLong`] has the message that does not fit.
        pub fn recv_bytes_into, try_recv_bytes_into, recv_bytes_into_timeout, recv_bytes_into_deadline(
            self: &Self, buffer: &mut [u8]
        ) -> usize = recv_bytes_into_until;
    }

    /// Whether a receive would not wait now: there is a message, or the other end is closed. Takes nothing.
    ///
    /// # Errors
    ///
    /// What `ppoll(2)` fails with.
    pub fn poll(&self) -> Result<bool> {
        self.poll_timeout(Duration::ZERO)
    }

    /// [`poll`](Self::poll) that waits for it, for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As for [`poll`](Self::poll).
    pub fn poll_timeout(&self, timeout: Duration) -> Result<bool> {
        self.poll_until(Deadline::after(timeout))
    }

    /// [`poll`](Self::poll) that waits for it, until `deadline` at the latest.
    ///
    /// # Errors
    ///
    /// As for [`poll`](Self::poll).
    pub fn poll_deadline(&self, deadline: Instant) -> Result<bool> {
        self.poll_until(Deadline::at(deadline))
    }

    fn poll_until(&self, deadline: Deadline) -> Result<bool> {
        poll::wait(self.as_fd(), Interest::Readable, deadline)
            .map_err(|error| Error::new("poll", "connection", error))
    }

    fn recv_until<T: DeserializeOwned>(&self, deadline: Deadline) -> Result<T, RecvError> {
        self.recv_frame(deadline, |body, fds| {
            let bytes = body.into_bytes()?;
            transfer::provide(fds, || encoding::decode(&bytes)).map_err(RecvError::Undecodable)
        })
    }

    fn recv_bytes_until(&self, deadline: Deadline) -> Result<Vec<u8>, RecvError> {
        self.recv_frame(deadline, |body, _| Ok(body.into_bytes()?.into_owned()))
    }

    fn recv_bytes_into_until(
        &self,
        buffer: &mut [u8],
        deadline: Deadline,
    ) -> Result<usize, RecvError> {
        self.recv_frame(deadline, |body, _| match body.copy_to(buffer)? {
            Ok(len) => Ok(len),
            Err(body) => Err(RecvError::TooLong(body.into_bytes()?.into_owned())),
        })
    }

    fn recv_frame<R>(
        &self,
        deadline: Deadline,
        read: impl FnOnce(Body<'_>, Vec<OwnedFd>) -> Result<R, RecvError>,
    ) -> Result<R, RecvError> {
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
        let (body, fds) =
            frame::recv_unread(&self.socket, buffer, deadline)?.ok_or(RecvError::Closed)?;
        read(body, fds)
    }
}

impl<D> From<SeqpacketSocket> for Connection<D> {
    fn from(socket: SeqpacketSocket) -> Self {
        Self { socket, buffer: Mutex::default(), direction: PhantomData }
    }
}

impl<D> AsFd for Connection<D> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl<D> Source for Connection<D> {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

/// Inside arguments, results and messages only, which carry a duplicate of the descriptor.
impl<D> Serialize for Connection<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.socket.serialize(serializer)
    }
}

impl<'de, D> Deserialize<'de> for Connection<D> {
    fn deserialize<S: Deserializer<'de>>(deserializer: S) -> Result<Self, S::Error> {
        SeqpacketSocket::deserialize(deserializer).map(Self::from)
    }
}

impl<D> fmt::Debug for Connection<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.socket).finish()
    }
}
