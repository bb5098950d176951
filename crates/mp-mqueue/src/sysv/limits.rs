use mp_os::Result;

use crate::limit;

/// What bounds queues: `/proc/sys/kernel/msg*` of this IPC namespace.
///
/// # Examples
///
/// ```
/// let limits = mp_mqueue::sysv::Limits::read()?;
/// println!("at most {} bytes a message, {} a queue", limits.msgmax, limits.msgmnb);
/// # Ok::<(), mp_mqueue::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The size of the largest message, in bytes.
    pub msgmax: u64,
    /// The capacity of a new queue, in bytes, and the largest one without `CAP_SYS_RESOURCE`.
    pub msgmnb: u64,
    /// How many queues there may be.
    pub msgmni: u64,
}

const DIRECTORY: &str = "/proc/sys/kernel";

impl Limits {
    /// Reads them as they are now.
    ///
    /// # Errors
    ///
    /// [`NotFound`](std::io::ErrorKind::NotFound) where the kernel has no System V queues or `/proc` is not mounted.
    pub fn read() -> Result<Self> {
        let read = |limit| limit::read(DIRECTORY, limit);
        Ok(Self { msgmax: read("msgmax")?, msgmnb: read("msgmnb")?, msgmni: read("msgmni")? })
    }
}
