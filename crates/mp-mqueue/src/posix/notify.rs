use std::{
    error, fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use mp_os::{
    Deadline, Error, Result, TimeoutError, TryError,
    poll::{self, Interest},
};
use nix::{
    libc,
    sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, socket},
};

use super::{MessageQueue, sys};

impl MessageQueue {
    /// `mq_notify(3)` with `SIGEV_SIGNAL`—Has a signal sent to this process when a message arrives in the empty queue.
    ///
    /// It comes once; then the registration is over. A message that a blocked [`recv`](Self::recv) takes at once does
    /// not count, one that a waiting [`recv_deadline`](Self::recv_deadline) takes does. `value` arrives as `si_value`.
    ///
    /// # Errors
    ///
    /// [`Busy`](NotifyError::Busy) where a process, this one included, is registered; `EINVAL` for a signal that there
    /// is not.
    #[doc(alias = "mq_notify")]
    pub fn notify_signal(&self, signal: i32, value: usize) -> Result<(), NotifyError> {
        sys::notify_signal(self.as_fd(), signal, value).map_err(|error| self.notify_error(error))
    }

    /// `mq_notify(2)` with a socket—Makes a descriptor readable when a message arrives in the empty queue.
    ///
    /// Unlike the queue's own readiness, it tells an arrival once and not that there are messages.
    ///
    /// # Errors
    ///
    /// [`Busy`](NotifyError::Busy) where a process, this one included, is registered; `EMFILE` at the limit of
    /// descriptors.
    #[doc(alias = "mq_notify")]
    pub fn notify_fd(&self) -> Result<Notifier, NotifyError> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )
        .map_err(|error| self.notify_error(error.into()))?;
        sys::notify_socket(self.as_fd(), socket.as_fd())
            .map_err(|error| self.notify_error(error))?;
        Ok(Notifier { queue: self.clone(), socket })
    }

    /// `mq_notify(3)` with a null pointer—Ends the registration of this process, if it has one.
    ///
    /// # Errors
    ///
    /// `EBADF` for a descriptor that is not a queue's.
    pub fn cancel_notify(&self) -> Result<()> {
        sys::cancel_notify(self.as_fd())
            .map_err(|error| self.error("end the notification by", error))
    }

    fn notify_error(&self, error: io::Error) -> NotifyError {
        match error.raw_os_error() {
            Some(libc::EBUSY) => NotifyError::Busy,
            _ => NotifyError::Os(self.error("ask for a notification by", error)),
        }
    }
}

/// A registration whose end can be waited for; dropped before, it is cancelled.
///
/// Readable ([`AsFd`]) from its end on.
///
/// # Examples
///
/// ```
/// use mp_mqueue::posix::{MessageQueue, Notify};
///
/// let name = format!("/mp-doc-notify-{}", std::process::id());
/// let queue = MessageQueue::create_new(&name)?;
/// let arrival = queue.notify_fd()?;
/// assert!(arrival.try_wait().is_err());
/// queue.send(b"now", 0)?;
/// assert_eq!(arrival.wait()?, Notify::Arrived);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Notifier {
    /// Kept open: closing any descriptor of the queue ends the registration.
    queue: MessageQueue,
    socket: OwnedFd,
}

/// How a registration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// A message arrived in the empty queue.
    Arrived,
    /// The process cancelled it, or closed a descriptor of the queue.
    Cancelled,
}

/// The last byte of the cookie when a message has arrived: `NOTIFY_WOKENUP`.
const WOKEN: u8 = 1;

impl Notifier {
    mp_os::family! {
        /// Waits for the end of the registration, and tells it again however often it is asked.
        ///
        /// # Errors
        ///
        /// What `recv(2)` and `ppoll(2)` fail with.
        pub fn wait, try_wait, wait_timeout, wait_deadline(self: &Self) -> Notify = wait_until;
    }

    fn wait_until(&self, deadline: Deadline) -> Result<Notify, TimeoutError> {
        match poll::wait(self.as_fd(), Interest::Readable, deadline) {
            Ok(true) => Ok(self.end()?),
            Ok(false) => Err(TimeoutError::TimedOut),
            Err(error) => Err(self.error(error).into()),
        }
    }

    fn end(&self) -> Result<Notify> {
        let mut cookie = [0; sys::COOKIE_LEN];
        // It stays in the socket, so that everybody who waits learns of it.
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK;
        recv(self.socket.as_raw_fd(), &mut cookie, flags)
            .map_err(|error| self.error(error.into()))?;
        Ok(if cookie[sys::COOKIE_LEN - 1] == WOKEN { Notify::Arrived } else { Notify::Cancelled })
    }

    fn error(&self, error: io::Error) -> Error {
        self.queue.error("wait for a notification by", error)
    }
}

impl AsFd for Notifier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        // Once it has ended, the next registration of this process may be somebody else's.
        if matches!(self.try_wait(), Err(TryError::WouldBlock)) {
            drop(self.queue.cancel_notify());
        }
    }
}

/// Why there is no registration.
#[derive(Debug)]
#[non_exhaustive]
pub enum NotifyError {
    /// Another registration lasts, of this process or another one: a queue has one at a time.
    Busy,
    /// The operating system refused it.
    Os(Error),
}

impl fmt::Display for NotifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("another process or handle is registered for notification"),
            Self::Os(error) => error.fmt(f),
        }
    }
}

impl error::Error for NotifyError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Busy => None,
            Self::Os(error) => error.source(),
        }
    }
}
