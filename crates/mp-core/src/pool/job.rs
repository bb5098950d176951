use std::{
    collections::VecDeque,
    num::{NonZeroU32, NonZeroU64},
    sync::Arc,
    time::Duration,
};

use mp_os::Deadline;
use mp_process::TaskKey;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    batch::{Batch, Blob, Function, Job},
    feed::{BATCH_LEN, Feed, UNBOUNDED},
    handle::Handle,
    inbox::{Gathered, Inbox, Order, Sink, Values},
    local::Local,
    stream::Outcomes,
};
use crate::{Error, Result, Task, TaskError};

/// How the tasks of one call are run: [`Pool::job`](super::Pool::job).
///
/// It begins with what the [`PoolBuilder`](super::PoolBuilder) was told, and has the methods of the pool.
///
/// # Examples
///
/// ```
/// use mp_core::{Pool, TaskError};
/// use std::time::Duration;
///
/// let pool = Pool::new(2)?;
/// let spin = |stuck: bool| while stuck { std::hint::spin_loop() };
/// let job = pool.job().timeout(Duration::from_millis(500));
/// let outcomes: Vec<_> = job.imap(spin, [false, true, false])?.collect();
/// assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
/// assert!(matches!(outcomes[1], Err(TaskError::TimedOut(_))));
/// # Ok::<(), mp_core::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "it does nothing before one of its methods is given tasks"]
pub struct JobBuilder<'pool> {
    pub(super) handle: &'pool Arc<Handle>,
    pub(super) options: Options,
}

/// What a job may have of its own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    pub(super) chunk_size: Option<NonZeroU32>,
    pub(super) max_in_flight: Option<NonZeroU64>,
    pub(super) retries: u32,
    pub(super) timeout: Option<Duration>,
}

/// A function, and whether it is this job's own.
type FunctionOf = (Arc<Function>, bool);

impl<'pool> JobBuilder<'pool> {
    /// The number of tasks that travel together; by default, and where it is zero, it follows from how long they take.
    #[doc(alias = "chunksize")]
    pub fn chunk_size(mut self, tasks: u32) -> Self {
        self.options.chunk_size = NonZeroU32::new(tasks);
        self
    }

    /// The most tasks that have been taken from the iterator of arguments and whose outcomes have not been taken.
    ///
    /// By default, and where it is zero, it follows from how long tasks take. It is for [`imap`](Self::imap) and
    /// [`imap_unordered`](Self::imap_unordered).
    #[doc(alias = "buffersize")]
    pub fn max_in_flight(mut self, tasks: u64) -> Self {
        self.options.max_in_flight = NonZeroU64::new(tasks);
        self
    }

    /// How often a task is tried again when its worker dies of it: see [`PoolBuilder::retries`](super::PoolBuilder::retries).
    pub fn retries(mut self, retries: u32) -> Self {
        self.options.retries = retries;
        self
    }

