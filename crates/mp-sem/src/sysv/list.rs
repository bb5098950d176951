use std::{fs, io};

use mp_os::{Error, Result, sysv::Key};

/// A set that exists, as [`list`] found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// The key it was created with.
    pub key: Key,
    /// The identifier for [`SemaphoreSet::from_id`](super::SemaphoreSet::from_id).
    pub id: i32,
}

/// All sets of this IPC namespace, as `/proc/sysvipc/sem` and `ipcs -s` show them.
///
/// # Errors
///
/// [`NotFound`](io::ErrorKind::NotFound) where the kernel has no System V semaphores or `/proc` is not mounted.
///
/// # Examples
///
/// ```
/// use mp_sem::sysv::{self, Key, SemaphoreSet};
///
/// let set = SemaphoreSet::create_new(Key::PRIVATE, &[1])?;
/// assert!(sysv::list()?.iter().any(|listed| listed.id == set.id()));
/// # Ok::<(), mp_sem::Error>(())
/// ```
pub fn list() -> Result<Vec<Listed>> {
    let fail = |error| Error::new("list", "System V semaphore sets", error);
    let table = fs::read_to_string("/proc/sysvipc/sem").map_err(fail)?;
    let entries: Option<Vec<_>> = table.lines().skip(1).map(entry).collect();
    entries.ok_or_else(|| fail(io::ErrorKind::InvalidData.into()))
}

/// The first two columns: key and identifier.
fn entry(line: &str) -> Option<Listed> {
    let mut columns = line.split_whitespace();
    let key = columns.next()?.parse().ok()?;
    Some(Listed { key: Key::new(key), id: columns.next()?.parse().ok()? })
}
