use std::{
    fmt,
    io::{self, PipeReader, PipeWriter},
    marker::PhantomData,
    mem,
    ops::Deref,
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
    AnyChild, Captured, JoinTimeoutError, ProcessError, encoding,
    keeper::Keeper,
    process::{End, Process},
    protocol::{self, Answer, BUFFER, Failure},
    setup::Setup,
    stdio::Stream,
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
    any: AnyChild,
    streams: [Stream; 3],
    result: PhantomData<fn() -> R>,
}

impl<R> Child<R> {
    pub(crate) fn new(process: Arc<Process>, setup: &Setup, streams: [Stream; 3]) -> Self {
        if setup.is_guarded {
            process.set_guarded();
        }
        let birth = &setup.birth;
        let any = AnyChild::register(process, &birth.name, birth.is_daemon);
        Self { any, streams, result: PhantomData }
    }

    /// A handle of the same process without its result: for another thread, or to keep beyond [`join`](Self::join).
    pub fn any(&self) -> AnyChild {
        self.any.clone()
    }

    /// The other end of its standard input, where that is [piped](crate::Stdio::piped); once.
    ///
    /// It is closed by [`join`](Self::join), unless it was taken: a process that reads to the end would never end.
    pub fn take_stdin(&mut self) -> Option<PipeWriter> {
        match mem::take(&mut self.streams[0]) {
            Stream::Writer(writer) => Some(writer),
            _ => None,
        }
    }

    /// The other end of its standard output, where that is [piped](crate::Stdio::piped); once.
    pub fn take_stdout(&mut self) -> Option<PipeReader> {
        self.take_reader(1)
    }

    /// The other end of its standard error, where that is [piped](crate::Stdio::piped); once.
    pub fn take_stderr(&mut self) -> Option<PipeReader> {
        self.take_reader(2)
    }

    fn take_reader(&mut self, number: usize) -> Option<PipeReader> {
        match mem::take(&mut self.streams[number]) {
            Stream::Reader(reader) => Some(reader),
            stream => {
                self.streams[number] = stream;
                None
            }
        }
    }

    /// Its standard output, where that is [captured](crate::Stdio::captured).
    pub fn captured_stdout(&self) -> Option<Captured> {
        self.captured(1)
    }

    /// Its standard error, where that is [captured](crate::Stdio::captured).
    pub fn captured_stderr(&self) -> Option<Captured> {
        self.captured(2)
    }

    fn captured(&self, number: usize) -> Option<Captured> {
        match &self.streams[number] {
            Stream::Captured(captured) => Some(captured.clone()),
            _ => None,
        }
    }

    /// Gives the handle up, of a process that has ended.
    ///
    /// # Errors
    ///
    /// The child itself while it runs.
    pub fn close(self) -> Result<(), Self> {
        if self.is_alive() { Err(self) } else { Ok(()) }
    }
}

/// What any child can do: its id and name, signals, waits without a result.
impl<R> Deref for Child<R> {
    type Target = AnyChild;

    fn deref(&self) -> &AnyChild {
        &self.any
    }
}

impl<R: DeserializeOwned> Child<R> {
    /// Waits for its end and takes the result of its task.
    ///
    /// # Errors
    ///
    /// How it ended, where that was without a result.
    pub fn join(mut self) -> Result<R, ProcessError> {
        drop(self.take_stdin());
        self.any.process.wait(Deadline::never())?;
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
    pub fn join_timeout(mut self, timeout: Duration) -> Result<R, JoinTimeoutError<R>> {
        drop(self.take_stdin());
        self.join_until(Deadline::after(timeout))
    }

    /// [`join`](Self::join) until `deadline` at the latest.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](JoinTimeoutError::TimedOut) with the child itself when `deadline` has passed first; otherwise as there.
    pub fn join_deadline(mut self, deadline: Instant) -> Result<R, JoinTimeoutError<R>> {
        drop(self.take_stdin());
        self.join_until(Deadline::at(deadline))
    }

    fn join_until(self, deadline: Deadline) -> Result<R, JoinTimeoutError<R>> {
        if !self.any.process.wait(deadline).map_err(ProcessError::from)? {
            return Err(JoinTimeoutError::TimedOut(self));
        }
        Ok(self.finish()?)
    }

    /// The result of a process that is dead.
    fn finish(&self) -> Result<R, ProcessError> {
        // What it sent before its death is in the socket, whole. Reaped in any case.
        let answer = self.answer();
        let end = self.any.process.end()?;
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
            let message = match protocol::recv(self.any.process.socket(), &mut buffer, now) {
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
        self.any.as_fd()
    }
}

impl<R> Drop for Child<R> {
    fn drop(&mut self) {
        // A copy of the parent holds copies of its handles, but the process is not its child.
        if !self.any.process.is_ours() {
            return;
        }
        if !matches!(self.any.process.end(), Ok(None)) {
            return;
        }
        if Keeper::running().and_then(|keeper| keeper.reap_later(&self.any.process)).is_err() {
            // It runs on all the same, for which its connection must stay open; a zombie stays until this process ends.
            std::mem::forget(Arc::clone(&self.any.process));
        }
    }
}

impl<R> fmt::Debug for Child<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("name", &self.name())
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}