    /// How long a task may run: see [`PoolBuilder::task_timeout`](super::PoolBuilder::task_timeout).
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.options.timeout = Some(limit);
        self
    }

    /// [`Pool::map`](super::Pool::map).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn map<A, R, I>(&self, function: fn(A) -> R, items: I) -> Result<Vec<R>>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        self.collect((self.local()?.function(TaskKey::of(function)?), false), items)
    }

    /// [`Pool::map_with`](super::Pool::map_with).
    ///
    /// # Errors
    ///
    /// As there.
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
        let key = TaskKey::with_shared(function)?;
        self.collect((self.local()?.function_with(key, Blob::of(shared)?), true), items)
    }

    /// [`Pool::imap`](super::Pool::imap).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn imap<A, R, I>(&self, function: fn(A) -> R, items: I) -> Result<Outcomes<I::IntoIter, R>>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        let function = self.local()?.function(TaskKey::of(function)?);
        self.outcomes((function, false), Order::OfTasks, items)
    }

    /// [`Pool::imap_unordered`](super::Pool::imap_unordered).
    ///
    /// # Errors
    ///
    /// As there.
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
        let function = self.local()?.function(TaskKey::of(function)?);
        self.outcomes((function, false), Order::OfEnds, items)
    }

    /// [`imap`](Self::imap) with a value that is sent once to each worker, as [`map_with`](Self::map_with) has one.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn imap_with<S, A, R, I>(
        &self,
        shared: &S,
        function: fn(&S, A) -> R,
        items: I,
    ) -> Result<Outcomes<I::IntoIter, R>>
    where
        S: Serialize + DeserializeOwned + Send + 'static,
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        let local = self.local()?;
        local.check_open().map_err(Error::Stopped)?;
        let key = TaskKey::with_shared(function)?;
        let function = local.function_with(key, Blob::of(shared)?);
        self.outcomes((function, true), Order::OfTasks, items)
    }

    /// [`Pool::submit`](super::Pool::submit).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn submit<A, R>(&self, function: fn(A) -> R, argument: A) -> Result<Task<R>>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        let local = self.local()?;
        let function = local.function(TaskKey::of(function)?);
        let inbox = Arc::new(Inbox::new(Order::OfEnds, VecDeque::new()));
        let mut batch = Batch::new(Arc::clone(&inbox) as _, function, 0, self.options);
        batch.guard();
        let mut argument = Some(argument);
        batch
            .fill(|| argument.take(), |count, _| count == 0)
            .map_err(|error| TaskError::Unencodable(error.into()))?;
        local.submit(batch)?;
        Ok(Task::new(Arc::clone(self.handle) as _, inbox))
    }

    /// [`Pool::map_async`](super::Pool::map_async).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn map_async<A, R, I>(&self, function: fn(A) -> R, items: I) -> Result<Task<Vec<R>>>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        let local = self.local()?;
        let function = local.function(TaskKey::of(function)?);
        local.check_open().map_err(Error::Stopped)?;
        let mut items = items.into_iter().collect::<VecDeque<_>>();
        let gathered = Arc::new(Gathered::new(items.len()));
        // As in Python: nothing is known of the tasks yet.
        let share = items.len().div_ceil(4 * local.size()) as u32;
        let chunk_size = self.options.chunk_size.map_or(share, NonZeroU32::get);
        let mut given = 0;
        while !items.is_empty() {
            let job = Arc::clone(&gathered) as _;
            let mut batch = Batch::new(job, Arc::clone(&function), given, self.options);
            batch.guard();
            let wants = |count, len| count < chunk_size && len < BATCH_LEN;
            let filled = batch.fill(|| items.pop_front(), wants);
            given += u64::from(batch.count);
            let submitted = if batch.count > 0 { local.submit(batch) } else { Ok(()) };
            if let Err(error) = submitted {
                gathered.abandon();
                return Err(error);
            }
            if let Err(error) = filled {
                gathered.fail(given, 1, &TaskError::Unencodable(error.into()));
                given += 1;
            }
        }
        Ok(Task::new(Arc::clone(self.handle) as _, gathered))
    }

    /// [`Pool::apply`](super::Pool::apply).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn apply<A, R>(&self, function: fn(A) -> R, argument: A) -> Result<R>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        Ok(self.submit(function, argument)?.get()?)
    }

    fn local(&self) -> Result<&'pool Arc<Local>> {
        self.handle.ours("give a task to")
    }

    fn collect<A, R, I>(&self, function: FunctionOf, items: I) -> Result<Vec<R>>
    where
        A: Serialize,
        R: DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        let items = items.into_iter();
        let values = Values { values: Vec::with_capacity(items.size_hint().0), error: None };
        let mut feed = self.feed(function, Order::OfTasks, values, items);
        while !feed.is_complete() {
            let due = feed.inbox.due();
            feed.feed(UNBOUNDED)?;
            let enough = |feed: &Feed<_, _, _>| feed.is_complete() || feed.inbox.due() > due;
            feed.wait(UNBOUNDED, Deadline::never(), enough)?;
        }
        Ok(feed.inbox.take_values()?)
    }

    fn outcomes<A, R, I>(
        &self,
        function: FunctionOf,
        order: Order,
        items: I,
    ) -> Result<Outcomes<I::IntoIter, R>>
    where
        A: Serialize,
        R: DeserializeOwned + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        self.local()?.check_open().map_err(Error::Stopped)?;
        let mut feed = self.feed(function, order, VecDeque::new(), items.into_iter());
        feed.feed(0)?;
        Ok(Outcomes { feed, taken: 0, refusal: None })
    }

    fn feed<A, R, S, I>(
        &self,
        function: FunctionOf,
        order: Order,
        sink: S,
        items: I,
    ) -> Feed<I, R, S>
    where
        A: Serialize,
        R: DeserializeOwned + Send + 'static,
        S: Sink<R> + 'static,
        I: Iterator<Item = A>,
    {
        Feed::new(self.handle, self.options, Inbox::new(order, sink), function, items)
    }
}

impl std::fmt::Debug for JobBuilder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.options.fmt(f)
    }
}
