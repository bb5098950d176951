use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use mp_os::{
    Deadline, Error, ObjectName, Owner, Result, TimeoutError,
    poll::{self, Interest},
};
use nix::{libc, sys::stat::fstat};

use super::{CreateOptions, OpenOptions, sys};

/// The most urgent priority; 0 is the least urgent one.
pub const MAX_PRIORITY: u32 = 32_767;

/// A POSIX message queue, open.
///
/// Messages of one priority arrive in the order sent, those of a higher one before all others. The kernel owns the queue:
/// a message is in it whole or not at all, and it outlives every process until somebody unlinks it.
///
/// The handle of the creator *owns* the queue: when its last clone is dropped, in a panic too, it unlinks the name,
/// provided that the name still means this queue and the process is the one that created it (not a fork of it).
/// [`persist`](Self::persist) leaves the queue behind. Others never unlink.
///
/// It is a descriptor ([`AsFd`]): readable in `poll(2)` and `epoll(7)` while there are messages, writable while there is
/// room. `recv` and `send` wait inside the kernel. The forms with a deadline wait for readiness and try again, because
/// `mq_timedreceive` and `mq_timedsend` know the wall clock only, whose steps would make them late: they are never early,
/// whatever is done to the clock, and where several receivers wait, the fastest gets the message.
///
/// `try_send` and `try_recv` wait until a time that has passed, because `O_NONBLOCK` would belong to all who share the open
/// queue; where they are refused, that takes the kernel 1.5 to 1.7 times as long.
///
/// No operation allocates, except for the text of an error.
///
/// # Examples
///
/// ```
/// use mp_mqueue::{TimeoutError, posix::MessageQueue};
/// use std::time::Duration;
///
/// let name = format!("/mp-doc-queue-{}", std::process::id());
/// let queue = MessageQueue::create_new(&name)?;
/// let mut buffer = vec![0; queue.attributes()?.message_size];
///
/// let outcome = queue.recv_timeout(&mut buffer, Duration::from_millis(1));
/// assert!(matches!(outcome, Err(TimeoutError::TimedOut)));
///
/// queue.send(b"hello", 3)?;
/// let message = queue.recv(&mut buffer)?;
/// assert_eq!((message.bytes, message.priority), (&b"hello"[..], 3));
/// # Ok::<(), mp_mqueue::Error>(())
/// ```
#[derive(Clone)]
pub struct MessageQueue(Arc<Inner>);

pub(super) struct Inner {
    pub(super) fd: OwnedFd,
    /// `None` for a queue that came as a descriptor.
    pub(super) name: Option<ObjectName>,
    /// The process that must unlink the queue.
    pub(super) owner: Owner,
}

/// A received message, in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message<'a> {
    /// What was sent.
    pub bytes: &'a [u8],
    /// How urgent its sender called it, up to [`MAX_PRIORITY`].
    pub priority: u32,
}

/// What a queue can hold and holds: `struct mq_attr`.
#[doc(alias = "mq_attr")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attributes {
    /// How many messages it holds before a sender waits.
    pub capacity: usize,
    /// The size of the largest message, and so of a receiver's buffer, in bytes.
    pub message_size: usize,
    /// How many messages it holds now.
    pub len: usize,
}

impl MessageQueue {
    /// Creates a queue that must not exist yet, as [`CreateOptions`] does by default.
    ///
    /// # Errors
    ///
    /// As for [`CreateOptions::create_new`].
    pub fn create_new(name: impl AsRef<str>) -> Result<Self> {
        CreateOptions::new().create_new(name)
    }

    /// Opens a queue that exists, to receive and to send; [`OpenOptions`] opens it for one of both.
    ///
    /// # Errors
    ///
    /// As for [`OpenOptions::open`].
    #[doc(alias = "mq_open")]
    pub fn open(name: impl AsRef<str>) -> Result<Self> {
        OpenOptions::new().read(true).write(true).open(name)
    }

    /// `mq_unlink(3)`—Removes the name; who has the queue open goes on using it.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound), [`PermissionDenied`](io::ErrorKind::PermissionDenied), or
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a bad name.
    #[doc(alias = "mq_unlink")]
    pub fn unlink(name: impl AsRef<str>) -> Result<()> {
        let name = ObjectName::new(name)?;
        sys::unlink(name.as_c_str())
            .map_err(|error| Error::new("unlink", object(Some(&name)), error))
    }

