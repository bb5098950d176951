//! A command that sees some system calls fail, as under the seccomp profile of a container.

use std::{ffi::OsString, io, os::unix::process::CommandExt, process::Command};

use clap::{Args, ValueEnum};
use nix::libc;

use crate::sys;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// What the denied calls fail with
    #[arg(long, ignore_case = true)]
    errno: Errno,
    /// The calls to deny, separated by commas
    #[arg(long, required = true, value_delimiter = ',')]
    calls: Vec<Call>,
    /// The command and its arguments
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

/// Older profiles answer `EPERM`, newer ones `ENOSYS`, as a kernel does that has not got the call.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "UPPER")]
enum Errno {
    Enosys,
    Eperm,
}

impl Errno {
    const fn number(self) -> i32 {
        match self {
            Self::Enosys => libc::ENOSYS,
            Self::Eperm => libc::EPERM,
        }
    }
}

/// The calls that programs do without where they are denied.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Call {
    Clone3,
    CloseRange,
    FutexWaitv,
    Membarrier,
    MemfdCreate,
    Openat2,
    PidfdGetfd,
    PidfdOpen,
    PidfdSendSignal,
    Unshare,
}

impl Call {
    const fn number(self) -> libc::c_long {
        match self {
            Self::Clone3 => libc::SYS_clone3,
            Self::CloseRange => libc::SYS_close_range,
            Self::FutexWaitv => libc::SYS_futex_waitv,
            Self::Membarrier => libc::SYS_membarrier,
            Self::MemfdCreate => libc::SYS_memfd_create,
            Self::Openat2 => libc::SYS_openat2,
            Self::PidfdGetfd => libc::SYS_pidfd_getfd,
            Self::PidfdOpen => libc::SYS_pidfd_open,
            Self::PidfdSendSignal => libc::SYS_pidfd_send_signal,
            Self::Unshare => libc::SYS_unshare,
        }
    }
}

/// Denies the calls to this process and becomes the command; comes back with the reason where that fails.
pub(crate) fn run(arguments: &Arguments) -> io::Error {
    let calls: Vec<_> = arguments.calls.iter().map(|call| call.number()).collect();
    if let Err(error) = sys::deny(&calls, arguments.errno.number()) {
        return io::Error::new(
            error.kind(),
            format!("failed to install the seccomp filter: {error}"),
        );
    }
    let (program, rest) = arguments.command.split_first().expect("clap requires a command");
    let error = Command::new(program).args(rest).exec();
    io::Error::new(error.kind(), format!("failed to run `{}`: {error}", program.display()))
}

#[cfg(test)]
mod tests {
    use mp_os::PidFd;

    use super::*;

    #[test]
    fn a_denied_call_fails_with_the_errno_and_others_work() {
        mp_testkit::isolated(|| {
            drop(PidFd::open(std::process::id()).unwrap());
            for errno in [Errno::Enosys, Errno::Eperm] {
                // The newest filter is asked first, and the one that denies wins over the one that allows: each has
                // its thread, with which it ends.
                let denied = move || {
                    sys::deny(&[Call::PidfdOpen.number()], errno.number()).unwrap();
                    assert!(io::pipe().is_ok());
                    PidFd::open(std::process::id()).unwrap_err().raw_os_error()
                };
                let denied = std::thread::spawn(denied).join().unwrap();
                assert_eq!(denied, Some(errno.number()));
            }
            drop(PidFd::open(std::process::id()).unwrap());
        });
    }
}
