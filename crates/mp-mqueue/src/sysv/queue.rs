use std::{fmt, io, mem, sync::Arc, time::Duration};

use mp_os::{
    Deadline, Error, Owner, Result,
    poll::Pauses,
    sysv::{Key, Permissions, TimeoutError, TryError, WaitError},
};
use nix::libc;

use super::{CreateOptions, Limits, OpenOptions, Select, select::bad_kind, sys};

/// A System V message queue.
///
/// Every message has a *kind*, a number above zero (`mtype`), by which a receiver [selects](Select). Messages of one kind
/// arrive in the order sent. The kernel owns the queue: a message is in it whole or not at all, and it outlives every
/// process until somebody removes it. Then every operation, those that wait included, ends with
/// [`Removed`](WaitError::Removed).
///
/// The handle of the creator *owns* the queue: when its last clone is dropped, in a panic too, it removes the queue,
/// provided that the process is the one that created it (not a fork of it). [`persist`](Self::persist) leaves the queue
/// behind. Others never remove it unless they say [`remove`](Self::remove).
///
/// `recv` and `send` wait inside the kernel. It has no `msgrcv` and `msgsnd` with a timeout and nothing to poll, so the forms
/// with a deadline try again after pauses that grow from 50 us to 10 ms. On an idle machine they notice a message or room within
/// 20 ms; they are never early, and where several wait, the first to look gets the message.
///
/// No operation allocates for messages up to 8 KiB, except for the text of an error. Longer ones, for which somebody
/// must have raised `kernel.msgmax`, go through a temporary buffer. The kernel wants a message and its kind in one piece, so each side
/// copies once more than the plain calls do: at 8 KiB it costs 1.1 times as much.
///
/// # Examples
///
/// ```
/// use mp_mqueue::sysv::{Key, MessageQueue, Select, WaitError};
///
/// let queue = MessageQueue::create_new(Key::PRIVATE)?;
/// queue.send(b"hello", 3)?;
/// let mut buffer = [0; 64];
/// let message = queue.recv(&mut buffer, Select::kind(3))?;
/// assert_eq!((message.bytes, message.kind), (&b"hello"[..], 3));
///
/// let other = MessageQueue::from_id(queue.id())?;
/// drop(queue);
/// assert!(matches!(other.send(b"too late", 1), Err(WaitError::Removed)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MessageQueue(Arc<Inner>);

pub(super) struct Inner {
    pub(super) id: i32,
    pub(super) key: Key,
    /// The process that must remove the queue.
    pub(super) owner: Owner,
}

/// A received message, in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message<'a> {
    /// What was sent, or the part of it that the buffer held.
    pub bytes: &'a [u8],
    /// What kind its sender said it is of (`mtype`), above zero.
    pub kind: i64,
    /// Whether the buffer was too small, and the rest is lost, as [`Select::truncate`] allows.
    pub truncated: bool,
}

/// The first and the longest pause between two attempts of a wait with a deadline.
const PAUSES: Pauses = Pauses::new(Duration::from_micros(50), Duration::from_millis(10));

impl MessageQueue {
    /// Creates a queue that must not exist yet, as [`CreateOptions`] does by default.
    ///
    /// # Errors
    ///
    /// As for [`CreateOptions::create_new`].
    pub fn create_new(key: Key) -> Result<Self> {
        CreateOptions::new().create_new(key)
    }

    /// Opens a queue that exists, to receive and to send; [`OpenOptions`] opens it for one of both.
    ///
    /// # Errors
    ///
    /// As for [`OpenOptions::open`].
    #[doc(alias = "msgget")]
    pub fn open(key: Key) -> Result<Self> {
        OpenOptions::new().read(true).write(true).open(key)
    }

