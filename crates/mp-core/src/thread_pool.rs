use std::{
    any::Any,
    collections::VecDeque,
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::Waker,
    thread::{self, JoinHandle},
};

use mp_os::Deadline;
use mp_process::Panic;
use parking_lot::{Condvar, Mutex};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::{
    Error, PoolStopped, Result, Task, TaskError,
    pool::{Inbox, Order},
    task::{Engine, Mailbox},
    worker,
};

/// A number of threads with the methods of a [`Pool`](crate::Pool): the same program with threads instead of processes.
///
/// On [rayon](https://docs.rs/rayon). Nothing is serialized, so closures may capture, and what they return need not travel.
/// What threads cannot have: a task that aborts, overflows its stack or crashes takes the whole process with it, and one
/// that runs cannot be cancelled or timed.
///
/// # Examples
///
/// ```
/// use mp_core::ThreadPool;
///
/// let pool = ThreadPool::new(2)?;
/// assert_eq!(pool.map(|n: u64| n * n, 1..=4)?, [1, 4, 9, 16]);
/// let word = String::from("captured");
/// assert_eq!(pool.submit(move |n| word.len() + n, 2)?.get()?, 10);
/// # Ok::<(), mp_core::Error>(())
/// ```
pub struct ThreadPool {
    /// `None` once it has ended.
    rayon: Option<rayon::ThreadPool>,
    threads: Vec<JoinHandle<()>>,
    crew: Arc<Crew>,
}

/// What the threads and those who wait for them share.
#[derive(Default)]
struct Crew {
    is_closed: AtomicBool,
    /// Counts the calls that cancel all tasks which have not begun.
    epoch: AtomicU64,
    /// Counts changes, so that whoever waits looks without holding it and misses none.
    turn: Mutex<u64>,
    changed: Condvar,
}

impl ThreadPool {
    /// Starts a pool of `workers` threads.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where `workers` is zero; an error of the operating system where
    /// a thread cannot be started.
    pub fn new(workers: usize) -> Result<Self> {
        if workers == 0 {
            let error =
                mp_os::Error::invalid_input("start", "thread pool", "it would have no workers");
            return Err(error.into());
        }
        let mut threads = Vec::new();
        let built = rayon::ThreadPoolBuilder::new()
            .num_threads(workers)
            .spawn_handler(|thread| {
                let name = format!("mp-thread-{}", thread.index() + 1);
                let run = || {
                    worker::as_worker(thread.index(), || thread.run());
                    worker::drop_states();
                };
                threads.push(thread::Builder::new().name(name).spawn(run)?);
                Ok(())
            })
            .build();
        let rayon = built.map_err(|error| {
            mp_os::Error::new("start", "thread pool", std::io::Error::other(error))
        })?;
        Ok(Self { rayon: Some(rayon), threads, crew: Arc::default() })
    }

    /// The number of threads.
    pub fn workers(&self) -> usize {
        self.threads.len()
    }

    /// Runs `function` on each item and returns the results in the order of the items.
    ///
    /// # Errors
    ///
    /// [`Error::Task`] with the first failure, after all tasks have ended; [`Error::Stopped`] for a closed pool.
    #[doc(alias = "starmap")]
    pub fn map<A, R, F, I>(&self, function: F, items: I) -> Result<Vec<R>>
    where
        A: Send,
        R: Send,
        F: Fn(A) -> R + Sync,
        I: IntoIterator<Item = A>,
    {
        let rayon = self.open()?;
        let items: Vec<A> = items.into_iter().collect();
        let outcomes: Vec<_> =
            rayon.install(|| items.into_par_iter().map(|item| catch(|| function(item))).collect());
        Ok(outcomes.into_iter().collect::<Result<_, TaskError>>()?)
    }

    /// Runs `function` on each item, lazily: an iterator of the outcomes in the order of the items.
    ///
    /// Items are taken as threads need them, twice as many ahead as there are threads.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] for a closed pool.
    pub fn imap<A, R, F, I>(
        &self,
        function: F,
        items: I,
    ) -> Result<impl Iterator<Item = Result<R, TaskError>>>
    where
        A: Send + 'static,
        R: Send + 'static,
        F: Fn(A) -> R + Clone + Send + 'static,
        I: IntoIterator<Item = A>,
    {
        self.open()?;
        let mut items = items.into_iter();
        let mut ahead = VecDeque::new();
        Ok(std::iter::from_fn(move || {
            while ahead.len() < 2 * self.workers()
                && let Some(item) = items.next()
            {
                match self.submit(function.clone(), item) {
                    Ok(task) => ahead.push_back(Ok(task)),
                    Err(error) => ahead.push_back(Err(error.into())),
                }
            }
            Some(ahead.pop_front()?.and_then(Task::get))
        }))
    }

