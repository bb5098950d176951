use std::{
    io,
    num::{NonZeroU32, NonZeroU64},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mp_os::Deadline;
use mp_process::{Builder, StartMethod, cpu_count};
use serde::{Serialize, de::DeserializeOwned};

use super::{handle::Handle, job::Options, local::Local, pool::Pool, serial, slot::Hook, staff};
use crate::{Error, Result};

/// Distinguishes the pools of a process in the names of their workers.
static POOLS: AtomicU64 = AtomicU64::new(1);

/// How a [`Pool`] is made.
///
/// # Examples
///
/// ```
/// use mp_core::Pool;
///
/// let pool = Pool::builder().workers(2).retries(1).initializer(|level: u8| assert!(level < 9), 3)?.build()?;
/// assert_eq!(pool.map(|word: String| word.len(), ["a".into(), "pool".into()])?, [1, 4]);
/// # Ok::<(), mp_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct PoolBuilder {
    settings: Settings,
    workers: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Settings {
    pub(super) options: Options,
    pub(super) drop_grace: Duration,
    pub(super) initializer: Option<Hook>,
    pub(super) exit_hook: Option<Hook>,
    pub(super) max_tasks: Option<NonZeroU64>,
    /// In bytes.
    pub(super) max_memory: Option<NonZeroU64>,
    pub(super) idle_timeout: Option<Duration>,
    /// How many deaths of workers in how long are too many.
    pub(super) restarts: Option<(u32, Duration)>,
    pub(super) is_serial: bool,
    name: String,
    start_method: StartMethod,
}

impl Settings {
    /// How the worker `id` is started.
    pub(super) fn worker(&self, id: u64) -> Builder {
        Builder::new()
            .name(format!("{}-worker-{}", self.name, id + 1))
            .start_method(self.start_method)
    }
}

impl PoolBuilder {
    pub(super) fn new() -> Self {
        let settings = Settings {
            options: Options::default(),
            drop_grace: Duration::from_secs(1),
            initializer: None,
            exit_hook: None,
            max_tasks: None,
            max_memory: None,
            idle_timeout: None,
            restarts: None,
            is_serial: false,
            name: format!("Pool-{}", POOLS.fetch_add(1, Relaxed)),
            start_method: match StartMethod::default() {
                StartMethod::Fork => StartMethod::Forkserver,
                method => method,
            },
        };
        Self { settings, workers: None }
    }

    /// The number of workers; by default, one for each processor that this process may use.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// How often a task is tried again when its worker dies of it; by default never. A task may then run more than once.
    ///
    /// It is tried again at once, by another worker. This is for deaths only, which a task cannot handle itself: a panic, an
    /// error that it returns and a time limit are outcomes. Which of these should be tried again, how often, and after which
    /// pause, the task knows best, and says in a loop of its own. Where another worker should try, as after
    /// [`TaskError::TimedOut`](crate::TaskError::TimedOut), its caller gives it to the pool again.
    ///
    /// # Examples
    ///
    /// Three attempts with a pause that grows, and one more such round if the worker dies:
    ///
    /// ```
    /// use std::{thread, time::Duration};
    /// use mp_core::{Pool, worker};
    ///
    /// /// Fails twice.
    /// fn fetch(page: u32) -> Result<u32, String> {
    ///     let attempts = worker::with_state(|| 0, |attempts| { *attempts += 1; *attempts });
    ///     if attempts < 3 { Err("busy".into()) } else { Ok(page + attempts) }
    /// }
    ///
    /// fn fetch_patiently(page: u32) -> Result<u32, String> {
    ///     for pause in [1, 10].map(Duration::from_millis) {
    ///         if let Ok(content) = fetch(page) {
    ///             return Ok(content);
    ///         }
    ///         thread::park_timeout(pause);
    ///     }
    ///     fetch(page)
    /// }
    ///
    /// let pool = Pool::builder().workers(1).retries(1).build()?;
    /// assert_eq!(pool.apply(fetch_patiently, 10)?, Ok(13));
    /// # Ok::<(), mp_core::Error>(())
    /// ```
    pub fn retries(mut self, retries: u32) -> Self {
        self.settings.options.retries = retries;
        self
    }

    /// The number of tasks that travel together in the maps; by default it follows from how long they take.
    ///
    /// Zero means the default.
    pub fn chunk_size(mut self, tasks: u32) -> Self {
        self.settings.options.chunk_size = NonZeroU32::new(tasks);
        self
    }

    /// How long a task may run; by default for ever.
    ///
    /// Then its worker is killed, as no other end is certain, the task fails with
    /// [`TaskError::TimedOut`](crate::TaskError::TimedOut), and the worker is replaced. It is not retried. All other tasks
    /// are run, those that were queued behind it too. The time begins with the task and not while it is queued. A worker
    /// that is stopped (`SIGSTOP`) before it begins a task is replaced after that time as well, and another one runs the task.
    pub fn task_timeout(mut self, limit: Duration) -> Self {
        self.settings.options.timeout = Some(limit);
        self
    }

    /// How many tasks a worker runs before it is replaced by a new one; by default, and where it is zero, any number.
    #[doc(alias = "maxtasksperchild")]
    pub fn max_tasks_per_child(mut self, tasks: u64) -> Self {
        self.settings.max_tasks = NonZeroU64::new(tasks);
        self
    }

    /// How many bytes of memory (`VmRSS`) a worker may have after a task before it is replaced by a new one; by default,
    /// and where it is zero, any number.
    ///
    /// It is looked at after messages of tasks, every millisecond at most.
    pub fn max_memory_per_child(mut self, bytes: u64) -> Self {
        self.settings.max_memory = NonZeroU64::new(bytes);
        self
    }

    /// How long the pool may have nothing to do before its workers end; the next task starts them again. By default they stay.
    pub fn idle_timeout(mut self, idle: Duration) -> Self {
        self.settings.idle_timeout = Some(idle);
        self
    }

    /// The pool breaks down ([`PoolStopped::Broken`](crate::PoolStopped::Broken)) when more than `restarts` workers have
    /// died within `period`; workers that ended because the pool wanted it do not count.
    ///
    /// By default any number may die of tasks. In any case five workers that die one after the other before they have
    /// done anything are too many.
    #[doc(alias = "intensity")]
    pub fn max_restarts(mut self, restarts: u32, period: Duration) -> Self {
        self.settings.restarts = Some((restarts, period));
        self
    }

    /// For debugging: no workers, tasks run in the calling thread, in the moment when they are given to the pool.
    ///
    /// Arguments and results are serialized all the same. There is nothing that could be killed: a task that exits ends
    /// this process, and time limits are not kept.
    #[doc(alias = "n_jobs")]
    pub fn serial(mut self) -> Self {
        self.settings.is_serial = true;
        self
    }

    /// How long dropping the pool waits for running tasks before it kills their workers; by default a second.
    pub fn drop_grace(mut self, grace: Duration) -> Self {
        self.settings.drop_grace = grace;
        self
    }

    /// The beginning of the workers' names in `ps(1)`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// How the workers are started: not by [`StartMethod::Fork`], which wants a process of one thread, and a pool has one of
    /// its own. Without this it is the [default](crate::set_start_method), or the fork server where that is fork.
    pub fn start_method(mut self, method: StartMethod) -> Self {
        self.settings.start_method = method;
        self
    }

    /// What each worker runs before its first task, also the ones that replace others.
    ///
    /// # Errors
    ///
    /// Where `function` is not of this executable, or `args` cannot be serialized.
    pub fn initializer<A>(mut self, function: fn(A), args: A) -> Result<Self>
    where
        A: Serialize + DeserializeOwned + 'static,
    {
        self.settings.initializer = Some(Hook::new(function, &args)?);
        Ok(self)
    }

    /// What each worker runs after its last task, unless it is killed or dies.
    ///
    /// Where it panics, [`Pool::join`] tells.
    ///
    /// # Errors
    ///
    /// Where `function` is not of this executable, or `args` cannot be serialized.
    pub fn exit_hook<A>(mut self, function: fn(A), args: A) -> Result<Self>
    where
        A: Serialize + DeserializeOwned + 'static,
    {
        self.settings.exit_hook = Some(Hook::new(function, &args)?);
        Ok(self)
    }

    /// Starts the pool.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where the number of workers is zero or they would be forked; an
    /// error of the operating system where a worker cannot be started; [`Error::Stopped`] where the initializer failed.
    pub fn build(self) -> Result<Pool> {
        self.build_until(Deadline::never())
    }

    /// [`build`](Self::build) within `timeout`: the fork server may be stopped, and an initializer may take for ever.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) where they are not ready by then: nothing is left of the pool. Otherwise as for
    /// [`build`](Self::build).
    pub fn build_timeout(self, timeout: Duration) -> Result<Pool> {
        self.build_until(Deadline::after(timeout))
    }

    /// [`build`](Self::build) until `deadline` at the latest.
    ///
    /// # Errors
    ///
    /// As for [`build_timeout`](Self::build_timeout).
    pub fn build_deadline(self, deadline: Instant) -> Result<Pool> {
        self.build_until(Deadline::at(deadline))
    }

    fn build_until(self, deadline: Deadline) -> Result<Pool> {
        let refused = |reason| Err(mp_os::Error::invalid_input("start", "pool", reason).into());
        // It takes a dozen system calls to find out how many processors there are.
        let workers = self.workers.unwrap_or_else(cpu_count);
        if workers == 0 {
            return refused("it would have no workers");
        }
        if self.settings.start_method == StartMethod::Fork && !self.settings.is_serial {
            return refused("it has threads, and fork wants a process of one");
        }
        let has_initializer = self.settings.initializer.is_some();
        let local = Local::new(workers, self.settings)?;
        if local.settings.is_serial {
            serial::begin(&local)?;
            return Ok(Pool { handle: Handle::new(local), supervisor: None });
        }
        let started = local.populate(deadline).and_then(|()| staff::supervise(&local));
        let supervisor = started.inspect_err(|_| local.abort())?;
        let pool = Pool { handle: Handle::new(Arc::clone(&local)), supervisor: Some(supervisor) };
        if has_initializer {
            if !local.wait_for(deadline, || local.is_ready_or_stopped())? {
                pool.terminate()?;
                let error = mp_os::Error::new("start", "pool", io::ErrorKind::TimedOut.into());
                return Err(error.with_hint("its initializer has not returned").into());
            }
            local.check_open().map_err(Error::Stopped)?;
        }
        Ok(pool)
    }
}
