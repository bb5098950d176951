use std::io;

use mp_os::{
    Error, Owner, Result, create_or_open,
    sysv::{Key, WaitError},
};
use nix::libc;

use super::{
    Limits,
    queue::{Inner, MessageQueue},
    sys,
};

/// How to create a queue: what only a creator may say.
///
/// # Examples
///
/// ```
/// use mp_mqueue::sysv::{CreateOptions, Key};
///
/// let queue = CreateOptions::new().mode(0o660).capacity(1024).create_new(Key::PRIVATE)?;
/// assert_eq!(queue.stat()?.capacity, 1024);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CreateOptions {
    mode: u32,
    capacity: Option<usize>,
}

impl CreateOptions {
    /// Mode 0600, and the capacity that the kernel gives (`kernel.msgmnb`, usually 16384 bytes).
    pub const fn new() -> Self {
        Self { mode: 0o600, capacity: None }
    }

    /// The permission bits; the umask takes none away. Default: 0600.
    #[must_use]
    pub const fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// How many bytes the queue holds before a sender waits (`msg_qbytes`). Default: `kernel.msgmnb`.
    #[doc(alias = "msg_qbytes")]
    #[must_use]
    pub const fn capacity(mut self, bytes: usize) -> Self {
        self.capacity = Some(bytes);
        self
    }

    /// `msgget(IPC_CREAT | IPC_EXCL)`—Creates a queue that must not exist yet, and owns it.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists); [`InvalidInput`](io::ErrorKind::InvalidInput) for a bad mode;
    /// `ENOSPC` at the limit of queues and [`PermissionDenied`](io::ErrorKind::PermissionDenied) for a capacity above
    /// `kernel.msgmnb`, both with a hint.
    #[doc(alias = "msgget")]
    pub fn create_new(&self, key: Key) -> Result<MessageQueue> {
        if self.mode & !0o777 != 0 {
            let reason = "the mode has more than the permission bits";
            return Err(Error::invalid_input("create", object(key), reason));
        }
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | self.mode.cast_signed();
        let id = sys::get(key.as_raw(), flags).map_err(|error| explain(key, error))?;
        // From here on a failure drops the owner, which removes the queue.
        let queue: MessageQueue = Inner { id, key, owner: Owner::this_process() }.into();
        match self.capacity.map(|bytes| queue.set_capacity(bytes)) {
            Some(Err(WaitError::Os(error))) => Err(error),
            Some(Err(removed)) => Err(Error::new("create", object(key), removed.into())),
            _ => Ok(queue),
        }
    }

    /// `msgget(IPC_CREAT)`—Opens the queue, or creates and owns it where there is none.
    ///
    /// A queue that exists keeps its own capacity and mode; see [`is_owner`](MessageQueue::is_owner).
    ///
    /// # Errors
    ///
    /// As for [`create_new`](Self::create_new) and [`open`](MessageQueue::open), except that either outcome is fine.
    pub fn create(&self, key: Key) -> Result<MessageQueue> {
        create_or_open(|| self.create_new(key), || MessageQueue::open(key).map(Some))
    }
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// How to open a queue that exists: for which directions the permission is asked at once.
///
/// The kernel checks it at every operation again, so this only makes the error come early.
///
/// # Examples
///
/// ```
/// use mp_mqueue::sysv::{CreateOptions, Key, OpenOptions};
///
/// let key = Key::new(0x0051_0000 + std::process::id() as i32);
/// let queue = CreateOptions::new().create_new(key)?;
/// assert_eq!(OpenOptions::new().write(true).open(key)?.id(), queue.id());
/// # Ok::<(), mp_mqueue::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    read: bool,
    write: bool,
}

impl OpenOptions {
    /// No permission is asked for yet.
    pub const fn new() -> Self {
        Self { read: false, write: false }
    }

    /// To receive.
    #[must_use]
    pub const fn read(mut self, read: bool) -> Self {
        self.read = read;
        self
    }

    /// To send.
    #[must_use]
    pub const fn write(mut self, write: bool) -> Self {
        self.write = write;
        self
    }

    /// `msgget(2)`—Opens a queue that exists, and never removes it.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound), [`PermissionDenied`](io::ErrorKind::PermissionDenied),
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for [`Key::PRIVATE`], which finds no queue but makes one.
    #[doc(alias = "msgget")]
    pub fn open(&self, key: Key) -> Result<MessageQueue> {
        if key.is_private() {
            let reason = "a private key opens nothing; open the queue by its identifier";
            return Err(Error::invalid_input("open", object(key), reason));
        }
        let (read, write) = (i32::from(self.read) * 0o444, i32::from(self.write) * 0o222);
        let id = sys::get(key.as_raw(), read | write)
            .map_err(|error| Error::new("open", object(key), error))?;
        Ok(Inner { id, key, owner: Owner::nobody() }.into())
    }
}

fn object(key: Key) -> String {
    format!("message queue `{key}`")
}

fn explain(key: Key, error: io::Error) -> Error {
    let full = error.raw_os_error() == Some(libc::ENOSPC);
    let error = Error::new("create", object(key), error);
    if !full {
        return error;
    }
    error.with_hint_from(Limits::read(), |limits| {
        format!("`kernel.msgmni` allows {} queues in this IPC namespace", limits.msgmni)
    })
}
