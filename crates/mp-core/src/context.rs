use mp_process::StartMethod;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Pool, PoolBuilder, Process, ProcessBuilder, Queue, Result};

/// A start method, and all that is started by it: Python's `get_context`.
///
/// For libraries, which have a method of their own and leave the [default](crate::set_start_method) to the program.
///
/// Here is what starts processes, and [`queue`](Self::queue) for what most of them are started with. Python's contexts have
/// the rest as well, because there a lock or a queue works only between processes of one method. Here they are the same by
/// every method, and work between processes of different ones, so each is made by its own type:
///
/// | Python | here |
/// |---|---|
/// | `ctx.Lock()`, `RLock()` | [`Lock::new`](crate::Lock::new), [`RLock::new`](crate::RLock::new) |
/// | `ctx.Semaphore(n)`, `BoundedSemaphore(n)` | [`Semaphore::new`](crate::Semaphore::new), [`BoundedSemaphore::new`](crate::BoundedSemaphore::new) |
/// | `ctx.Condition()`, `Event()`, `Barrier(n)` | [`Condition::new`](crate::Condition::new), [`Event::new`](crate::Event::new), [`Barrier::new`](crate::Barrier::new) |
/// | `ctx.Value(t, v)`, `Array(t, n)`, `RawValue`, `RawArray` | [`Value::new`](crate::Value::new), [`Array::new`](crate::Array::new) |
/// | `ctx.JoinableQueue(n)`, `SimpleQueue()` | [`JoinableQueue::bounded`](crate::JoinableQueue::bounded), [`SimpleQueue::new`](crate::SimpleQueue::new) |
/// | `ctx.Pipe(duplex)` | [`pipe`](crate::pipe), [`one_way_pipe`](crate::one_way_pipe) |
/// | `ctx.active_children()`, `cpu_count()` | [`active_children`](crate::active_children), [`cpu_count`](crate::cpu_count) |
/// | `ctx.set_forkserver_preload(...)` | [`set_forkserver_preload`](crate::set_forkserver_preload) |
///
/// # Examples
///
/// ```
/// use mp_core::{Context, Queue, StartMethod};
///
/// let spawn = Context::new(StartMethod::Spawn);
/// let queue = spawn.queue(1)?;
/// let child = spawn.spawn(|queue: Queue<u32>| queue.put(42).unwrap(), queue.clone())?;
/// assert_eq!(queue.get()?, 42);
/// child.join()?;
/// assert_eq!(spawn.pool(2)?.map(|n: u32| n + 1, [1, 2])?, [2, 3]);
/// # Ok::<(), mp_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[doc(alias = "get_context")]
pub struct Context {
    method: StartMethod,
}

impl Context {
    /// That of `method`. That of the default method at this moment is [`Context::default`].
    pub fn new(method: StartMethod) -> Self {
        Self { method }
    }

    /// Its method, for good.
    #[doc(alias = "get_start_method")]
    pub fn start_method(self) -> StartMethod {
        self.method
    }

    /// [`Process::spawn`] by this method.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn spawn<A, R>(self, function: fn(A) -> R, argument: A) -> Result<Process<R>>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        self.process().spawn(function, argument)
    }

    /// [`Process::builder`] with this method.
    pub fn process(self) -> ProcessBuilder {
        Process::builder().start_method(self.method)
    }

    /// [`Pool::new`] with workers by this method.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn pool(self, workers: usize) -> Result<Pool> {
        self.pool_builder().workers(workers).build()
    }

    /// [`Pool::builder`] with this method.
    pub fn pool_builder(self) -> PoolBuilder {
        Pool::builder().start_method(self.method)
    }

    /// [`Queue::bounded`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn queue<T: Serialize + DeserializeOwned>(self, capacity: usize) -> Result<Queue<T>> {
        Queue::bounded(capacity)
    }
}
