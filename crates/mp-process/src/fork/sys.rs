//! Copies of the program's process.
//!
//! # Safety
//!
//! [`fork_checked`] is called where the process was found to have one thread, the caller's, beside this crate's own,
//! which waits without holding anything. [`fork_unchecked`] passes the question on.

#![allow(unsafe_code, reason = "fork")]

use std::{os::fd::OwnedFd, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use crate::{Builder, Child, SpawnError, clone, process::Process, setup::Setup};

/// Forks a process that has been found to have one thread.
pub(super) fn fork_checked<R: Serialize>(
    setup: &Setup,
    fds: Vec<OwnedFd>,
    task: impl FnOnce() -> R,
) -> Result<Arc<Process>, SpawnError> {
    // SAFETY: no other thread holds a lock that the child could need, as the module says.
    super::run(|| unsafe { clone::fork() }, setup, fds, task)
}

/// [`fork`](crate::fork()) whatever the number of threads.
///
/// # Errors
///
/// [`SpawnError::Os`] at a limit of the system.
///
/// # Safety
///
/// Where this process has other threads, `task` must not use anything that one of them may have locked at this moment:
/// standard streams, the environment, the allocator where it is not the C library's, locks and `OnceLock`s of any library.
/// A task that does hangs or finds half-changed data.
pub unsafe fn fork_unchecked<R: Serialize + DeserializeOwned>(
    task: impl FnOnce() -> R,
) -> Result<Child<R>, SpawnError> {
    // SAFETY: the caller's contract.
    let start = |setup: &Setup, fds| super::run(|| unsafe { clone::fork() }, setup, fds, task);
    Builder::new().start_copy(|setup, fds, _| start(setup, fds))
}
