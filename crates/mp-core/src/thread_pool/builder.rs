use std::{
    fmt, io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use mp_os::Deadline;
use mp_process::cpu_count;

use super::{ThreadPool, crew::Crew};
use crate::{Error, Result, contained::contained, task::Engine, worker};

/// What each thread calls once.
type Hook = Box<dyn Fn() + Send + Sync>;

/// How a [`ThreadPool`] is made: those settings of a [`PoolBuilder`](crate::PoolBuilder) that threads can have.
///
/// # Examples
///
/// ```
/// use mp_core::ThreadPool;
///
/// let pool = ThreadPool::builder().workers(2).initializer(|level: u8| assert!(level < 9), 3)?.build()?;
/// assert_eq!(pool.map(|word: String| word.len(), ["a".into(), "pool".into()])?, [1, 4]);
/// # Ok::<(), mp_core::Error>(())
/// ```
#[must_use]
pub struct ThreadPoolBuilder {
    workers: Option<usize>,
    name: String,
    hooks: Hooks,
}

#[derive(Default)]
struct Hooks {
    initializer: Option<Hook>,
    exit: Option<Hook>,
}

impl ThreadPoolBuilder {
    pub(super) fn new() -> Self {
        Self { workers: None, name: "mp-thread".into(), hooks: Hooks::default() }
    }

    /// The number of threads; by default that of the processors that this process may use.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// The beginning of the threads' names, of which the kernel keeps 15 bytes.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// What each thread runs before its first task, such as to make what it
    /// [keeps from task to task](crate::worker::with_state).
    ///
    /// # Errors
    ///
    /// None: it is the method of all pools.
    pub fn initializer<A: Clone + Send + Sync + 'static>(
        mut self,
        function: impl Fn(A) + Send + Sync + 'static,
        args: A,
    ) -> Result<Self> {
        self.hooks.initializer = Some(Box::new(move || function(args.clone())));
        Ok(self)
    }

    /// What each thread runs after its last task. Where it panics, [`ThreadPool::join`] tells.
    ///
    /// # Errors
    ///
    /// None: it is the method of all pools.
    pub fn exit_hook<A: Clone + Send + Sync + 'static>(
        mut self,
        function: impl Fn(A) + Send + Sync + 'static,
        args: A,
    ) -> Result<Self> {
        self.hooks.exit = Some(Box::new(move || function(args.clone())));
        Ok(self)
    }

    /// Starts the pool, and waits for its initializers.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where the number of workers is zero or the name contains a NUL; an
    /// error of the operating system where a thread cannot be started; [`Error::Stopped`] where an initializer panics.
    pub fn build(self) -> Result<ThreadPool> {
        self.build_until(Deadline::never())
    }

    /// [`build`](Self::build) within `timeout`.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) where an initializer has not returned by then: its thread ends when it does.
    /// Otherwise as for [`build`](Self::build).
    pub fn build_timeout(self, timeout: Duration) -> Result<ThreadPool> {
        self.build_until(Deadline::after(timeout))
    }

    /// [`build`](Self::build) until `deadline` at the latest.
    ///
    /// # Errors
    ///
    /// As for [`build_timeout`](Self::build_timeout).
    pub fn build_deadline(self, deadline: Instant) -> Result<ThreadPool> {
        self.build_until(Deadline::at(deadline))
    }

    fn build_until(self, deadline: Deadline) -> Result<ThreadPool> {
        let mut pool = self.start()?;
        let crew = Arc::clone(&pool.crew);
        let is_decided = crew.wait_until(deadline, &mut || crew.is_ready() || crew.has_failed())?;
        if crew.has_failed() {
            pool.detach();
            return Err(Error::Stopped(crew.broken()));
        }
        if !is_decided {
            pool.detach();
            let error = mp_os::Error::new("start", "thread pool", io::ErrorKind::TimedOut.into());
            return Err(error.with_hint("its initializer has not returned").into());
        }
        Ok(pool)
    }

    fn start(self) -> Result<ThreadPool> {
        let refused =
            |reason| Err(mp_os::Error::invalid_input("start", "thread pool", reason).into());
        let workers = self.workers.unwrap_or_else(cpu_count);
        if workers == 0 {
            return refused("it would have no workers");
        }
        if self.name.contains('\0') {
            return refused("its name contains a NUL");
        }
        let (mut threads, crew) = (Vec::new(), Arc::new(Crew::new(workers)));
        let hooks = Arc::new(self.hooks);
        let built = rayon::ThreadPoolBuilder::new()
            .num_threads(workers)
            .spawn_handler(|thread| {
                let name = format!("{}-{}", self.name, thread.index() + 1);
                let (crew, hooks) = (Arc::clone(&crew), Arc::clone(&hooks));
                let run = move || serve(thread, &crew, hooks);
                threads.push(thread::Builder::new().name(name).spawn(run)?);
                Ok(())
            })
            .build();
        let rayon = built
            .map_err(|error| mp_os::Error::new("start", "thread pool", io::Error::other(error)))?;
        Ok(ThreadPool { rayon: Some(rayon), threads, crew })
    }
}

/// The life of a thread.
fn serve(thread: rayon::ThreadBuilder, crew: &Arc<Crew>, hooks: Arc<Hooks>) {
    crew.enlist();
    worker::as_worker(thread.index(), || {
        let is_ready = crew.call_hook(hooks.initializer.as_deref());
        crew.begin();
        thread.run();
        if is_ready {
            crew.call_hook(hooks.exit.as_deref());
        }
    });
    // What is the users' goes before the end is told of, whatever its destructors do.
    drop(contained(worker::drop_states));
    drop(contained(|| drop(hooks)));
    crew.end();
}

impl fmt::Debug for ThreadPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolBuilder")
            .field("workers", &self.workers)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
