use mp_os::{Error, ObjectName, Owner, Result, create_or_open};

use super::{
    limits,
    queue::{Inner, MessageQueue, object},
    sys::{self, Creation},
};

/// How to create a queue: what only a creator may say.
///
/// # Examples
///
/// ```
/// use mp_mqueue::posix::CreateOptions;
///
/// let name = format!("/mp-doc-create-{}", std::process::id());
/// let queue = CreateOptions::new().capacity(2).message_size(16).mode(0o660).create_new(&name)?;
/// assert_eq!(queue.attributes()?.capacity, 2);
/// assert!(CreateOptions::new().create_new(&name).is_err(), "it exists");
/// # Ok::<(), mp_mqueue::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CreateOptions {
    mode: u32,
    capacity: usize,
    message_size: usize,
}

impl CreateOptions {
    /// Mode 0600, 10 messages of 8192 bytes: the most that Linux grants everybody by default.
    pub const fn new() -> Self {
        Self { mode: 0o600, capacity: 10, message_size: 8192 }
    }

    /// The permission bits, of which the process's umask takes some away. Default: 0600.
    #[must_use]
    pub const fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// How many messages the queue holds before a sender waits (`mq_maxmsg`). Default: 10.
    #[doc(alias = "mq_maxmsg")]
    #[must_use]
    pub const fn capacity(mut self, messages: usize) -> Self {
        self.capacity = messages;
        self
    }

    /// The size of the largest message in bytes (`mq_msgsize`). Default: 8192.
    #[doc(alias = "mq_msgsize")]
    #[must_use]
    pub const fn message_size(mut self, bytes: usize) -> Self {
        self.message_size = bytes;
        self
    }

    /// `mq_open(O_CREAT | O_EXCL)`—Creates a queue that must not exist yet, and owns it.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](std::io::ErrorKind::AlreadyExists); [`InvalidInput`](std::io::ErrorKind::InvalidInput) for a bad
    /// name, a capacity or size of zero or above the limits; `EMFILE` where the user's bytes for queues (or the process's
    /// descriptors) are used up; `ENOSPC` at the limit of queues. Where a limit is the cause, the error's hint names it.
    #[doc(alias = "mq_open")]
    pub fn create_new(&self, name: impl AsRef<str>) -> Result<MessageQueue> {
        let name = ObjectName::new(name)?;
        let creation = self.check(&name)?;
        let fd = sys::create_new(name.as_c_str(), &creation)
            .map_err(|error| limits::explain(&object(Some(&name)), &creation, error))?;
        Ok(Inner { fd, name: Some(name), owner: Owner::this_process() }.into())
    }

    /// `mq_open(O_CREAT)`—Opens the queue for both directions, or creates and owns it where there is none.
    ///
    /// A queue that exists keeps its own capacity, message size and mode; see
    /// [`is_owner`](MessageQueue::is_owner) and [`attributes`](MessageQueue::attributes).
    ///
    /// # Errors
    ///
    /// As for [`create_new`](Self::create_new) and [`open`](MessageQueue::open), except that either outcome is fine.
    pub fn create(&self, name: impl AsRef<str>) -> Result<MessageQueue> {
        let name = ObjectName::new(name)?;
        create_or_open(|| self.create_new(&name), || MessageQueue::open(&name).map(Some))
    }

    fn check(&self, name: &ObjectName) -> Result<Creation> {
        let refuse = |reason| Err(Error::invalid_input("create", object(Some(name)), reason));
        match (i64::try_from(self.capacity), i64::try_from(self.message_size)) {
            (Ok(0), _) => refuse("the capacity is zero"),
            (_, Ok(0)) => refuse("the message size is zero"),
            _ if self.mode & !0o777 != 0 => refuse("the mode has more than the permission bits"),
            (Ok(capacity), Ok(message_size)) => {
                Ok(Creation { mode: self.mode, capacity, message_size })
            }
            _ => refuse("the capacity or the message size is beyond what the kernel can express"),
        }
    }
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// How to open a queue that exists: for which directions.
///
/// # Examples
///
/// ```
/// use mp_mqueue::posix::{CreateOptions, OpenOptions};
///
/// let name = format!("/mp-doc-open-{}", std::process::id());
/// let queue = CreateOptions::new().create_new(&name)?;
/// let sender = OpenOptions::new().write(true).open(&name)?;
/// sender.send(b"one way", 0)?;
/// assert!(sender.try_recv(&mut [0; 8192]).is_err(), "not opened for that");
/// # Ok::<(), mp_mqueue::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    read: bool,
    write: bool,
}

impl OpenOptions {
    /// Neither direction yet.
    pub const fn new() -> Self {
        Self { read: false, write: false }
    }

    /// To receive (`O_RDONLY`).
    #[must_use]
    pub const fn read(mut self, read: bool) -> Self {
        self.read = read;
        self
    }

    /// To send (`O_WRONLY`).
    #[must_use]
    pub const fn write(mut self, write: bool) -> Self {
        self.write = write;
        self
    }

    /// `mq_open(3)`—Opens a queue that exists, and never unlinks it.
    ///
    /// # Errors
    ///
    /// [`NotFound`](std::io::ErrorKind::NotFound), [`PermissionDenied`](std::io::ErrorKind::PermissionDenied),
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) for a bad name or no direction.
    #[doc(alias = "mq_open")]
    pub fn open(&self, name: impl AsRef<str>) -> Result<MessageQueue> {
        let name = ObjectName::new(name)?;
        if !self.read && !self.write {
            return Err(Error::invalid_input(
                "open",
                object(Some(&name)),
                "it would be neither for receiving nor for sending",
            ));
        }
        let fd = sys::open(name.as_c_str(), self.read, self.write)
            .map_err(|error| Error::new("open", object(Some(&name)), error))?;
        Ok(MessageQueue::received(fd, Some(name)))
    }
}
