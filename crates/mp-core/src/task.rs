use std::{
    error, fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use mp_os::Deadline;
use parking_lot::Mutex;

use crate::{Result, TaskError, contained::contained};

/// Where the outcome of a task arrives.
pub(crate) trait Mailbox<R>: Send + Sync {
    /// The outcome, once.
    fn take(&self) -> Option<Result<R, TaskError>>;

    /// Whether there is, or was, an outcome.
    fn is_done(&self) -> bool;

    /// Whether there is an outcome, and it is an error.
    fn has_failed(&self) -> bool;

    /// Wakes `waker`, and no other, when there may be an outcome; nothing happens where there is one already.
    fn listen(&self, waker: &Waker);

    /// Whether the task has begun, where whoever has it knows.
    fn has_begun(&self) -> bool {
        false
    }

    /// Takes the task back where whoever has it knows that it has not begun.
    fn withdraw(&self) -> bool {
        false
    }
}

/// Who runs tasks.
pub(crate) trait Engine: Send + Sync {
    /// That tasks have outcomes in this process.
    ///
    /// # Errors
    ///
    /// That of [`wait_until`](Self::wait_until), where no outcome comes any more.
    fn check(&self) -> Result<()>;

    /// Waits until `done`, and lets tasks go on meanwhile: true once it is, false when `deadline` has passed first.
    fn wait_until(&self, deadline: Deadline, done: &mut dyn FnMut() -> bool) -> Result<bool>;

    /// Takes in outcomes that have come: whether there were any.
    fn advance(&self) -> bool;

    /// Lets whoever waits look again.
    fn rouse(&self);

    /// Whether a worker runs a task whose mailbox is at this address right now.
    fn is_running(&self, mailbox: *const ()) -> bool;

    /// Ends the tasks whose mailbox is at this address: whether one of them ends as cancelled.
    fn cancel(&self, mailbox: *const ()) -> bool;

    /// From now on, and until it is [taken back](Self::remove_awaited), something waits for a task that is no thread.
    fn add_awaited(&self);

    fn remove_awaited(&self);
}

/// A task that a [`Pool`](crate::Pool) or [`ThreadPool`](crate::ThreadPool) was given, and the right to its result.
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
    engine: Arc<dyn Engine>,
    mailbox: Arc<dyn Mailbox<R>>,
    /// Whether the engine was told that no thread waits for this task.
    is_awaited: bool,
}

impl<R> Task<R> {
    pub(crate) fn new(engine: Arc<dyn Engine>, mailbox: Arc<dyn Mailbox<R>>) -> Self {
        Self { engine, mailbox, is_awaited: false }
    }

    pub(crate) fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// Wakes `waker` when the task may have ended, unless it has.
    pub(crate) fn listen(&self, waker: &Waker) {
        self.mailbox.listen(waker);
    }

    /// Tells the engine that no thread waits for this task.
    ///
    /// # Errors
    ///
    /// Where no outcome comes any more.
    pub(crate) fn await_it(&mut self) -> Result<()> {
        self.engine.check()?;
        if !self.is_awaited {
            self.is_awaited = true;
            self.engine.add_awaited();
        }
        Ok(())
    }

