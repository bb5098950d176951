use std::{
    fmt, io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use mp_os::Deadline;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    builder::PoolBuilder, handle::Handle, job::JobBuilder, local::Local, serial, stats::PoolStats,
    stream::Outcomes, supervisor,
};
use crate::{PoolStopped, Result, Task};

/// A fixed number of worker processes and the tasks they run.
///
/// A task is a function or a closure that captures nothing, and an argument that [`serde`] can take across. Workers are
/// replaced when they die, whatever they die of. A death fails the one task that the worker was running, with the cause
/// ([`TaskError::WorkerDied`](crate::TaskError::WorkerDied)), or retries it where [`PoolBuilder::retries`] says so: the
/// results of tasks before it are kept, and tasks after it run elsewhere. A panic fails its task only, and so does a result
/// that cannot be encoded or decoded.
///
/// The workers end when the pool is dropped, and when the process that made it dies.
///
/// # Examples
///
/// ```
/// use mp_core::Pool;
///
/// let pool = Pool::new(2)?;
/// assert_eq!(pool.map(|n: u64| n * n, 1..=4)?, [1, 4, 9, 16]);
///
/// let lengths: Result<Vec<_>, _> = pool.imap(|word: String| word.len(), ["one", "three"].map(String::from))?.collect();
/// assert_eq!(lengths?, [3, 5]);
/// # Ok::<(), mp_core::Error>(())
/// ```
pub struct Pool {
    pub(super) handle: Arc<Handle>,
    /// `None` once it is joined.
    pub(super) supervisor: Option<thread::JoinHandle<()>>,
}

impl Pool {
    /// Starts a pool of `workers` processes.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where `workers` is zero; an error of the operating system where
    /// one cannot be started.
    pub fn new(workers: usize) -> Result<Self> {
        Self::builder().workers(workers).build()
    }

    /// A pool with retries, an initializer, another start method, ...
    pub fn builder() -> PoolBuilder {
        PoolBuilder::new()
    }

