mod builder;
mod error;

use std::{
    fmt,
    io::{PipeReader, PipeWriter},
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use mp_process::{AnyChild, Captured, Child, ProcessError, Signal};
use serde::{Serialize, de::DeserializeOwned};

pub use self::{builder::ProcessBuilder, error::JoinError};
use crate::Result;

/// A child process that runs one function, and the right to its result.
///
/// The function is a plain one or a closure that captures nothing: what it needs comes in its argument, which may hold
/// handles (queues, files in an [`Fd`](crate::Fd), ...). Nothing has to be called from `main`.
///
/// One that never returns needs the type of what it would return, as `|()| -> () { loop { ... } }`.
///
/// Dropping the handle leaves the child running. When this process ends by itself, by a return from `main` or by `exit`, it
/// waits for the child first, unless that is a [daemon](ProcessBuilder::daemon); when it is killed, the child is killed too.
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
    #[doc(alias = "ident")]
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// The name: `Process-1`, `Process-2`, ... unless the builder was given one. The children of the second are called
    /// `Process-2:1` and so on.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Whether this process, when it ends, does not wait for the child.
    pub fn is_daemon(&self) -> bool {
        self.0.is_daemon()
    }

    /// A handle of the same process without its result: for another thread, or to keep beyond [`join`](Self::join).
    pub fn any(&self) -> AnyChild {
        self.0.any()
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

    /// Waits for the process to end. Its result stays for [`join`](Self::join).
    ///
    /// # Errors
    ///
    /// Where the operating system refuses the wait.
    pub fn wait(&self) -> Result<()> {
        Ok(self.0.wait()?)
    }

    /// [`wait`](Self::wait) for at most `timeout`: whether the process has ended.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool> {
        Ok(self.0.wait_timeout(timeout)?)
    }

    /// [`wait`](Self::wait) until `deadline` at the latest: whether the process has ended.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn wait_deadline(&self, deadline: Instant) -> Result<bool> {
        Ok(self.0.wait_deadline(deadline)?)
    }

    /// Asks the process to stop what it does, with `SIGINT`, as a terminal does.
    ///
    /// # Errors
    ///
    /// Where the operating system refuses. A process that has ended is no error.
    pub fn interrupt(&self) -> Result<()> {
        self.send_signal(Signal::INT)
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

    /// Gives the handle up, of a process that has ended.
    ///
    /// # Errors
    ///
    /// The process itself while it runs.
    pub fn close(self) -> Result<(), Self> {
        self.0.close().map_err(Self)
    }

    /// The other end of the process's standard input, where that is [piped](crate::Stdio::piped); once.
    ///
    /// It is closed by [`join`](Self::join), unless it was taken.
    pub fn take_stdin(&mut self) -> Option<PipeWriter> {
        self.0.take_stdin()
    }

    /// The other end of the process's standard output, where that is [piped](crate::Stdio::piped); once.
    pub fn take_stdout(&mut self) -> Option<PipeReader> {
        self.0.take_stdout()
    }

    /// The other end of the process's standard error, where that is [piped](crate::Stdio::piped); once.
    pub fn take_stderr(&mut self) -> Option<PipeReader> {
        self.0.take_stderr()
    }

    /// The process's standard output, where that is [captured](crate::Stdio::captured).
    pub fn captured_stdout(&self) -> Option<Captured> {
        self.0.captured_stdout()
    }

    /// The process's standard error, where that is [captured](crate::Stdio::captured).
    pub fn captured_stderr(&self) -> Option<Captured> {
        self.0.captured_stderr()
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
        ProcessBuilder::new()
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
        Process::builder().fork(function)
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
