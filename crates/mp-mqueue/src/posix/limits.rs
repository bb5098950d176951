use std::{fs, io};

use mp_os::{Error, Result};
use nix::{
    libc,
    sys::resource::{RLIM_INFINITY, Resource, getrlimit},
};

use super::sys::Creation;
use crate::limit;

/// What bounds queues: `/proc/sys/fs/mqueue` of this IPC namespace, and `RLIMIT_MSGQUEUE`.
///
/// # Examples
///
/// ```
/// let limits = mp_mqueue::posix::Limits::read()?;
/// println!("at most {} messages of {} bytes", limits.msg_max, limits.msgsize_max);
/// # Ok::<(), mp_mqueue::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest capacity of a queue, in messages. A process with `CAP_SYS_RESOURCE` may go to 65536.
    pub msg_max: u64,
    /// The largest message size of a queue, in bytes. A process with `CAP_SYS_RESOURCE` may go to 16 MiB.
    pub msgsize_max: u64,
    /// How many queues there may be in the namespace. A process with `CAP_SYS_RESOURCE` may go beyond.
    pub queues_max: u64,
    /// `RLIMIT_MSGQUEUE`: how many bytes all queues of the user may take, `None` for any number. A queue counts with
    /// capacity × (message size + 8) bytes and 48 for each of its first 32768 messages.
    pub bytes_max: Option<u64>,
}

const DIRECTORY: &str = "/proc/sys/fs/mqueue";

impl Limits {
    /// Reads them as they are now.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) where the kernel has no message queues or `/proc` is not mounted.
    pub fn read() -> Result<Self> {
        let bytes_max = getrlimit(Resource::RLIMIT_MSGQUEUE)
            .map_err(|error| Error::new("read", "limit `RLIMIT_MSGQUEUE`", error.into()))?
            .0;
        let read = |limit| limit::read(DIRECTORY, limit);
        Ok(Self {
            msg_max: read("msg_max")?,
            msgsize_max: read("msgsize_max")?,
            queues_max: read("queues_max")?,
            bytes_max: (bytes_max != RLIM_INFINITY).then_some(bytes_max),
        })
    }
}

/// The error of a creation, with a hint where a limit is the cause.
pub(super) fn explain(object: &str, creation: &Creation, error: io::Error) -> Error {
    let hint = hint(creation, error.raw_os_error());
    let error = Error::new("create", object, error);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn hint(creation: &Creation, errno: Option<i32>) -> Option<String> {
    // Linux answers the same to a full table of descriptors and to a used-up budget of bytes. With a full table the limits
    // cannot be read either.
    if errno == Some(libc::EMFILE) && fs::File::open("/").is_err() {
        let hint = "the process has no descriptor left (`ulimit -n`, RLIMIT_NOFILE)";
        return Some(hint.to_owned());
    }
    let limits = Limits::read().ok()?;
    let (capacity, message_size) =
        (creation.capacity.unsigned_abs(), creation.message_size.unsigned_abs());
    match errno? {
        libc::EINVAL if capacity > limits.msg_max => Some(format!(
            "the capacity is {capacity}, of which `{DIRECTORY}/msg_max` allows {}",
            limits.msg_max
        )),
        libc::EINVAL if message_size > limits.msgsize_max => Some(format!(
            "the message size is {message_size}, of which `{DIRECTORY}/msgsize_max` allows {}",
            limits.msgsize_max
        )),
        libc::EMFILE => Some(format!(
            "the queue takes about {} bytes, and all queues of the user may take {} \
             (`ulimit -q`, RLIMIT_MSGQUEUE)",
            capacity.saturating_mul(message_size.saturating_add(56)),
            limits.bytes_max.map_or_else(|| "any number".to_owned(), |bytes| bytes.to_string()),
        )),
        libc::ENOSPC => Some(format!(
            "`{DIRECTORY}/queues_max` allows {} queues in this IPC namespace",
            limits.queues_max
        )),
        _ => None,
    }
}
