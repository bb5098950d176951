use std::{
    error, fmt,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use mp_os::Deadline;
use mp_process::{Builder, Child, JoinTimeoutError, ProcessError, Signal, StartMethod};
use serde::{Serialize, de::DeserializeOwned};

use crate::Result;

/// A child process that runs one function, and the right to its result.
///
/// The function is a plain one or a closure that captures nothing: what it needs comes in its argument, which may hold
/// handles (queues, files in an [`Fd`](crate::Fd), ...). Nothing has to be called from `main`.
///
/// The child ends with this process, however that ends. Dropping the handle leaves the child running.
///
/// # Examples
///
/// ```
/// use mp_core::Process;
///
/// let child = Process::spawn(|(a, b): (u32, u32)| a + b, (40, 2))?;
/// assert_eq!(child.join()?, 42);
/// # Ok::<(), mp_core::Error>(())
/// ```
///
/// A closure that captures is refused by the compiler: "closures can only be coerced to `fn` types if they do not capture
/// any variables".
///
/// ```compile_fail,E0308
/// let two = 2;
/// mp_core::Process::spawn(|n: u32| n * two, 21);
/// ```
pub struct Process<R>(Child<R>);

impl<R> Process<R> {
    /// Starts a process that runs `function` on `argument`.
    ///
    /// # Errors
    ///
    /// [`Error::Spawn`](crate::Error::Spawn): the argument cannot be serialized, the function is not of this executable,
    /// or the operating system refuses another process.
    pub fn spawn<A>(function: fn(A) -> R, argument: A) -> Result<Self>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        Process::builder().spawn(function, argument)
    }

    /// The process id, which names the process until it is joined.
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// The name: `Process-1`, `Process-2`, ... unless the builder was given one.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Whether the process runs.
    pub fn is_alive(&self) -> bool {
        self.0.is_alive()
    }

    /// `None` while the process runs, then its exit code, or the negated number of the signal that ended it.
    #[doc(alias = "exitcode")]
    pub fn exit_code(&self) -> Option<i32> {
        self.0.exit_code()
    }

    /// Waits until `deadline` for the process to end: whether it has. Its result stays.
    ///
    /// # Errors
    ///
    /// Where the operating system refuses the wait.
    pub fn wait_deadline(&self, deadline: Instant) -> Result<bool> {
        Ok(self.0.wait(Deadline::at(deadline))?)
    }

    /// Asks the process to end, with `SIGTERM`.
    ///
    /// # Errors
    ///
    /// Where the operating system refuses. A process that has ended is no error.
    pub fn terminate(&self) -> Result<()> {
        self.send_signal(Signal::TERM)
    }

    /// Ends the process with `SIGKILL`, which it cannot refuse.
    ///
    /// # Errors
    ///
    /// Where the operating system refuses. A process that has ended is no error.
    pub fn kill(&self) -> Result<()> {
        self.send_signal(Signal::KILL)
    }

    /// Sends `signal` to the process.
    ///
    /// # Errors
    ///
    /// Where the operating system refuses. A process that has ended is no error.
    pub fn send_signal(&self, signal: Signal) -> Result<()> {
        match self.0.send_signal(signal) {
            // It ended before: what was wanted is so.
            Err(_) if !self.is_alive() => Ok(()),
            sent => Ok(sent?),
        }
    }
}

impl<R: DeserializeOwned> Process<R> {
    /// Waits for the process to end and returns what its function returned.
    ///
    /// # Errors
    ///
    /// [`ProcessError`], which says how it ended instead: by a panic, an exit, a signal.
    pub fn join(self) -> Result<R, ProcessError> {
        self.0.join()
    }

    /// The result of the function if the process has ended.
    ///
    /// # Errors
    ///
    /// [`JoinError::TimedOut`] with the process where it has not; otherwise as for [`join`](Self::join).
    pub fn try_join(self) -> Result<R, JoinError<R>> {
        self.join_timeout(Duration::ZERO)
    }

    /// Waits up to `timeout` for the process to end.
    ///
    /// # Errors
    ///
    /// [`JoinError::TimedOut`] with the process when that has passed; otherwise as for [`join`](Self::join).
    pub fn join_timeout(self, timeout: Duration) -> Result<R, JoinError<R>> {
        self.0.join_timeout(timeout).map_err(JoinError::from)
    }

    /// Waits until `deadline` for the process to end.
    ///
    /// # Errors
    ///
    /// [`JoinError::TimedOut`] with the process when that has passed; otherwise as for [`join`](Self::join).
    pub fn join_deadline(self, deadline: Instant) -> Result<R, JoinError<R>> {
        self.0.join_deadline(deadline).map_err(JoinError::from)
    }
}

impl Process<()> {
    /// A process with a name, another start method, ...
    pub fn builder() -> ProcessBuilder {
        ProcessBuilder(Builder::new())
    }

    /// Starts a process that is a copy of this one and runs `function`, captures included, on copies of all it has.
    ///
    /// # Errors
    ///
    /// [`Error::Spawn`](crate::Error::Spawn) where this process has more than one thread, since the copy would have only
    /// one, and whatever the others hold locked would stay locked in it.
    pub fn fork<R>(function: impl FnOnce() -> R) -> Result<Process<R>>
    where
        R: Serialize + DeserializeOwned + 'static,
    {
        Ok(Process(mp_process::fork(function)?))
    }
}

/// Readable once the process has ended: Python's sentinel, for `poll(2)`, `epoll(7)` and the like.
impl<R> AsFd for Process<R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<R> fmt::Debug for Process<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("name", &self.name()).field("pid", &self.pid()).finish()
    }
}

/// How a [`Process`] is started.
///
/// # Examples
///
/// ```
/// use mp_core::{Process, StartMethod};
///
/// let child = Process::builder().name("worker").start_method(StartMethod::Spawn).spawn(|()| (), ())?;
/// assert_eq!(child.name(), "worker");
/// child.join()?;
/// # Ok::<(), mp_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct ProcessBuilder(Builder);

impl ProcessBuilder {
    /// The name of the process, which `ps(1)` shows.
    pub fn name(self, name: impl Into<String>) -> Self {
        Self(self.0.name(name))
    }

    /// How the process is started; by default from a fork server.
    pub fn start_method(self, method: StartMethod) -> Self {
        Self(self.0.start_method(method))
    }

    /// Starts the process: see [`Process::spawn`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn spawn<A, R>(self, function: fn(A) -> R, argument: A) -> Result<Process<R>>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        Ok(Process(self.0.spawn(function, argument)?))
    }
}

/// Why a [`Process`] gave no result before the deadline.
#[non_exhaustive]
pub enum JoinError<R> {
    /// The deadline passed; the process runs.
    TimedOut(Process<R>),
    /// The process ended without a result.
    Process(ProcessError),
}

impl<R> From<JoinTimeoutError<R>> for JoinError<R> {
    fn from(error: JoinTimeoutError<R>) -> Self {
        match error {
            JoinTimeoutError::TimedOut(child) => Self::TimedOut(Process(child)),
            JoinTimeoutError::Process(error) => Self::Process(error),
        }
    }
}

impl<R> fmt::Debug for JoinError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(handle) => f.debug_tuple("TimedOut").field(handle).finish(),
            Self::Process(error) => f.debug_tuple("Process").field(error).finish(),
        }
    }
}

impl<R> fmt::Display for JoinError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(process) => {
                write!(f, "process `{}` has not ended before the deadline", process.name())
            }
            Self::Process(error) => error.fmt(f),
        }
    }
}

impl<R> error::Error for JoinError<R> {}
