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

mod completed;

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

pub use self::completed::{
    AsCompleted, WaitFor, Waited, as_completed, try_wait, wait, wait_deadline, wait_timeout,
};
use crate::{Pool, PoolStats, Result, Task, TaskError, ThreadPool};

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
