use std::{fs, io};

use mp_os::{Error, Result, sysv::Key};

/// A queue that exists, as [`list`] found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// The key it was created with.
    pub key: Key,
    /// The identifier for [`MessageQueue::from_id`](super::MessageQueue::from_id).
    pub id: i32,
}

/// All queues of this IPC namespace, as `/proc/sysvipc/msg` and `ipcs -q` show them.
///
/// # Errors
///
/// [`NotFound`](io::ErrorKind::NotFound) where the kernel has no System V queues or `/proc` is not mounted.
///
/// # Examples
///
/// ```
/// use mp_mqueue::sysv::{self, Key, MessageQueue};
///
/// let queue = MessageQueue::create_new(Key::PRIVATE)?;
/// assert!(sysv::list()?.iter().any(|listed| listed.id == queue.id()));
/// # Ok::<(), mp_mqueue::Error>(())
/// ```
pub fn list() -> Result<Vec<Listed>> {
    let fail = |error| Error::new("list", "System V message queues", error);
    let table = fs::read_to_string("/proc/sysvipc/msg").map_err(fail)?;
    let entries: Option<Vec<_>> = table.lines().skip(1).map(entry).collect();
    entries.ok_or_else(|| fail(io::ErrorKind::InvalidData.into()))
}

/// The first two columns: key and identifier.
fn entry(line: &str) -> Option<Listed> {
    let mut columns = line.split_whitespace();
    let key = columns.next()?.parse().ok()?;
    Some(Listed { key: Key::new(key), id: columns.next()?.parse().ok()? })
}
