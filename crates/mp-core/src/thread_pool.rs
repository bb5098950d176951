mod crew;
mod maps;

use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::{self, JoinHandle},
};

use self::crew::{Crew, Post, catch};
use crate::{
    Error, PoolStopped, Result, Task, TaskError, contained::contained, task::Mailbox, worker,
};

/// A number of threads with the methods of a [`Pool`](crate::Pool): the same program with threads instead of processes.
///
/// On [rayon](https://docs.rs/rayon). Nothing is serialized, so closures may capture, and what they return need not travel.
/// What threads cannot have: a task that aborts, overflows its stack or crashes takes the whole process with it, and one
/// that runs cannot be cancelled or timed. What processes cannot have: a task may give its own pool another one and wait for
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
        if workers == 0 {
            let error =
                mp_os::Error::invalid_input("start", "thread pool", "it would have no workers");
            return Err(error.into());
        }
        let (mut threads, crew) = (Vec::new(), Arc::<Crew>::default());
        let built = rayon::ThreadPoolBuilder::new()
            .num_threads(workers)
            .spawn_handler(|thread| {
                let name = format!("mp-thread-{}", thread.index() + 1);
                let crew = Arc::clone(&crew);
                let run = move || {
                    crew.enlist();
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
        Ok(Self { rayon: Some(rayon), threads, crew })
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
        self.post(move || catch(|| function(argument)))
    }

    /// Gives the pool what leads to the outcome of one task.
    fn post<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<R, TaskError> + Send + 'static,
    ) -> Result<Task<R>> {
        let rayon = self.open()?;
        let post = Arc::new(Post::new());
        let (crew, theirs) = (Arc::clone(&self.crew), Arc::clone(&post));
        let epoch = crew.epoch.load(Relaxed);
        let run = move |crew: &Crew| {
            if crew.epoch.load(Relaxed) != epoch {
                theirs.withdraw();
            } else if theirs.begin() {
                theirs.put(work());
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

    /// Cancels the tasks that have not begun. Those that run go on.
    pub fn cancel_queued(&self) {
        self.crew.epoch.fetch_add(1, Relaxed);
    }

    /// Ends the pool: cancels the tasks that have not begun, and waits for those that run, since no thread can be killed.
    ///
    /// # Errors
    ///
    /// None: it is the method of all pools.
    pub fn terminate(self) -> Result<()> {
        self.shutdown(true, true)
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
            self.cancel_queued();
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
        self.cancel_queued();
        self.end();
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool").field("workers", &self.workers()).finish_non_exhaustive()
    }
}
