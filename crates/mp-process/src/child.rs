use std::{
    fmt, io,
    marker::PhantomData,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::process::ExitStatusExt,
    },
    sync::Arc,
    time::{Duration, Instant},
};

use mp_os::{Deadline, Result, TimeoutError, transfer};
use mp_signal::Signal;
use serde::de::DeserializeOwned;

use crate::{
    JoinTimeoutError, ProcessError, encoding,
    keeper::Keeper,
    process::{End, Process},
    protocol::{self, Answer, BUFFER, Failure},
};

/// A process that runs a task with a result of type `R`.
///
/// Dropped without [`join`](Self::join) it runs on, its result is lost, and it is reaped when it ends. Whatever happens to
/// it, the kernel kills it when this process ends.
///
/// Its descriptor ([`AsFd`]) is a pidfd: readable once the process is dead, for `poll(2)`, `epoll(7)` or an async runtime.
///
/// # Examples
///
/// ```
/// let child = mp_process::spawn(|(a, b): (u32, u32)| a + b, (40, 2))?;
/// assert!(child.pid() > 1);
/// assert_eq!(child.join()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the process runs on, and its result is lost"]
pub struct Child<R> {
    process: Arc<Process>,
    name: String,
    result: PhantomData<fn() -> R>,
}

impl<R> Child<R> {
    pub(crate) fn new(process: Arc<Process>, name: String) -> Self {
        Self { process, name, result: PhantomData }
    }

    /// The process id.
    ///
    /// Once it has been joined or asked for its [exit code](Self::exit_code) the number may come to mean another process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its name: that of the [`Builder`](crate::Builder), or `Process-1`, `Process-2` and so on.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has not ended yet.
    pub fn is_alive(&self) -> bool {
        // It fails for lack of kernel memory only; then nothing is known, and a wait will tell.
        !self.process.wait(Deadline::after(Duration::ZERO)).unwrap_or(false)
    }

    /// Waits until it has ended: true once it has, false when `deadline` has passed first.
    ///
    /// # Errors
    ///
    /// What `ppoll(2)` fails with.
    pub fn wait(&self, deadline: Deadline) -> Result<bool> {
        self.process.wait(deadline)
    }

    /// How it ended, as Python tells it: the code it exited with, or minus the signal that killed it.
    ///
    /// `None` while it runs, and where nobody knows ([`ProcessError::Lost`]).
    #[doc(alias = "exitcode")]
    pub fn exit_code(&self) -> Option<i32> {
        match self.process.end() {
            Ok(Some(End::Status { status, .. })) => {
                status.code().or_else(|| status.signal().map(|signal| -signal))
            }
            Ok(Some(End::Lost) | None) | Err(_) => None,
        }
    }

    /// `pidfd_send_signal(2)`—Sends it a signal; never another process that has got its number.
    ///
    /// # Errors
    ///
    /// `ESRCH` once it is reaped, `EPERM` where it has changed its user.
    #[doc(alias("kill", "pidfd_send_signal"))]
    pub fn send_signal(&self, signal: Signal) -> Result<()> {
        self.process.send_signal(signal)
    }

    /// Asks it to end: `SIGTERM`.
    ///
    /// # Errors
    ///
    /// As for [`send_signal`](Self::send_signal).
    pub fn terminate(&self) -> Result<()> {
        self.send_signal(Signal::TERM)
    }

    /// Ends it at once: `SIGKILL`.
    ///
    /// # Errors
    ///
    /// As for [`send_signal`](Self::send_signal).
    pub fn kill(&self) -> Result<()> {
        self.send_signal(Signal::KILL)
    }

    /// Runs `callback` soon after the process has ended; at once if it has already.
    ///
    /// It runs on this crate's own thread, which starts and reaps processes: it must be short and must not block. A panic
    /// in it is reported by the panic hook and goes no further.
    ///
    /// # Errors
    ///
    /// At the limit of threads (first use) or of `fs.epoll.max_user_watches`; then `callback` is dropped.
    pub fn on_exit(&self, callback: impl FnOnce() + Send + 'static) -> Result<()> {
        Keeper::running()?.on_exit(&self.process, Box::new(callback))
    }
}

