use mp_os::{
    Result,
    sysv::{self, Listed},
};

/// All sets of this IPC namespace, as `/proc/sysvipc/sem` and `ipcs -s` show them.
///
/// # Errors
///
/// [`NotFound`](std::io::ErrorKind::NotFound) where the kernel has no System V semaphores or `/proc` is not mounted.
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
    sysv::list("sem", "System V semaphore sets")
}