    mp_os::family! {
        /// `mq_send(3)`—Adds a message, and waits while the queue is full.
        ///
        /// # Errors
        ///
        /// `EMSGSIZE` for more bytes than the queue's message size, `EBADF` where it was opened to receive only,
        /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a priority above [`MAX_PRIORITY`].
        #[doc(alias = "mq_send", alias = "mq_timedsend")]
        pub fn send, try_send, send_timeout, send_deadline(
            self: &Self, bytes: &[u8], priority: u32
        ) -> () = send_until;

        /// `mq_receive(3)`—Takes the oldest message of the highest priority, and waits while there is none.
        ///
        /// # Errors
        ///
        /// `EMSGSIZE` for a buffer smaller than the queue's message size, however short the message is; `EBADF` where the
        /// queue was opened to send only.
        #[doc(alias = "mq_receive", alias = "mq_timedreceive")]
        pub fn recv, try_recv, recv_timeout, recv_deadline<'a>(
            self: &Self, buffer: &'a mut [u8]
        ) -> Message<'a> = recv_until;
    }

    /// `mq_getattr(3)`—What the queue can hold, and how many messages it holds now.
    ///
    /// # Errors
    ///
    /// Those of a descriptor that is not a queue's.
    #[doc(alias = "mq_getattr")]
    pub fn attributes(&self) -> Result<Attributes> {
        sys::attributes(self.as_fd()).map_err(|error| self.error("read attributes of", error))
    }

    /// The name it was opened by; `None` where it came as a descriptor.
    pub fn name(&self) -> Option<&ObjectName> {
        self.0.name.as_ref()
    }

    /// Whether dropping the last clone of this handle unlinks the queue.
    pub fn is_owner(&self) -> bool {
        self.0.owner.is_this_process()
    }

    /// Leaves the queue behind when the owner's handle is dropped; [`unlink`](Self::unlink) removes it then.
    pub fn persist(&self) {
        self.0.owner.renounce();
    }

    /// A handle that somebody else made.
    pub(crate) fn received(fd: OwnedFd, name: Option<ObjectName>) -> Self {
        Inner { fd, name, owner: Owner::nobody() }.into()
    }

    pub(super) fn error(&self, verb: &'static str, error: io::Error) -> Error {
        Error::new(verb, object(self.name()), error)
    }

    fn check(&self, priority: u32) -> Result<()> {
        if priority <= MAX_PRIORITY {
            return Ok(());
        }
        let reason = format!("priority {priority} is above {MAX_PRIORITY}");
        Err(Error::invalid_input("send to", object(self.name()), reason))
    }

    #[inline]
    fn send_until(
        &self,
        bytes: &[u8],
        priority: u32,
        deadline: Deadline,
    ) -> Result<(), TimeoutError> {
        self.check(priority)?;
        let send = |may_block| sys::send(self.as_fd(), bytes, priority, may_block);
        poll::until(self.as_fd(), Interest::Writable, deadline, send)
            .map_err(|error| self.send_error(bytes, error))?
            .ok_or(TimeoutError::TimedOut)
    }

    #[inline]
    fn recv_until<'a>(
        &self,
        buffer: &'a mut [u8],
        deadline: Deadline,
    ) -> Result<Message<'a>, TimeoutError> {
        let capacity = buffer.len();
        // Without a deadline, the kernel waits: it hands a message to the receiver of the highest scheduling priority. A
        // descriptor that came with `O_NONBLOCK` does not, and is waited for like the others.
        let receive = |may_block| sys::receive(self.as_fd(), buffer, may_block);
        let (len, priority) = poll::until(self.as_fd(), Interest::Readable, deadline, receive)
            .map_err(|error| self.recv_error(capacity, error))?
            .ok_or(TimeoutError::TimedOut)?;
        Ok(Message { bytes: &buffer[..len], priority })
    }

    #[cold]
    fn send_error(&self, bytes: &[u8], error: io::Error) -> Error {
        let message_size = self.message_size_exceeded(&error);
        let error = self.error("send to", error);
        match message_size {
            Some(most) => error.with_hint(format!(
                "the message has {} bytes, the queue takes {most} (its creator's `message_size`)",
                bytes.len()
            )),
            None => error,
        }
    }

    #[cold]
    fn recv_error(&self, buffer: usize, error: io::Error) -> Error {
        let message_size = self.message_size_exceeded(&error);
        let error = self.error("receive from", error);
        match message_size {
            Some(needed) => error.with_hint(format!(
                "the buffer has {buffer} bytes and must have {needed}: `attributes().message_size`"
            )),
            None => error,
        }
    }

    fn message_size_exceeded(&self, error: &io::Error) -> Option<usize> {
        if error.raw_os_error() != Some(libc::EMSGSIZE) {
            return None;
        }
        sys::attributes(self.as_fd()).map(|attributes| attributes.message_size).ok()
    }
}

pub(super) fn object(name: Option<&ObjectName>) -> String {
    name.map_or_else(|| "message queue".to_owned(), |name| format!("message queue `{name}`"))
}

impl Inner {
    /// Whether the name still means this queue. In doubt it does: then the owner was not allowed to open it again.
    fn is_named(&self, name: &ObjectName) -> bool {
        match sys::open(name.as_c_str(), true, false) {
            Ok(other) => match (fstat(&self.fd), fstat(&other)) {
                (Ok(own), Ok(other)) => (own.st_dev, own.st_ino) == (other.st_dev, other.st_ino),
                _ => true,
            },
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let Some(name) = &self.name else { return };
        if self.owner.is_this_process() && self.is_named(name) {
            // A drop has nobody to tell; who wants to know calls `MessageQueue::unlink`.
            drop(sys::unlink(name.as_c_str()));
        }
    }
}

impl From<Inner> for MessageQueue {
    fn from(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

impl AsFd for MessageQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

/// A queue that was inherited or received; operations on any other descriptor fail with `EBADF`. Never an owner.
impl From<OwnedFd> for MessageQueue {
    fn from(fd: OwnedFd) -> Self {
        Self::received(fd, None)
    }
}

impl fmt::Debug for MessageQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageQueue")
            .field("name", &self.0.name)
            .field("fd", &self.0.fd)
            .field("owner", &self.is_owner())
            .finish()
    }
}
