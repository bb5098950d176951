use std::{fs, io};

use mp_os::{Error, Result};

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

impl Limits {
    /// Reads them as they are now.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) where the kernel has no System V queues or `/proc` is not mounted.
    pub fn read() -> Result<Self> {
        Ok(Self { msgmax: read("msgmax")?, msgmnb: read("msgmnb")?, msgmni: read("msgmni")? })
    }
}

fn read(limit: &str) -> Result<u64> {
    let path = format!("/proc/sys/kernel/{limit}");
    let fail = |error| Error::new("read", format!("limit `{path}`"), error);
    let text = fs::read_to_string(&path).map_err(fail)?;
    text.trim().parse().map_err(|error| fail(io::Error::new(io::ErrorKind::InvalidData, error)))
}

/// Adds `hint` with the limits of now, if they can be read.
pub(super) fn with_hint(error: Error, hint: impl FnOnce(Limits) -> String) -> Error {
    match Limits::read() {
        Ok(limits) => error.with_hint(hint(limits)),
        Err(_) => error,
    }
}
