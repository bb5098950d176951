//! Many tasks at once: in the order of their ends, or until some of them have ended. And what all pools have in common.
//!
//! ```
//! use mp_core::{Pool, executor::{self, WaitFor}};
//!
//! let pool = Pool::new(2)?;
//! let tasks = (0..9).map(|n: u64| pool.submit(|n: u64| n * n, n)).collect::<Result<Vec<_>, _>>()?;
//! let first = executor::wait(tasks, WaitFor::FirstDone);
//! assert!(!first.done.is_empty());
//!
//! let mut squares = 0;
//! for task in executor::as_completed(first.done.into_iter().chain(first.pending)) {
//!     squares += task.get()?;
//! }
//! assert_eq!(squares, 204);
//! # Ok::<(), mp_core::Error>(())
//! ```

use std::{
    collections::VecDeque,
    fmt,
    iter::FusedIterator,
    mem,
    sync::Arc,
    task::{Wake, Waker},
    time::{Duration, Instant},
};

use mp_os::{Deadline, TimeoutError};
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Pool, PoolStats, Result, Task, TaskError, ThreadPool, task::Engine};

/// What [`Pool`] and [`ThreadPool`] have in common, for programs that want to choose, or to compare.
///
/// The methods are those of the types themselves, where more is said of them. A pool that
/// [`PoolBuilder::serial`](crate::PoolBuilder::serial) makes is the third: one after the other, in the caller.
///
/// # Examples
///
/// ```
/// use mp_core::{Pool, ThreadPool, executor::Executor};
///
/// fn sum_of_squares(executor: &impl Executor) -> mp_core::Result<u64> {
///     Ok(executor.map(|n: u64| n * n, 0..100)?.into_iter().sum())
/// }
///
/// assert_eq!(sum_of_squares(&Pool::new(2)?)?, 328_350);
/// assert_eq!(sum_of_squares(&ThreadPool::new(2)?)?, 328_350);
/// assert_eq!(sum_of_squares(&Pool::builder().serial().build()?)?, 328_350);
/// # Ok::<(), mp_core::Error>(())
/// ```
pub trait Executor {
    /// The number of workers.
    fn workers(&self) -> usize;

    /// Runs one task: [`Pool::submit`].
    ///
    /// # Errors
    ///
    /// As there.
    fn submit<A, R>(&self, function: fn(A) -> R, argument: A) -> Result<Task<R>>
    where
        A: Serialize + DeserializeOwned + Send + 'static,
        R: Serialize + DeserializeOwned + Send + 'static;

    /// Runs a task for each item, and waits for all: [`Pool::map`].
    ///
    /// # Errors
    ///
    /// As there.
    fn map<A, R, I>(&self, function: fn(A) -> R, items: I) -> Result<Vec<R>>
    where
        A: Serialize + DeserializeOwned + Send + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>;

    /// Runs a task for each item, lazily: [`Pool::imap`].
    ///
    /// # Errors
    ///
    /// As there.
    fn imap<A, R, I>(
        &self,
        function: fn(A) -> R,
        items: I,
    ) -> Result<impl Iterator<Item = Result<R, TaskError>>>
    where
        A: Serialize + DeserializeOwned + Send + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>;

    /// [`imap`](Self::imap) in the order of the ends: [`Pool::imap_unordered`].
    ///
    /// # Errors
    ///
    /// As there.
    fn imap_unordered<A, R, I>(
        &self,
        function: fn(A) -> R,
        items: I,
    ) -> Result<impl Iterator<Item = Result<R, TaskError>>>
    where
        A: Serialize + DeserializeOwned + Send + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>;

    /// [`map`](Self::map) without waiting: [`Pool::map_async`].
    ///
    /// # Errors
    ///
    /// As there.
    fn map_async<A, R, I>(&self, function: fn(A) -> R, items: I) -> Result<Task<Vec<R>>>
    where
        A: Serialize + DeserializeOwned + Send + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>;

    /// What the workers have done so far: [`Pool::stats`].
    fn stats(&self) -> PoolStats;

    /// Cancels the tasks that have not begun: how many; [`Pool::cancel_queued`].
    fn cancel_queued(&self) -> u64;

    /// Takes no more tasks: [`Pool::close`].
    fn close(&self);

    /// Waits for its end: [`Pool::join`].
    ///
    /// # Errors
    ///
    /// As there.
    fn join(self) -> Result<()>;

    /// [`join`](Self::join) for at most `timeout`: [`Pool::join_timeout`].
    ///
    /// # Errors
    ///
    /// As there.
    fn join_timeout(self, timeout: Duration) -> Result<Result<()>, Self>
    where
        Self: Sized;

    /// Ends it: [`Pool::shutdown`].
    ///
    /// # Errors
    ///
    /// As there.
    fn shutdown(self, wait: bool, cancel: bool) -> Result<()>;
}

