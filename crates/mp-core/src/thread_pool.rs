mod builder;
mod crew;
mod maps;
mod meter;
mod waiting;

use std::{
    fmt, mem,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mp_os::Deadline;

pub use self::builder::ThreadPoolBuilder;
use self::{
    crew::{Crew, Post},
    waiting::Epoch,
};
use crate::{
    Error, PoolStats, PoolStopped, Result, Task, TaskError, contained::contained, task::Engine,
};

/// A number of threads with the methods of a [`Pool`](crate::Pool): the same program with threads instead of processes.
///
/// On [rayon](https://docs.rs/rayon). Nothing is serialized, so closures may capture, and what they return need not travel.
/// What threads cannot have: a task that aborts, overflows its stack or crashes takes the whole process with it, and one
/// that runs cannot be cancelled or timed; there are no retries and no replacements, as no worker dies; and the number of
/// threads stays, because rayon's does: to change it, [`close`](Self::close) the pool and make another one. What processes cannot have: a task may give its own pool another one and wait for
/// that without a deadline; it runs others meanwhile, on its own stack.
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

impl ThreadPool {
    /// Starts a pool of `workers` threads.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where `workers` is zero; an error of the operating system where
    /// a thread cannot be started.
    pub fn new(workers: usize) -> Result<Self> {
        Self::builder().workers(workers).build()
    }

    /// A pool with an initializer, an exit hook, ...
    pub fn builder() -> ThreadPoolBuilder {
        ThreadPoolBuilder::new()
    }

    /// The number of threads.
    pub fn workers(&self) -> usize {
        self.threads.len()
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
        self.post(1, move |crew, epoch| crew.meter(epoch).run(|| function(argument)))
    }

    /// Gives the pool what leads to the outcome of so many tasks.
    fn post<R: Send + 'static>(
        &self,
        tasks: u64,
        work: impl FnOnce(&Crew, Epoch) -> Result<R, TaskError> + Send + 'static,
    ) -> Result<Task<R>> {
        let rayon = self.open()?;
        let post = Arc::new(Post::new(&self.crew, tasks));
        let (crew, theirs) = (Arc::clone(&self.crew), Arc::clone(&post));
        let run = move |crew: &Crew| {
            if theirs.begin() {
                theirs.put(work(crew, theirs.epoch));
            }
        };
        rayon.spawn(move || {
            // With the last handle goes a result that nobody wants, whatever its destructor does.
            drop(contained(|| run(&crew)));
            crew.notify();
        });
        self.crew.call_helpers();
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

    /// What the threads have done so far.
    ///
    /// A task that runs others while it waits for them is busy with them too. The tasks of a map are counted in parts.
    pub fn stats(&self) -> PoolStats {
        self.crew.stats()
    }

    /// Cancels the tasks that have not begun: how many. Each hears of it when its turn comes. Those that run go on.
    pub fn cancel_queued(&self) -> u64 {
        self.crew.waiting.recall()
    }

    /// Ends the pool: cancels the tasks that have not begun, and waits for those that run, since no thread can be killed.
    ///
    /// # Errors
    ///
    /// As for [`join`](Self::join).
    pub fn terminate(self) -> Result<()> {
        self.shutdown(true, true)
    }

    /// Closes the pool and waits until its tasks are finished and its threads have ended; not in a task of its own, behind
    /// which it ends.
    ///
    /// # Errors
    ///
    /// [`Error::Task`] where an [exit hook](ThreadPoolBuilder::exit_hook) has panicked.
    pub fn join(mut self) -> Result<()> {
        self.end(Deadline::never())?;
        self.crew.outcome()
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
        match self.end(deadline) {
            Ok(true) => Ok(self.crew.outcome()),
            Ok(false) => Err(self),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Ends the pool: takes no more tasks, cancels those that have not begun where `cancel` says so, and waits for the
    /// others where `wait` does. Without waiting they are finished while this process goes on.
    ///
    /// # Errors
    ///
    /// As for [`join`](Self::join), where it waits.
    pub fn shutdown(mut self, wait: bool, cancel: bool) -> Result<()> {
        self.crew.check_ours("shut down")?;
        self.close();
        if cancel {
            self.cancel_queued();
        }
        if wait {
            return self.join();
        }
        self.detach();
        Ok(())
    }

    fn open(&self) -> Result<&rayon::ThreadPool> {
        self.crew.check_ours("give a task to")?;
        let rayon = self.rayon.as_ref().filter(|_| !self.crew.is_closed.load(Relaxed));
        rayon.ok_or(Error::Stopped(PoolStopped::Closed))
    }

    /// Leaves the threads to themselves: they end with the last task.
    fn detach(&mut self) {
        self.close();
        self.rayon = None;
        self.threads.clear();
    }

    /// Waits for the ends of the threads, which come after that of the last task: false when `deadline` has passed first.
    fn end(&mut self, deadline: Deadline) -> Result<bool> {
        if let Err(error) = self.crew.check_ours("end") {
            // What is left of it is memory, which goes with this process.
            mem::forget((self.rayon.take(), mem::take(&mut self.threads)));
            return Err(error);
        }
        self.close();
        self.rayon = None;
        let this = thread::current().id();
        if self.threads.iter().any(|thread| thread.thread().id() == this) {
            // A task that ends its own pool: they wait for it, and end behind it.
            self.threads.clear();
        }
        if !self.threads.is_empty()
            && !self.crew.wait_until(deadline, &mut || self.crew.is_over())?
        {
            return Ok(false);
        }
        for thread in self.threads.drain(..) {
            // No thread panics: what is of users is caught.
            drop(thread.join());
        }
        Ok(true)
    }
}

/// Cancels the tasks that have not begun, and waits for those that run.
impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.cancel_queued();
        // Without a deadline it waits until they have ended.
        drop(self.end(Deadline::never()));
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool").field("workers", &self.workers()).finish_non_exhaustive()
    }
}