    /// Opens a queue by its identifier, which its creator passed on or `ipcs -q` shows.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) (`EINVAL`) where there is none,
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) without permission to receive.
    pub fn from_id(id: i32) -> Result<Self> {
        let stat = sys::stat(id)
            .map_err(|error| Error::new("open", format!("message queue {id}"), error))?;
        let key = Permissions::from(&stat.msg_perm).key;
        Ok(Inner { id, key, owner: Owner::nobody() }.into())
    }

    mp_os::family! {
        fails with (WaitError, TryError, TimeoutError):

        /// `msgsnd(2)`—Adds a message of `kind`, and waits while the queue is full.
        ///
        /// # Errors
        ///
        /// [`Removed`](WaitError::Removed); [`InvalidInput`](io::ErrorKind::InvalidInput) for a kind that is not above
        /// zero and for a message larger than `kernel.msgmax` or the queue's capacity; permission denied.
        #[doc(alias = "msgsnd")]
        pub fn send, try_send, send_timeout, send_deadline(
            self: &Self, bytes: &[u8], kind: i64
        ) -> () = send_until;

        /// `msgrcv(2)`—Takes the message that `select` means, and waits while there is none.
        ///
        /// # Errors
        ///
        /// [`Removed`](WaitError::Removed); `E2BIG` for a message longer than the buffer, which stays in the queue unless
        /// `select` [truncates](Select::truncate); [`InvalidInput`](io::ErrorKind::InvalidInput) for a kind that is not
        /// above zero; permission denied.
        #[doc(alias = "msgrcv")]
        pub fn recv, try_recv, recv_timeout, recv_deadline<'a>(
            self: &Self, buffer: &'a mut [u8], select: Select
        ) -> Message<'a> = recv_until;
    }

    /// `msgctl(IPC_RMID)`—Removes the queue and its messages; who waits at it gets [`Removed`](WaitError::Removed).
    ///
    /// # Errors
    ///
    /// [`Removed`](WaitError::Removed) where it was already;
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) for others than the owner, the creator and root.
    #[doc(alias = "msgctl")]
    pub fn remove(&self) -> Result<(), WaitError> {
        sys::remove(self.id()).map_err(|error| self.failed("remove", error))
    }

    /// The identifier, by which any process with permission can [open](Self::from_id) the queue.
    pub fn id(&self) -> i32 {
        self.0.id
    }

    /// The key it was created with.
    pub fn key(&self) -> Key {
        self.0.key
    }

    /// Whether dropping the last clone of this handle removes the queue.
    pub fn is_owner(&self) -> bool {
        self.0.owner.is_this_process()
    }

    /// Leaves the queue behind when the owner's handle is dropped; [`remove`](Self::remove) removes it then.
    pub fn persist(&self) {
        self.0.owner.renounce();
    }

    pub(super) fn object(&self) -> String {
        format!("message queue {} (key `{}`)", self.id(), self.key())
    }

    /// Tells a queue that is gone from everything else that may have happened.
    pub(super) fn failed(&self, verb: &'static str, error: io::Error) -> WaitError {
        WaitError::new(verb, || self.object(), error, || sys::stat(self.id()))
    }

    #[inline]
    fn send_until(&self, bytes: &[u8], kind: i64, deadline: Deadline) -> Result<(), TimeoutError> {
        if kind <= 0 {
            return Err(bad_kind("send to", self.object(), kind).into());
        }
        let mut checked = false;
        wait_until(deadline, |flags| {
            match sys::send(self.id(), bytes, kind, flags) {
                Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
                result => return result.map(Some).map_err(|error| self.send_failed(bytes, error)),
            }
            if !mem::replace(&mut checked, true) {
                self.check_fits(bytes)?;
            }
            Ok(None)
        })
    }

    #[inline]
    fn recv_until<'a>(
        &self,
        buffer: &'a mut [u8],
        select: Select,
        deadline: Deadline,
    ) -> Result<Message<'a>, TimeoutError> {
        let (kind, select) = select.to_raw(|| self.object())?;
        let received = wait_until(deadline, |flags| {
            match sys::receive(self.id(), buffer, kind, select | flags) {
                Ok(received) => Ok(Some(received)),
                Err(error) if error.raw_os_error() == Some(libc::ENOMSG) => Ok(None),
                Err(error) => Err(self.recv_failed(buffer.len(), error)),
            }
        })?;
        let len = received.len.min(buffer.len());
        let truncated = received.len > len;
        Ok(Message { bytes: &buffer[..len], kind: received.kind, truncated })
    }

    /// The kernel would wait for ever for room that the queue does not have even when it is empty.
    #[cold]
    fn check_fits(&self, bytes: &[u8]) -> Result<()> {
        match sys::stat(self.id()) {
            Ok(stat) if bytes.len() > stat.msg_qbytes as usize => {
                let reason = format!(
                    "the message has {} bytes, the queue holds {}",
                    bytes.len(),
                    stat.msg_qbytes
                );
                Err(Error::invalid_input("send to", self.object(), reason))
            }
            // Without permission to look, the send tells.
            _ => Ok(()),
        }
    }

    #[cold]
    fn send_failed(&self, bytes: &[u8], error: io::Error) -> WaitError {
        match self.failed("send to", error) {
            WaitError::Os(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                WaitError::Os(error.with_hint_from(Limits::read(), |limits| {
                    format!(
                        "the message has {} bytes, of which `kernel.msgmax` allows {}",
                        bytes.len(),
                        limits.msgmax
                    )
                }))
            }
            outcome => outcome,
        }
    }

    #[cold]
    fn recv_failed(&self, buffer: usize, error: io::Error) -> WaitError {
        match self.failed("receive from", error) {
            WaitError::Os(error) if error.raw_os_error() == Some(libc::E2BIG) => {
                WaitError::Os(error.with_hint(format!(
                    "the message is longer than the buffer of {buffer} bytes, and stays in the queue"
                )))
            }
            outcome => outcome,
        }
    }
}

/// Attempts until one succeeds or `deadline` has passed: at first without waiting (`None`: it would have to), and then,
/// without a deadline, inside the kernel, or else again and again with pauses in between.
#[inline]
fn wait_until<T>(
    deadline: Deadline,
    mut attempt: impl FnMut(i32) -> Result<Option<T>, WaitError>,
) -> Result<T, TimeoutError> {
    let mut pauses = PAUSES;
    let mut flags = libc::IPC_NOWAIT;
    loop {
        // Looked at first: the last attempt is one made when the deadline has passed.
        let last = deadline.is_past();
        match attempt(flags)? {
            Some(value) => return Ok(value),
            None if last => return Err(TimeoutError::TimedOut),
            None if deadline.is_never() => flags = 0,
            None => {
                pauses
                    .pause(deadline)
                    .map_err(|error| Error::new("wait for", "System V message queue", error))?;
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.owner.is_this_process() {
            // A drop has nobody to tell; who wants to know calls `MessageQueue::remove`.
            drop(sys::remove(self.id));
        }
    }
}

impl From<Inner> for MessageQueue {
    fn from(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

impl fmt::Debug for MessageQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageQueue")
            .field("id", &self.0.id)
            .field("key", &self.0.key)
            .field("owner", &self.is_owner())
            .finish()
    }
}
