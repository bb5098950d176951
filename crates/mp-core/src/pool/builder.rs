use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use mp_os::Deadline;
use mp_process::{Builder, StartMethod, TaskKey};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    batch::Blob,
    local::{self, Local},
    pool::Pool,
    slot::Initializer,
};
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
}

#[derive(Debug)]
pub(super) struct Settings {
    pub(super) workers: usize,
    pub(super) retries: u32,
    pub(super) chunk_size: Option<NonZeroU32>,
    pub(super) drop_grace: Duration,
    pub(super) initializer: Option<Initializer>,
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
            workers: std::thread::available_parallelism().map_or(1, Into::into),
            retries: 0,
            chunk_size: None,
            drop_grace: Duration::from_secs(1),
            initializer: None,
            name: format!("Pool-{}", POOLS.fetch_add(1, Relaxed)),
            start_method: StartMethod::default(),
        };
        Self { settings }
    }

    /// The number of workers; by default, one for each processor that this process may use.
    pub fn workers(mut self, workers: usize) -> Self {
        self.settings.workers = workers;
        self
    }

    /// How often a task is tried again when its worker dies of it; by default never. A task may then run more than once.
    ///
    /// A panic is an outcome, not a death: it is never retried.
    pub fn retries(mut self, retries: u32) -> Self {
        self.settings.retries = retries;
        self
    }

    /// The number of tasks that travel together in the maps; by default it follows from how long they take.
    ///
    /// Zero means the default.
    pub fn chunk_size(mut self, tasks: u32) -> Self {
        self.settings.chunk_size = NonZeroU32::new(tasks);
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

    /// How the workers are started.
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
        let key = TaskKey::of(function)?;
        self.settings.initializer = Some(Initializer { key, args: Blob::of(&args)? });
        Ok(self)
    }

    /// Starts the pool.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where the number of workers is zero; an error of the operating
    /// system where a worker cannot be started; [`Error::Stopped`] where the initializer failed.
    pub fn build(self) -> Result<Pool> {
        if self.settings.workers == 0 {
            return Err(
                mp_os::Error::invalid_input("start", "pool", "it would have no workers").into()
            );
        }
        let has_initializer = self.settings.initializer.is_some();
        let local = Local::new(self.settings)?;
        local.populate()?;
        let supervisor = local::supervise(&local)?;
        let pool = Pool { local, supervisor: Some(supervisor) };
        if has_initializer {
            pool.local.wait_until(Deadline::never(), || pool.local.is_ready_or_stopped())?;
            pool.local.check_open().map_err(Error::Stopped)?;
        }
        Ok(pool)
    }
}
