use std::{fs, io};

use mp_os::{Error, Result};

/// What bounds semaphores: `/proc/sys/kernel/sem` of this IPC namespace.
///
/// # Examples
///
/// ```
/// let limits = mp_sem::sysv::Limits::read()?;
/// println!("at most {} semaphores a set, {} operations a step", limits.semmsl, limits.semopm);
/// # Ok::<(), mp_sem::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How many semaphores a set has at most.
    pub semmsl: u64,
    /// How many semaphores there may be in all sets.
    pub semmns: u64,
    /// How many operations can be done in one step.
    pub semopm: u64,
    /// How many sets there may be.
    pub semmni: u64,
}

impl Limits {
    /// Reads them as they are now.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) where the kernel has no System V semaphores or `/proc` is not mounted.
    pub fn read() -> Result<Self> {
        let path = "/proc/sys/kernel/sem";
        let fail = |error| Error::new("read", format!("limits `{path}`"), error);
        let text = fs::read_to_string(path).map_err(fail)?;
        let mut numbers = text.split_whitespace().map(str::parse);
        let mut next = || numbers.next().and_then(std::result::Result::ok);
        let limits =
            (|| Some(Self { semmsl: next()?, semmns: next()?, semopm: next()?, semmni: next()? }))(
            );
        limits.ok_or_else(|| fail(io::ErrorKind::InvalidData.into()))
    }
}
