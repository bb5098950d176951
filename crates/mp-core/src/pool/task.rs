use std::{
    collections::VecDeque,
    error, fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use mp_os::Deadline;
use serde::de::DeserializeOwned;

use super::{inbox::Inbox, local::Local};
use crate::TaskError;

/// A task that a [`Pool`](super::Pool) was given, and the right to its result.
///
/// A thread that waits for it keeps the pool going meanwhile. It is a [`Future`] too, of any executor. Dropping it leaves
/// the task alone: it runs, and its result is dropped.
///
/// # Examples
///
/// ```
/// use mp_core::Pool;
///
/// let pool = Pool::new(2)?;
/// let task = pool.submit(|(base, power): (u64, u32)| base.pow(power), (2, 10))?;
/// assert_eq!(task.get()?, 1024);
/// # Ok::<(), mp_core::Error>(())
/// ```
#[must_use = "dropping a task drops its result"]
pub struct Task<R> {
    pub(super) local: Arc<Local>,
    pub(super) inbox: Arc<Inbox<R, VecDeque<Result<R, TaskError>>>>,
    /// Whether the supervisor was told that no thread waits for this task.
    pub(super) is_awaited: bool,
}

impl<R: DeserializeOwned + Send + 'static> Task<R> {
    /// Waits for the result.
    ///
    /// # Errors
    ///
    /// [`TaskError`], which says how the task ended instead.
    pub fn get(self) -> Result<R, TaskError> {
        self.get_until(Deadline::never()).map_err(|error| match error {
            GetTimeoutError::Task(error) => error,
            GetTimeoutError::TimedOut(_) => TaskError::Cancelled,
        })
    }

    /// The result if it is there.
    ///
    /// # Errors
    ///
    /// [`GetTimeoutError::TimedOut`] with the task where it is not, otherwise as [`get`](Self::get).
    pub fn try_get(self) -> Result<R, GetTimeoutError<R>> {
        self.get_timeout(Duration::ZERO)
    }

    /// Waits up to `timeout` for the result.
    ///
    /// # Errors
    ///
    /// [`GetTimeoutError::TimedOut`] with the task when that has passed, otherwise as [`get`](Self::get).
    pub fn get_timeout(self, timeout: Duration) -> Result<R, GetTimeoutError<R>> {
        self.get_until(Deadline::after(timeout))
    }

    /// Waits until `deadline` for the result.
    ///
    /// # Errors
    ///
    /// [`GetTimeoutError::TimedOut`] with the task when that has passed, otherwise as [`get`](Self::get).
    pub fn get_deadline(self, deadline: Instant) -> Result<R, GetTimeoutError<R>> {
        self.get_until(Deadline::at(deadline))
    }

    fn get_until(self, deadline: Deadline) -> Result<R, GetTimeoutError<R>> {
        let mut outcome = None;
        let waited = self.local.wait_until(deadline, || {
            outcome = self.inbox.take();
            outcome.is_some()
        });
        match (outcome, waited) {
            (Some(outcome), _) => outcome.map_err(GetTimeoutError::Task),
            (None, Ok(_)) => Err(GetTimeoutError::TimedOut(self)),
            (None, Err(error)) => Err(GetTimeoutError::Task(error.into())),
        }
    }

    /// Whether the task has ended, one way or another.
    pub fn is_done(&self) -> bool {
        self.inbox.due() > 0 || self.local.advance() && self.inbox.due() > 0
    }

    /// Takes the task back: true if it ends as [`TaskError::Cancelled`], false where it has ended before.
    ///
    /// One that runs is ended with its worker, which is replaced; tasks that were queued behind it run elsewhere.
    #[doc(alias("kill", "terminate_job"))]
    pub fn cancel(&self) -> bool {
        self.local.cancel(Arc::as_ptr(&self.inbox).cast())
    }
}

impl<R: DeserializeOwned + Send + 'static> Future for Task<R> {
    type Output = Result<R, TaskError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = self.inbox.with(|content| {
            let outcome = content.sink.pop_front();
            content.waker = outcome.is_none().then(|| context.waker().clone());
            outcome
        });
        if outcome.is_none() && !self.is_awaited {
            self.is_awaited = true;
            self.local.add_awaited();
        }
        outcome.map_or(Poll::Pending, Poll::Ready)
    }
}

impl<R> Drop for Task<R> {
    fn drop(&mut self) {
        if self.is_awaited {
            self.local.remove_awaited();
        }
    }
}

impl<R> fmt::Debug for Task<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").finish_non_exhaustive()
    }
}

/// Why a [`Task`] gave no result before the deadline.
#[non_exhaustive]
pub enum GetTimeoutError<R> {
    /// The deadline passed; the task goes on.
    TimedOut(Task<R>),
    /// The task ended without a result.
    Task(TaskError),
}

impl<R> fmt::Debug for GetTimeoutError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(handle) => f.debug_tuple("TimedOut").field(handle).finish(),
            Self::Task(error) => f.debug_tuple("Task").field(error).finish(),
        }
    }
}

impl<R> fmt::Display for GetTimeoutError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(_) => f.write_str("the deadline passed before the task ended"),
            Self::Task(error) => error.fmt(f),
        }
    }
}

impl<R> error::Error for GetTimeoutError<R> {}
