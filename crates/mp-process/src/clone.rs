//! New processes, and the two ways to make a copy of this one.

mod sys;

use std::{io, sync::OnceLock};

use mp_os::PidFd;
use nix::libc;

use crate::sys::{kill, reap};

pub(crate) use self::sys::{Registration, clone_process, fork};

/// A new process.
#[derive(Debug)]
pub(crate) struct NewProcess {
    pub(crate) pid: u32,
    pub(crate) pidfd: PidFd,
}

/// In which process [`clone_process`] or [`fork`] returned.
#[derive(Debug)]
pub(crate) enum Side {
    /// The one that called.
    Parent(NewProcess),
    /// The copy.
    Child {
        /// Whether the C library's cached id of the thread is right. Otherwise nothing that asks for it, such as a
        /// recursive mutex, may run on this thread.
        tid_is_right: bool,
    },
}

/// A new child of ours, which nobody has waited for yet, so that the number is still its own.
pub(crate) fn adopt(pid: u32) -> io::Result<NewProcess> {
    match PidFd::open(pid) {
        Ok(pidfd) => Ok(NewProcess { pid, pidfd }),
        Err(error) => {
            // Nobody could wait for it: it must not run on.
            kill(pid, libc::SIGKILL)?;
            reap(pid)?;
            Err(error.into())
        }
    }
}

/// Whether `pidfd_open(2)` is allowed here, chosen once.
fn pidfd_open_works() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    if let Some(works) = WORKS.get() {
        return *works;
    }
    match PidFd::open(std::process::id()) {
        Ok(_) => *WORKS.get_or_init(|| true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
            *WORKS.get_or_init(|| false)
        }
        // A limit that is reached at this moment says nothing of the next.
        Err(_) => true,
    }
}