macro_rules! executor {
    ($($pool:ty),+) => {$(
        impl Executor for $pool {
            fn workers(&self) -> usize {
                self.workers()
            }

            fn submit<A, R>(&self, function: fn(A) -> R, argument: A) -> Result<Task<R>>
            where
                A: Serialize + DeserializeOwned + Send + 'static,
                R: Serialize + DeserializeOwned + Send + 'static,
            {
                self.submit(function, argument)
            }

            fn map<A, R, I>(&self, function: fn(A) -> R, items: I) -> Result<Vec<R>>
            where
                A: Serialize + DeserializeOwned + Send + 'static,
                R: Serialize + DeserializeOwned + Send + 'static,
                I: IntoIterator<Item = A>,
            {
                self.map(function, items)
            }

            fn imap<A, R, I>(
                &self,
                function: fn(A) -> R,
                items: I,
            ) -> Result<impl Iterator<Item = Result<R, TaskError>>>
            where
                A: Serialize + DeserializeOwned + Send + 'static,
                R: Serialize + DeserializeOwned + Send + 'static,
                I: IntoIterator<Item = A>,
            {
                self.imap(function, items)
            }

            fn imap_unordered<A, R, I>(
                &self,
                function: fn(A) -> R,
                items: I,
            ) -> Result<impl Iterator<Item = Result<R, TaskError>>>
            where
                A: Serialize + DeserializeOwned + Send + 'static,
                R: Serialize + DeserializeOwned + Send + 'static,
                I: IntoIterator<Item = A>,
            {
                self.imap_unordered(function, items)
            }

            fn map_async<A, R, I>(&self, function: fn(A) -> R, items: I) -> Result<Task<Vec<R>>>
            where
                A: Serialize + DeserializeOwned + Send + 'static,
                R: Serialize + DeserializeOwned + Send + 'static,
                I: IntoIterator<Item = A>,
            {
                self.map_async(function, items)
            }

            fn stats(&self) -> PoolStats {
                self.stats()
            }

            fn cancel_queued(&self) -> u64 {
                self.cancel_queued()
            }

            fn close(&self) {
                self.close();
            }

            fn join(self) -> Result<()> {
                self.join()
            }

            fn join_timeout(self, timeout: Duration) -> Result<Result<()>, Self> {
                self.join_timeout(timeout)
            }

            fn shutdown(self, wait: bool, cancel: bool) -> Result<()> {
                self.shutdown(wait, cancel)
            }
        }
    )+};
}

executor! { Pool, ThreadPool }

/// The tasks in the order of their ends, each once, whichever pools they are of.
///
/// Dropping the iterator early leaves the other tasks alone; [`AsCompleted::into_pending`] gives them back.
pub fn as_completed<R>(tasks: impl IntoIterator<Item = Task<R>>) -> AsCompleted<R> {
    let mut tasks: Vec<_> = tasks.into_iter().map(Some).collect();
    let engine = tasks.iter().flatten().next().map(|task| Arc::clone(task.engine()));
    let ready = Arc::new(Ready { ended: Mutex::default(), engine });
    for (at, place) in tasks.iter_mut().enumerate() {
        let Some(task) = place else { continue };
        if !ready.is_of(task.engine()) {
            // Whoever waits here keeps one pool going: the others must do that themselves. Where one cannot, that is seen below.
            drop(task.await_it());
        }
        let waker = Arc::new(Ended { at, ready: Arc::clone(&ready) });
        task.listen(&Waker::from(waker));
        if task.is_decided() {
            ready.ended.lock().push_back(at);
        }
    }
    let pending = tasks.len();
    AsCompleted { tasks, ready, pending }
}

/// Which tasks may have ended, and whoever waits for them.
struct Ready {
    /// Their places in the list. One may be here more than once, and before its end.
    ended: Mutex<VecDeque<usize>>,
    /// Who runs the first of them, where there is one: its waits are those of the iterator.
    engine: Option<Arc<dyn Engine>>,
}

impl Ready {
    fn is_of(&self, engine: &Arc<dyn Engine>) -> bool {
        self.engine.as_ref().is_some_and(|own| Arc::ptr_eq(own, engine))
    }
}

/// Wakes the iterator for one task.
struct Ended {
    at: usize,
    ready: Arc<Ready>,
}

impl Wake for Ended {
    fn wake(self: Arc<Self>) {
        self.ready.ended.lock().push_back(self.at);
        if let Some(engine) = &self.ready.engine {
            engine.rouse();
        }
    }
}

/// Tasks in the order of their ends: [`as_completed`].
#[must_use = "iterators do nothing unless they are asked"]
pub struct AsCompleted<R> {
    tasks: Vec<Option<Task<R>>>,
    ready: Arc<Ready>,
    /// How many have not been handed out.
    pending: usize,
}