impl<R: DeserializeOwned> Child<R> {
    /// Waits for its end and takes the result of its task.
    ///
    /// # Errors
    ///
    /// How it ended, where that was without a result.
    pub fn join(self) -> Result<R, ProcessError> {
        self.process.wait(Deadline::never())?;
        self.finish()
    }

    /// [`join`](Self::join), if it has ended already.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](JoinTimeoutError::TimedOut) with the child itself while it runs; otherwise as there.
    pub fn try_join(self) -> Result<R, JoinTimeoutError<R>> {
        self.join_until(Deadline::after(Duration::ZERO))
    }

    /// [`join`](Self::join) for at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](JoinTimeoutError::TimedOut) with the child itself when `timeout` has passed first; otherwise as there.
    pub fn join_timeout(self, timeout: Duration) -> Result<R, JoinTimeoutError<R>> {
        self.join_until(Deadline::after(timeout))
    }

    /// [`join`](Self::join) until `deadline` at the latest.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](JoinTimeoutError::TimedOut) with the child itself when `deadline` has passed first; otherwise as there.
    pub fn join_deadline(self, deadline: Instant) -> Result<R, JoinTimeoutError<R>> {
        self.join_until(Deadline::at(deadline))
    }

    fn join_until(self, deadline: Deadline) -> Result<R, JoinTimeoutError<R>> {
        if !self.process.wait(deadline).map_err(ProcessError::from)? {
            return Err(JoinTimeoutError::TimedOut(self));
        }
        Ok(self.finish()?)
    }

    /// The result of a process that is dead.
    fn finish(&self) -> Result<R, ProcessError> {
        // What it sent before its death is in the socket, whole. Reaped in any case.
        let answer = self.answer();
        let end = self.process.end()?;
        if let Some(result) = answer? {
            return Ok(result);
        }
        Err(match end {
            Some(End::Status { status, out_of_memory }) => match status.signal() {
                Some(signal) => ProcessError::Signaled {
                    signal: Signal::new(signal)?,
                    core_dumped: status.core_dumped(),
                    out_of_memory,
                },
                None => ProcessError::Exited(status.code().unwrap_or_default()),
            },
            Some(End::Lost) | None => ProcessError::Lost,
        })
    }

    /// The result, if it sent one.
    fn answer(&self) -> Result<Option<R>, ProcessError> {
        let mut buffer = BUFFER;
        loop {
            let now = Deadline::after(Duration::ZERO);
            let message = match protocol::recv(self.process.socket(), &mut buffer, now) {
                Ok(Some(message)) => message,
                // Where a process that it started holds its end, there is no end of the connection.
                Ok(None) | Err(TimeoutError::TimedOut) => return Ok(None),
                Err(error) => return Err(mp_os::Error::from(error).into()),
            };
            match protocol::parse_answer(&message.body) {
                Some(Answer::Hello(_)) => {}
                Some(Answer::Returned(bytes)) => {
                    return transfer::provide(message.fds, || encoding::decode(bytes))
                        .map(Some)
                        .map_err(|error| ProcessError::Undecodable(error.to_string()));
                }
                Some(Answer::Failed(failure)) => return Err(failure.into()),
                None => return Err(crate::frame::malformed().into()),
            }
        }
    }
}

impl From<Failure> for ProcessError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Panicked(panic) => Self::Panicked(panic),
            Failure::ArgumentUndecodable(reason) => Self::ArgumentsUndecodable(reason),
            Failure::ResultUnencodable(reason) => Self::Undecodable(reason),
            Failure::Refused(reason) => {
                mp_os::Error::new("begin", "the task in the child", io::Error::other(reason)).into()
            }
        }
    }
}

impl<R> AsFd for Child<R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }
}

impl<R> Drop for Child<R> {
    fn drop(&mut self) {
        // A copy of the parent holds copies of its handles, but the process is not its child.
        if !self.process.is_ours() {
            return;
        }
        if !matches!(self.process.end(), Ok(None)) {
            return;
        }
        if Keeper::running().and_then(|keeper| keeper.reap_later(&self.process)).is_err() {
            // It runs on all the same, for which its connection must stay open; a zombie stays until this process ends.
            std::mem::forget(Arc::clone(&self.process));
        }
    }
}

impl<R> fmt::Debug for Child<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("name", &self.name)
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}