    /// Gives the pool one task. The handle gives the result, waits for it, or takes the task back before it begins.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] for a closed pool.
    #[doc(alias = "apply_async")]
    pub fn submit<A, R, F>(&self, function: F, argument: A) -> Result<Task<R>>
    where
        A: Send + 'static,
        R: Send + 'static,
        F: FnOnce(A) -> R + Send + 'static,
    {
        let rayon = self.open()?;
        let post = Arc::new(Post {
            inbox: Inbox::new(Order::OfEnds, VecDeque::new()),
            has_begun: AtomicBool::new(false),
        });
        let (crew, theirs) = (Arc::clone(&self.crew), Arc::clone(&post));
        let epoch = crew.epoch.load(Relaxed);
        rayon.spawn(move || {
            if crew.epoch.load(Relaxed) != epoch {
                theirs.withdraw();
            } else if theirs.begin() {
                theirs.put(catch(|| function(argument)));
            }
            crew.notify();
        });
        Ok(Task::new(Arc::clone(&self.crew) as _, post))
    }

    /// Runs one task and waits for its result.
    ///
    /// # Errors
    ///
    /// As for [`submit`](Self::submit), and [`Error::Task`] where the task fails.
    pub fn apply<A, R, F>(&self, function: F, argument: A) -> Result<R>
    where
        A: Send + 'static,
        R: Send + 'static,
        F: FnOnce(A) -> R + Send + 'static,
    {
        Ok(self.submit(function, argument)?.get()?)
    }

    /// Takes no more tasks; those it has are finished.
    pub fn close(&self) {
        self.crew.is_closed.store(true, Relaxed);
    }

    /// Closes the pool and waits until its tasks are finished and its threads have ended.
    pub fn join(mut self) {
        self.end();
    }

    /// Ends the pool: takes no more tasks, cancels those that have not begun where `cancel` says so, and waits for the
    /// others where `wait` does. Without waiting they are finished while this process goes on.
    ///
    /// # Errors
    ///
    /// None: it is the method of all pools.
    pub fn shutdown(mut self, wait: bool, cancel: bool) -> Result<()> {
        self.close();
        if cancel {
            self.crew.epoch.fetch_add(1, Relaxed);
        }
        if !wait {
            self.threads.clear();
        }
        self.end();
        Ok(())
    }

    fn open(&self) -> Result<&rayon::ThreadPool> {
        let rayon = self.rayon.as_ref().filter(|_| !self.crew.is_closed.load(Relaxed));
        rayon.ok_or(Error::Stopped(PoolStopped::Closed))
    }

    fn end(&mut self) {
        // The threads end with the last task.
        self.rayon = None;
        let this = thread::current().id();
        if self.threads.iter().any(|thread| thread.thread().id() == this) {
            // A task that ends its own pool: they wait for it, and end behind it.
            self.threads.clear();
        }
        for thread in self.threads.drain(..) {
            // No thread panics: tasks are caught.
            drop(thread.join());
        }
    }
}

/// Cancels the tasks that have not begun, and waits for those that run.
impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.crew.epoch.fetch_add(1, Relaxed);
        self.end();
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool").field("workers", &self.workers()).finish_non_exhaustive()
    }
}

fn catch<R>(task: impl FnOnce() -> R) -> Result<R, TaskError> {
    // A task owns what it got, or got it from many threads at once: nothing half-done is seen.
    panic::catch_unwind(AssertUnwindSafe(task))
        .map_err(|payload: Box<dyn Any + Send>| TaskError::Panicked(Panic::from_payload(&*payload)))
}

/// Where the outcome of a thread's task arrives.
struct Post<R> {
    inbox: Inbox<R, VecDeque<Result<R, TaskError>>>,
    /// Set by whoever comes first: the thread that runs it, or somebody who takes it back.
    has_begun: AtomicBool,
}

impl<R: Send> Post<R> {
    fn begin(&self) -> bool {
        !self.has_begun.swap(true, Relaxed)
    }

    fn put(&self, outcome: Result<R, TaskError>) {
        self.inbox.accept(outcome);
    }
}

impl<R: Send> Mailbox<R> for Post<R> {
    fn take(&self) -> Option<Result<R, TaskError>> {
        self.inbox.take()
    }

    fn is_done(&self) -> bool {
        self.inbox.is_done()
    }

    fn has_failed(&self) -> bool {
        self.inbox.has_failed()
    }

    fn listen(&self, waker: &Waker) {
        self.inbox.listen(waker);
    }

    fn withdraw(&self) -> bool {
        let is_first = self.begin();
        if is_first {
            self.put(Err(TaskError::Cancelled));
        }
        is_first
    }
}

impl Crew {
    fn notify(&self) {
        *self.turn.lock() += 1;
        self.changed.notify_all();
    }
}

impl Engine for Crew {
    fn wait_until(&self, deadline: Deadline, done: &mut dyn FnMut() -> bool) -> Result<bool> {
        loop {
            let seen = *self.turn.lock();
            if done() {
                return Ok(true);
            }
            if deadline.is_past() {
                return Ok(false);
            }
            let mut turn = self.turn.lock();
            if *turn == seen {
                match deadline.instant() {
                    None => self.changed.wait(&mut turn),
                    Some(instant) => drop(self.changed.wait_until(&mut turn, instant)),
                }
            }
        }
    }

    fn advance(&self) -> bool {
        false
    }

    fn rouse(&self) {
        self.notify();
    }

    fn cancel(&self, _: *const ()) -> bool {
        false
    }

    fn add_awaited(&self) {}

    fn remove_awaited(&self) {}
}