impl<R> AsCompleted<R> {
    /// The next task that has ended, `None` after the last one.
    ///
    /// # Errors
    ///
    /// [`TimeoutError::TimedOut`] when `timeout` has passed first; the iterator goes on.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Task<R>>, TimeoutError> {
        self.next_until(Deadline::after(timeout))
    }

    /// [`next_timeout`](Self::next_timeout) until `deadline` at the latest.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn next_deadline(&mut self, deadline: Instant) -> Result<Option<Task<R>>, TimeoutError> {
        self.next_until(Deadline::at(deadline))
    }

    /// [`next_timeout`](Self::next_timeout) without waiting.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_next(&mut self) -> Result<Option<Task<R>>, TimeoutError> {
        self.next_timeout(Duration::ZERO)
    }

    /// The number of tasks that have not been handed out yet.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// The tasks that have not been handed out yet.
    pub fn into_pending(mut self) -> Vec<Task<R>> {
        mem::take(&mut self.tasks).into_iter().flatten().collect()
    }

    fn next_until(&mut self, deadline: Deadline) -> Result<Option<Task<R>>, TimeoutError> {
        let ready = Arc::clone(&self.ready);
        let Some(engine) = ready.engine.as_ref().filter(|_| self.pending > 0) else {
            return Ok(None);
        };
        let mut task = None;
        let waited = engine.wait_until(deadline, &mut || {
            task = self.take_ended();
            task.is_some()
        });
        if waited.is_err() {
            // Whoever asks this one for its result hears of the error.
            task = self.tasks.iter_mut().find_map(Option::take);
        }
        self.pending -= usize::from(task.is_some());
        task.map(Some).ok_or(TimeoutError::TimedOut)
    }

    fn take_ended(&mut self) -> Option<Task<R>> {
        loop {
            let at = self.ready.ended.lock().pop_front()?;
            let Some(task) = &self.tasks[at] else { continue };
            if task.is_decided() {
                return self.tasks[at].take();
            }
            // A part of it has: a waker is good for one call.
            let waker = Arc::new(Ended { at, ready: Arc::clone(&self.ready) });
            task.listen(&Waker::from(waker));
            if task.is_decided() {
                return self.tasks[at].take();
            }
        }
    }
}

impl<R> Iterator for AsCompleted<R> {
    type Item = Task<R>;

    fn next(&mut self) -> Option<Task<R>> {
        self.next_until(Deadline::never()).unwrap_or_default()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.pending, Some(self.pending))
    }
}

impl<R> FusedIterator for AsCompleted<R> {}
impl<R> ExactSizeIterator for AsCompleted<R> {}

impl<R> fmt::Debug for AsCompleted<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("pending", &self.pending).finish_non_exhaustive()
    }
}

/// How long [`wait`] waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitFor {
    /// Until one task has ended, one way or another.
    FirstDone,
    /// Until one task has ended without a result, or all with one.
    FirstFailed,
    /// Until all tasks have ended.
    AllDone,
}

/// Tasks that have ended, and those that have not.
#[derive(Debug)]
pub struct Waited<R> {
    /// Those that have ended, in the order of their ends.
    pub done: Vec<Task<R>>,
    /// The others.
    pub pending: Vec<Task<R>>,
}

/// Waits for tasks, of whichever pools.
#[doc(alias("FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"))]
pub fn wait<R>(tasks: impl IntoIterator<Item = Task<R>>, until: WaitFor) -> Waited<R> {
    wait_until(tasks, until, Deadline::never())
}

/// [`wait`] for at most `timeout`.
pub fn wait_timeout<R>(
    tasks: impl IntoIterator<Item = Task<R>>,
    until: WaitFor,
    timeout: Duration,
) -> Waited<R> {
    wait_until(tasks, until, Deadline::after(timeout))
}

/// [`wait`] until `deadline` at the latest.
pub fn wait_deadline<R>(
    tasks: impl IntoIterator<Item = Task<R>>,
    until: WaitFor,
    deadline: Instant,
) -> Waited<R> {
    wait_until(tasks, until, Deadline::at(deadline))
}

fn wait_until<R>(
    tasks: impl IntoIterator<Item = Task<R>>,
    until: WaitFor,
    deadline: Deadline,
) -> Waited<R> {
    let mut completed = as_completed(tasks);
    let mut done: Vec<Task<R>> = Vec::new();
    let mut is_enough = false;
    loop {
        // Once it is enough, those that have ended as well.
        let limit = if is_enough { Deadline::after(Duration::ZERO) } else { deadline };
        let Ok(Some(task)) = completed.next_until(limit) else { break };
        is_enough |= match until {
            WaitFor::FirstDone => true,
            WaitFor::FirstFailed => task.has_failed(),
            WaitFor::AllDone => false,
        };
        done.push(task);
    }
    Waited { done, pending: completed.into_pending() }
}
