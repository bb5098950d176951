//! A child process: who it is, how it ended, and signals to it.

use std::{
    io,
    net::Shutdown,
    os::{fd::AsFd, unix::process::ExitStatusExt},
    process::ExitStatus,
};

use mp_os::{Deadline, Error, PidFd, Result};
use mp_signal::Signal;
use mp_socket::SeqpacketSocket;
use nix::libc;
use parking_lot::Mutex;

use crate::{clone::NewProcess, oom, sys};

/// How a process ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Status {
        status: ExitStatus,
        /// Whether the kernel ran out of memory when it was killed.
        out_of_memory: bool,
    },
    /// Somebody else reaped it, and the kernel does not keep the status.
    Lost,
}

/// A child of this process, until it is reaped and after.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    pidfd: PidFd,
    /// The parent's end of the connection with it. Closing it ends the process: see [`sys::die_with_peer`].
    socket: SeqpacketSocket,
    /// The process that started it: a copy of that one may hold this too, and is not its parent.
    parent: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How it ended, once it is reaped. From then on its number may mean another process.
    end: Option<End>,
    /// We sent it `SIGKILL` ourselves.
    killed: bool,
    /// It is a guard, which must not be killed before those that it guards.
    is_guarded: bool,
}

impl Process {
    pub(crate) fn new(NewProcess { pid, pidfd }: NewProcess, socket: SeqpacketSocket) -> Self {
        Self { pid, pidfd, socket, parent: std::process::id(), state: Mutex::default() }
    }

    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) const fn socket(&self) -> &SeqpacketSocket {
        &self.socket
    }

    /// Whether this process may reap it.
    pub(crate) fn is_ours(&self) -> bool {
        self.parent == std::process::id()
    }

    /// It is a guard: see [`crate::guard`].
    pub(crate) fn set_guarded(&self) {
        self.state.lock().is_guarded = true;
    }

    /// Waits until it is dead: false when `deadline` has passed first.
    pub(crate) fn wait(&self, deadline: Deadline) -> Result<bool> {
        self.pidfd.wait_exit(deadline).map_err(|error| self.error("wait for", error))
    }

    /// How it ended; `None` while it runs. Reaps it.
    pub(crate) fn end(&self) -> Result<Option<End>> {
        let mut state = self.state.lock();
        if state.end.is_none() {
            state.end = match self.pidfd.reap() {
                Ok(status) => status.map(|status| {
                    let killed = status.signal() == Some(libc::SIGKILL) && !state.killed;
                    End::Status { status, out_of_memory: killed && oom::explains_a_kill() }
                }),
                Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Some(End::Lost),
                Err(error) => return Err(self.error("wait for", error)),
            };
        }
        Ok(state.end)
    }

    /// Sends `signal`, unless it is reaped (`ESRCH`).
    pub(crate) fn send_signal(&self, signal: Signal) -> Result<()> {
        // Held meanwhile, so that it is not reaped between the check and the fallback's use of its number.
        let mut state = self.state.lock();
        let sent = match state.end {
            Some(_) => Err(io::Error::from_raw_os_error(libc::ESRCH)),
            None if signal == Signal::KILL && state.is_guarded => {
                // The end of the connection has it end all that it guards, and itself; it must run for that.
                self.socket.shutdown(Shutdown::Write)?;
                self.pidfd.send_signal(libc::SIGCONT)
            }
            None => self.pidfd.send_signal(signal.as_raw()),
        };
        let sent = match sent {
            // A seccomp profile that does not know the call, or a real refusal, which `kill` repeats.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                let is_ended = signal == Signal::KILL && state.is_guarded;
                sys::kill(self.pid, if is_ended { libc::SIGCONT } else { signal.as_raw() })
            }
            sent => sent,
        };
        sent.map_err(|error| self.error("signal", error))?;
        state.killed |= signal == Signal::KILL;
        Ok(())
    }

    fn error(&self, verb: &'static str, error: io::Error) -> Error {
        Error::new(verb, format!("process {}", self.pid), error)
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}