    /// A call with a time limit, retries, a chunk size, ... of its own.
    pub fn job(&self) -> JobBuilder<'_> {
        JobBuilder { handle: &self.handle, options: self.handle.settings().options }
    }

    /// Runs `function` on each item and returns the results in the order of the items.
    ///
    /// Items are taken as the workers need them, and travel in chunks whose size follows from how long a task takes.
    ///
    /// # Errors
    ///
    /// [`Error::Task`](crate::Error::Task) with the first failure, after all tasks have ended; [`Error::Stopped`](crate::Error::Stopped) where the pool ends first.
    ///
    /// # Examples
    ///
    /// Several arguments travel as a tuple, and what all tasks need goes into [`map_with`](Self::map_with): a closure that
    /// captures is refused by the compiler.
    ///
    /// ```
    /// # use mp_core::Pool;
    /// assert_eq!(Pool::new(2)?.map(|(a, b): (u32, u32)| a * b, [(2, 3), (4, 5)])?, [6, 20]);
    /// # Ok::<(), mp_core::Error>(())
    /// ```
    ///
    /// ```compile_fail,E0308
    /// # use mp_core::Pool;
    /// let two = 2;
    /// Pool::new(2)?.map(|n: u32| n * two, [1, 2])?;
    /// # Ok::<(), mp_core::Error>(())
    /// ```
    #[doc(alias = "starmap")]
    pub fn map<A, R, I>(&self, function: fn(A) -> R, items: I) -> Result<Vec<R>>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        self.job().map(function, items)
    }

    /// [`map`](Self::map) with a value that is sent once to each worker, such as a table, a queue or a lock.
    ///
    /// # Errors
    ///
    /// As for [`map`](Self::map); an error where `shared` cannot be serialized.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_core::{Pool, Queue};
    ///
    /// let log = Queue::bounded(8)?;
    /// Pool::new(2)?.map_with(&log, |log: &Queue<u32>, n: u32| log.put(n).unwrap(), [1, 2, 3])?;
    /// assert_eq!(log.len(), 3);
    /// # Ok::<(), mp_core::Error>(())
    /// ```
    pub fn map_with<S, A, R, I>(
        &self,
        shared: &S,
        function: fn(&S, A) -> R,
        items: I,
    ) -> Result<Vec<R>>
    where
        S: Serialize + DeserializeOwned + Send + 'static,
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        self.job().map_with(shared, function, items)
    }

    /// Runs `function` on each item, lazily: an iterator of the outcomes in the order of the items.
    ///
    /// # Errors
    ///
    /// Where `function` is not of this executable, or the pool has ended.
    pub fn imap<A, R, I>(&self, function: fn(A) -> R, items: I) -> Result<Outcomes<I::IntoIter, R>>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        self.job().imap(function, items)
    }

    /// [`imap`](Self::imap) whose outcomes come as the tasks end.
    ///
    /// # Errors
    ///
    /// As for [`imap`](Self::imap).
    pub fn imap_unordered<A, R, I>(
        &self,
        function: fn(A) -> R,
        items: I,
    ) -> Result<Outcomes<I::IntoIter, R>>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        self.job().imap_unordered(function, items)
    }

    /// [`map`](Self::map) without waiting: all items are taken at once, and the handle gives all results.
    ///
    /// # Errors
    ///
    /// As for [`submit`](Self::submit); an item that cannot be serialized is a failure of its task.
    #[doc(alias = "starmap_async")]
    pub fn map_async<A, R, I>(&self, function: fn(A) -> R, items: I) -> Result<Task<Vec<R>>>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        self.job().map_async(function, items)
    }

    /// Gives the pool one task. The handle gives the result, waits for it, or cancels it.
    ///
    /// # Errors
    ///
    /// Where `function` is not of this executable, `argument` cannot be serialized, or the pool has ended.
    #[doc(alias = "apply_async")]
    pub fn submit<A, R>(&self, function: fn(A) -> R, argument: A) -> Result<Task<R>>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        self.job().submit(function, argument)
    }

    /// Runs one task and waits for its result.
    ///
    /// # Errors
    ///
    /// As for [`submit`](Self::submit), and [`Error::Task`](crate::Error::Task) where the task fails.
    pub fn apply<A, R>(&self, function: fn(A) -> R, argument: A) -> Result<R>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        self.job().apply(function, argument)
    }

    /// The process ids of the workers there are right now: none for a copy of this process by `fork(2)`.
    pub fn pids(&self) -> Vec<u32> {
        self.handle.ours("look at").map_or_else(|_| Vec::new(), |local| local.pids())
    }

    /// The number of workers that the pool keeps.
    pub fn workers(&self) -> usize {
        self.handle.workers()
    }

    /// Keeps `workers` workers from now on, while tasks run.
    ///
    /// New ones are started at once. Those that are too many end when they have finished the task that they run; what was
    /// queued for them goes to others.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where `workers` is zero.
    pub fn resize(&self, workers: usize) -> Result<()> {
        self.handle.ours("resize")?.resize(workers)
    }

    /// What the workers have done so far: nothing for a copy of this process by `fork(2)`.
    pub fn stats(&self) -> PoolStats {
        self.handle.ours("look at").map_or_else(|_| PoolStats::default(), |local| local.stats())
    }

    /// Cancels the tasks that have not begun: how many. Those that run go on.
    pub fn cancel_queued(&self) -> u64 {
        self.handle.ours("cancel tasks of").map_or(0, |local| local.cancel_queued())
    }

    /// Takes no more tasks; those it has are finished.
    pub fn close(&self) {
        if let Ok(local) = self.handle.ours("close") {
            local.close();
        }
    }

    /// Closes the pool and waits until its tasks are finished and its workers have ended.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`](crate::Error::Stopped) where the pool broke down before that;
    /// [`Deadlock`](io::ErrorKind::Deadlock) in a [callback](Task::on_done) that the pool waits for.
    pub fn join(self) -> Result<()> {
        match self.join_until(Deadline::never()) {
            Ok(outcome) => outcome,
            Err(pool) => pool.handle.ours("join")?.outcome(),
        }
    }

    /// [`join`](Self::join) for at most `timeout`.
    ///
    /// # Errors
    ///
    /// The pool, closed, when that has passed; otherwise as for [`join`](Self::join).
    pub fn join_timeout(self, timeout: Duration) -> Result<Result<()>, Self> {
        self.join_until(Deadline::after(timeout))
    }

    /// [`join`](Self::join) until `deadline` at the latest.
    ///
    /// # Errors
    ///
    /// The pool, closed, when that has passed; otherwise as for [`join`](Self::join).
    pub fn join_deadline(self, deadline: Instant) -> Result<Result<()>, Self> {
        self.join_until(Deadline::at(deadline))
    }

    fn join_until(mut self, deadline: Deadline) -> Result<Result<()>, Self> {
        let local = match self.handle.ours("join") {
            Ok(local) => Arc::clone(local),
            Err(error) => return Ok(Err(error)),
        };
        local.close();
        if supervisor::supervised(&local).is_some() {
            let error = mp_os::Error::new("join", "pool", io::ErrorKind::Deadlock.into());
            return Ok(Err(error.with_hint("it waits for this callback").into()));
        }
        if self.end(&local, deadline) { Ok(local.outcome()) } else { Err(self) }
    }

    /// Ends the pool as Python's executors do: takes no more tasks, cancels those that have not begun where `cancel` says
    /// so, and waits for the others where `wait` does. Without waiting they are finished while this process goes on.
    ///
    /// # Errors
    ///
    /// As for [`join`](Self::join), where it waits.
    pub fn shutdown(mut self, wait: bool, cancel: bool) -> Result<()> {
        let local = self.handle.ours("shut down")?;
        local.close();
        if cancel {
            local.cancel_queued();
        }
        if wait {
            return self.join();
        }
        // The supervisor ends with the last worker, and holds what it needs.
        self.supervisor = None;
        Ok(())
    }

    /// Kills the workers; tasks that have no result yet fail with [`TaskError::Stopped`](crate::TaskError::Stopped).
    ///
    /// # Errors
    ///
    /// Where the operating system refuses to kill a worker, which then ends with this process at the latest.
    #[doc(alias("kill_workers", "terminate_workers"))]
    pub fn terminate(mut self) -> Result<()> {
        self.stop()
    }

    /// Kills the workers and waits for their ends.
    fn stop(&mut self) -> Result<()> {
        let local = Arc::clone(self.handle.ours("terminate")?);
        let stopped = local.stop(PoolStopped::Terminated);
        if stopped.is_ok() && supervisor::supervised(&local).is_none() {
            self.end(&local, Deadline::never());
        } else {
            // It would be waited for in vain, by itself or because of a worker that cannot be killed.
            self.supervisor = None;
        }
        stopped
    }

    /// Ends the pool as its drop does, in a thread of its own: for the supervisor, which cannot wait for itself.
    fn end_elsewhere(&mut self, local: &Arc<Local>) {
        self.supervisor = None;
        let theirs = Arc::clone(local);
        let end = move || {
            if !theirs.wait_over(Deadline::after(theirs.settings.drop_grace)) {
                drop(theirs.stop(PoolStopped::Terminated));
            }
        };
        if thread::Builder::new().name("mp-pool-end".into()).spawn(end).is_err() {
            // Without a thread there is no grace.
            drop(local.stop(PoolStopped::Terminated));
        }
    }

    /// Waits for the end of the supervisor, which comes after that of the workers.
    fn end(&mut self, local: &Local, deadline: Deadline) -> bool {
        if local.settings.is_serial {
            serial::end(local);
            return true;
        }
        if !local.wait_over(deadline) {
            return false;
        }
        // It neither panics nor has a result.
        self.supervisor.take().map(thread::JoinHandle::join);
        true
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let Ok(local) = self.handle.ours("drop").cloned() else { return };
        if self.supervisor.is_none() && !local.settings.is_serial {
            return;
        }
        local.close();
        local.cancel_queued();
        if supervisor::supervised(&local).is_some() {
            return self.end_elsewhere(&local);
        }
        if !self.end(&local, Deadline::after(local.settings.drop_grace)) {
            // A worker that cannot be killed is no reason to wait, and there is nobody to tell.
            drop(self.stop());
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("pids", &self.pids()).finish_non_exhaustive()
    }
}
