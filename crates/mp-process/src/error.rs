use std::{error, fmt, sync::Arc};

use mp_os::Error;
use mp_signal::Signal;
use nix::libc;

use crate::{Child, EncodeError, Panic, TaskError};

/// How a process ended that gave no result.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ProcessError {
    /// It exited with this code, without a result: the task called [`std::process::exit`].
    Exited(i32),
    /// A signal killed it.
    Signaled {
        /// The signal.
        signal: Signal,
        /// Whether a core file was written.
        core_dumped: bool,
        /// Whether it was probably the kernel, for want of memory: nobody of this process sent the `SIGKILL`, and the
        /// machine's count of such kills rose.
        out_of_memory: bool,
    },
    /// The task panicked. Without `panic = "abort"` the process exits with code 101.
    Panicked(Panic),
    /// The arguments could not be decoded in the child: their [`Deserialize`](serde::Deserialize) refuses what their
    /// [`Serialize`](serde::Serialize) wrote.
    ArgumentsUndecodable(String),
    /// The task returned, but its result could not be encoded there or decoded here.
    Undecodable(String),
    /// Nobody knows: somebody else reaped it, on a kernel that does not keep the status (before Linux 6.15).
    Lost,
    /// The operating system refused to tell, or to hand over the result.
    Os(Arc<Error>),
}

impl From<Error> for ProcessError {
    fn from(error: Error) -> Self {
        Self::Os(Arc::new(error))
    }
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Signaled { signal, core_dumped, out_of_memory } => {
                write!(f, "killed by {}", signal.name())?;
                if *out_of_memory {
                    return f.write_str(", probably by the out-of-memory killer");
                }
                if *signal != Signal::KILL {
                    write!(f, " ({})", signal.description().to_lowercase())?;
                }
                f.write_str(if *core_dumped { ", core dumped" } else { "" })
            }
            Self::Panicked(panic) => panic.fmt(f),
            Self::ArgumentsUndecodable(reason) => {
                write!(f, "the arguments could not be decoded in the child: {reason}")
            }
            Self::Undecodable(reason) => write!(f, "the result did not arrive: {reason}"),
            Self::Lost => f.write_str(
                "ended, and somebody else took its exit status; do not wait for any child (`waitpid(-1)`) \
                 and do not ignore SIGCHLD",
            ),
            Self::Os(error) => error.fmt(f),
        }
    }
}

impl error::Error for ProcessError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Os(error) => error.source(),
            _ => None,
        }
    }
}

/// Why a process could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpawnError {
    /// The task is not a function of this executable.
    Task(TaskError),
    /// The arguments could not be serialized. Nothing was started or sent.
    Arguments(EncodeError),
    /// This process has so many threads, of which [`fork`](crate::fork()) would copy one: locks that the others hold
    /// would stay locked in the child.
    MultiThreaded(usize),
    /// The fork server died, and so did the ones that replaced it.
    ServerDied,
    /// The deadline passed first. Nothing was started, and a fork server that did not answer will be replaced.
    TimedOut,
    /// The new process did not come to its task: it ended, or ran something else.
    NotEntered(String),
    /// The operating system refused.
    Os(Error),
}

impl SpawnError {
    /// The error of a call that makes a process.
    pub(crate) fn start(error: std::io::Error) -> Self {
        let hint = match error.raw_os_error() {
            Some(libc::EAGAIN) => {
                "the limit of processes is reached: RLIMIT_NPROC of the user, pids.max of the cgroup, or pid_max"
            }
            Some(libc::EMFILE) => "the limit of open descriptors is reached: RLIMIT_NOFILE",
            Some(libc::ENOENT) => {
                "/proc must be mounted: the executable is found as /proc/self/exe"
            }
            _ => return Self::Os(Error::new("start", "process", error)),
        };
        Self::Os(Error::new("start", "process", error).with_hint(hint))
    }
}

impl From<Error> for SpawnError {
    fn from(error: Error) -> Self {
        Self::Os(error)
    }
}

impl From<TaskError> for SpawnError {
    fn from(error: TaskError) -> Self {
        Self::Task(error)
    }
}

impl From<EncodeError> for SpawnError {
    fn from(error: EncodeError) -> Self {
        Self::Arguments(error)
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed to start a process: ")?;
        match self {
            Self::Task(error) => error.fmt(f),
            Self::Arguments(error) => write!(f, "the arguments could not be serialized: {error}"),
            Self::MultiThreaded(threads) => write!(
                f,
                "this one has {threads} threads, and fork copies only the caller's: what the others have locked would \
                 stay locked in the child; use another start method, or fork before the first thread"
            ),
            Self::ServerDied => f.write_str("the fork server died, three times in a row"),
            Self::TimedOut => f.write_str("the deadline passed"),
            Self::NotEntered(reason) => f.write_str(reason),
            Self::Os(error) => error.fmt(f),
        }
    }
}

impl error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Task(error) => Some(error),
            Self::Arguments(error) => Some(error),
            Self::Os(error) => error::Error::source(error),
            Self::MultiThreaded(_) | Self::ServerDied | Self::TimedOut | Self::NotEntered(_) => {
                None
            }
        }
    }
}

/// Why a bounded [`join`](Child::join) gave no result.
pub enum JoinTimeoutError<R> {
    /// The process still runs; here it is again.
    TimedOut(Child<R>),
    /// The process ended without a result.
    Process(ProcessError),
}

impl<R> From<ProcessError> for JoinTimeoutError<R> {
    fn from(error: ProcessError) -> Self {
        Self::Process(error)
    }
}

impl<R> fmt::Debug for JoinTimeoutError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(child) => f.debug_tuple("TimedOut").field(child).finish(),
            Self::Process(error) => f.debug_tuple("Process").field(error).finish(),
        }
    }
}

impl<R> fmt::Display for JoinTimeoutError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(child) => write!(f, "process {} still runs", child.pid()),
            Self::Process(error) => error.fmt(f),
        }
    }
}

impl<R> error::Error for JoinTimeoutError<R> {}
