use mp_os::{
    Result,
    sysv::{self, Listed},
};

/// All queues of this IPC namespace, as `/proc/sysvipc/msg` and `ipcs -q` show them.
///
/// # Errors
///
/// [`NotFound`](std::io::ErrorKind::NotFound) where the kernel has no System V queues or `/proc` is not mounted.
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
    sysv::list("msg", "System V message queues")
}