    /// Whether [`get`](Self::get) would not wait.
    pub(crate) fn is_decided(&self) -> bool {
        self.is_done() || self.engine.check().is_err()
    }

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
        let waited = self.engine.wait_until(deadline, &mut || {
            outcome = self.mailbox.take();
            outcome.is_some()
        });
        match (outcome, waited) {
            (Some(outcome), _) => outcome.map_err(GetTimeoutError::Task),
            (None, Ok(_)) => Err(GetTimeoutError::TimedOut(self)),
            (None, Err(error)) => Err(GetTimeoutError::Task(error.into())),
        }
    }

    /// Whether the task has ended, one way or another.
    #[doc(alias("done", "ready"))]
    pub fn is_done(&self) -> bool {
        self.mailbox.is_done() || self.engine.advance() && self.mailbox.is_done()
    }

    /// Whether a worker runs the task right now: not where it waits for one, and not where it has ended.
    ///
    /// Of a [`map_async`](crate::Pool::map_async), whether one of its tasks runs. Another answer may be true by the time that
    /// this one is there, so it is for progress displays; [`cancel`](Self::cancel) needs no such question.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_core::{Pool, Queue};
    ///
    /// let pool = Pool::new(1)?;
    /// let (started, gate) = (Queue::bounded(1)?, Queue::bounded(1)?);
    /// let wait = |(started, gate): (Queue<u8>, Queue<u8>)| {
    ///     started.put(1).unwrap();
    ///     gate.get().unwrap()
    /// };
    /// let task = pool.submit(wait, (started.clone(), gate.clone()))?;
    /// started.get()?;
    /// assert!(task.is_running());
    /// gate.put(2)?;
    /// assert_eq!(task.get()?, 2);
    /// # Ok::<(), mp_core::Error>(())
    /// ```
    #[doc(alias = "running")]
    pub fn is_running(&self) -> bool {
        let address = Arc::as_ptr(&self.mailbox).cast();
        !self.is_done() && (self.mailbox.has_begun() || self.engine.is_running(address))
    }

    /// Whether the task has ended without a result.
    pub fn has_failed(&self) -> bool {
        self.is_done() && self.mailbox.has_failed()
    }

    /// Takes the task back: true if it ends as [`TaskError::Cancelled`], false where it has ended before.
    ///
    /// One that runs in a process is ended with its worker, which is replaced; tasks that were queued behind it run
    /// elsewhere. One that runs in a thread cannot be ended.
    #[doc(alias("kill", "terminate_job"))]
    pub fn cancel(&self) -> bool {
        self.mailbox.withdraw() || self.engine.cancel(Arc::as_ptr(&self.mailbox).cast())
    }
}

impl<R: Send + 'static> Task<R> {
    /// Calls `callback` with the outcome when the task ends, or at once where it has.
    ///
    /// It is called by whichever thread learns of the end, so it should be short. It may use the pool, wait for other tasks, and
    /// drop the pool, which then ends behind it. A panic in it is reported by the panic hook and goes no further.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_core::Pool;
    ///
    /// let pool = Pool::new(2)?;
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// pool.submit(|n: u32| n + 1, 41)?.on_done(move |outcome| sender.send(outcome).unwrap());
    /// assert_eq!(receiver.recv().unwrap()?, 42);
    /// # Ok::<(), mp_core::Error>(())
    /// ```
    #[doc(alias("callback", "error_callback", "add_done_callback"))]
    pub fn on_done(mut self, callback: impl FnOnce(Result<R, TaskError>) + Send + 'static) {
        let awaited = self.await_it();
        match awaited {
            Err(error) if !self.mailbox.is_done() => {
                drop(contained(|| callback(Err(error.into()))));
            }
            _ => Arc::new(Callback(Mutex::new(Some((self, Box::new(callback)))))).wake(),
        }
    }
}

type Called<R> = Box<dyn FnOnce(Result<R, TaskError>) + Send>;

/// What is called when a task ends: a waker that keeps the task until then.
struct Callback<R>(Mutex<Option<(Task<R>, Called<R>)>>);

impl<R: Send + 'static> Wake for Callback<R> {
    fn wake(self: Arc<Self>) {
        let mut content = self.0.lock();
        let Some((task, _)) = &*content else { return };
        task.listen(&Waker::from(Arc::clone(&self)));
        let Some(outcome) = task.mailbox.take() else { return };
        let called = content.take();
        drop(content);
        if let Some((task, callback)) = called {
            drop(contained(|| callback(outcome)));
            // Nobody is to be woken for it any more; the waker holds this very value.
            task.listen(Waker::noop());
        }
    }
}

impl<R> Future for Task<R> {
    type Output = Result<R, TaskError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // In this order, so that no outcome comes in between.
        self.mailbox.listen(context.waker());
        match self.mailbox.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => match self.await_it() {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error.into())),
            },
        }
    }
}

impl<R> Drop for Task<R> {
    fn drop(&mut self) {
        if self.is_awaited {
            self.engine.remove_awaited();
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
