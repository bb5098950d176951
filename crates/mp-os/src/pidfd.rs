use std::{
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd},
        unix::process::ExitStatusExt,
    },
    process::ExitStatus,
};

use crate::{
    Deadline, Error, Result,
    poll::{self, Interest},
    sys,
};

/// A process, by a descriptor that never comes to mean another one.
///
/// Readable (in `poll(2)`, `epoll(7)`, tokio) from the moment the process is dead, reaped or not. By then the kernel has
/// already released its file locks, closed its descriptors and marked the robust locks it held.
///
/// # Examples
///
/// ```
/// use mp_os::{Deadline, PidFd};
///
/// let child = std::process::Command::new("true").spawn()?;
/// let process = PidFd::open(child.id())?;
/// process.wait_exit(Deadline::never())?;
/// assert!(process.reap()?.expect("dead").success());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// `pidfd_open(2)`—The process that has the number `pid` now.
    ///
    /// Only for a process that cannot be reaped meanwhile, such as a child of ours that nobody has waited for yet;
    /// another one may have got the number.
    ///
    /// # Errors
    ///
    /// `ESRCH` where there is no such process, `EMFILE` at the limit of descriptors, `ENOSYS` or `EPERM` where a seccomp
    /// profile forbids the call.
    #[doc(alias = "pidfd_open")]
    pub fn open(pid: u32) -> Result<Self> {
        sys::pidfd_open(pid)
            .map(Self)
            .map_err(|error| Error::new("open", format!("process {pid}"), error))
    }

    /// `pidfd_send_signal(2)`—Sends `signal` to the process; zero only asks whether it may be signalled.
    ///
    /// # Errors
    ///
    /// `ESRCH` once the process is reaped, `EPERM` where it may not be signalled, `EINVAL` for an unknown signal.
    #[doc(alias = "pidfd_send_signal")]
    pub fn send_signal(&self, signal: i32) -> io::Result<()> {
        sys::pidfd_send_signal(self.as_fd(), signal)
    }

    /// Waits until the process is dead: true once it is, false when `deadline` has passed first.
    ///
    /// It may be anybody's child, and it stays a zombie until its parent [reaps](Self::reap) it.
    ///
    /// # Errors
    ///
    /// What `ppoll(2)` fails with.
    pub fn wait_exit(&self, deadline: Deadline) -> io::Result<bool> {
        poll::wait(self.as_fd(), Interest::Readable, deadline)
    }

    /// Whether the process is dead, reaped or not.
    ///
    /// # Errors
    ///
    /// What `ppoll(2)` fails with.
    pub fn has_exited(&self) -> io::Result<bool> {
        self.wait_exit(Deadline::after(std::time::Duration::ZERO))
    }

    /// `waitid(2)` with `P_PIDFD`—Reaps the process and tells how it ended; `None` while it runs.
    ///
    /// Where somebody else has reaped it, or `SIGCHLD` is ignored so that the kernel did, the answer comes from
    /// `PIDFD_GET_INFO` (Linux 6.15), and so it does for a process that is not our child once its parent reaped it.
    ///
    /// # Errors
    ///
    /// `ECHILD` where the status is gone: reaped by somebody else on a kernel without `PIDFD_GET_INFO`.
    #[doc(alias = "waitid")]
    pub fn reap(&self) -> io::Result<Option<ExitStatus>> {
        match sys::waitid_pidfd(self.as_fd()) {
            Err(error) if error.raw_os_error() == Some(nix::libc::ECHILD) => {
                if !self.has_exited()? {
                    return Ok(None);
                }
                sys::pidfd_exit_code(self.as_fd()).map_err(|_| error)
            }
            status => status,
        }
        .map(|status| status.map(ExitStatus::from_raw))
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for PidFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// The descriptor must be a pidfd; the operations of any other one fail with `EBADF` or `EINVAL`.
impl From<OwnedFd> for PidFd {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<PidFd> for OwnedFd {
    fn from(pidfd: PidFd) -> Self {
        pidfd.0
    }
}

impl IntoRawFd for PidFd {
    fn into_raw_fd(self) -> RawFd {
        self.0.into_raw_fd()
    }
}

impl FromRawFd for PidFd {
    #[expect(unsafe_code, reason = "the trait's own contract, passed on")]
    unsafe fn from_raw_fd(fd: RawFd) -> Self {
        // SAFETY: the caller owns the descriptor, by the contract of this very function.
        Self(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn signal_wait_and_reap() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let process = PidFd::open(child.id()).unwrap();
        assert!(!process.has_exited().unwrap());
        assert!(process.reap().unwrap().is_none());
        process.send_signal(nix::libc::SIGKILL).unwrap();
        assert!(process.wait_exit(Deadline::never()).unwrap());
        assert_eq!(process.reap().unwrap().unwrap().signal(), Some(nix::libc::SIGKILL));
        assert_eq!(process.send_signal(0).unwrap_err().raw_os_error(), Some(nix::libc::ESRCH));
        // Already reaped: this only closes the pipe.
        drop(child.stdin.take());
        assert!(child.wait().is_err());
    }

    #[test]
    fn a_status_somebody_else_took_is_still_told() {
        let mut child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let process = PidFd::open(child.id()).unwrap();
        child.wait().unwrap();
        match process.reap() {
            Ok(status) => assert_eq!(status.unwrap().code(), Some(7)),
            // Before Linux 6.15 the kernel does not keep it.
            Err(error) => assert_eq!(error.raw_os_error(), Some(nix::libc::ECHILD)),
        }
    }
}
