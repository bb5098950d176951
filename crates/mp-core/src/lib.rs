//! Processes, pools of them, and queues between them: what Python's `multiprocessing` gives, in Rust, without its hangs
//! when a process dies.
//!
//! ```
//! use mp_core::{Pool, Process, Queue};
//!
//! fn greet((name, out): (String, Queue<String>)) { out.put(format!("hello {name}")).unwrap(); }
//!
//! fn main() -> mp_core::Result<()> {
//!     let out = Queue::bounded(16)?;
//!     let child = Process::spawn(greet, ("A".into(), out.clone()))?;
//!     println!("{}", out.get()?);
//!     child.join()?;
//!
//!     let squares = Pool::new(4)?.map(|n: u64| n * n, 1..=8)?;
//!     assert_eq!(squares, [1, 4, 9, 16, 25, 36, 49, 64]);
//!     Ok(())
//! }
//! ```
//!
//! No macro, no `init()`: it works the same in a binary, an example, a test, a doctest and a bench.
//!
//! | type | what it is |
//! |---|---|
//! | [`Process`], [`ProcessBuilder`] | a child process that runs one function, with its result, panic, exit code or signal |
//! | [`Context`], [`set_start_method`], [`set_forkserver_preload`] | how processes are started |
//! | [`current_process`], [`parent_process`], [`active_children`] | who is there |
//! | [`cpu_count`], [`ids`] | how many processors there are for this process, and who it is to the kernel |
//! | [`Pool`], [`PoolBuilder`] | a number of workers, and maps and single tasks for them |
//! | [`JobBuilder`] | one call of a pool with a time limit, retries, a chunk size of its own |
//! | [`Task`], [`Outcomes`] | what a pool owes: a future with `get` and `cancel`, and an iterator |
//! | [`ThreadPool`], [`ThreadPoolBuilder`], [`executor`] | the same with threads; tasks in the order of their ends |
//! | [`worker`] | inside a task: the worker's number, and what it keeps |
//! | [`Queue`], [`SimpleQueue`] | a bounded queue between any number of processes |
//! | [`JoinableQueue`] | a queue of tasks, and waiting until all of them are done |
//! | [`pipe`], [`one_way_pipe`], [`Connection`] | messages between two processes, with handles inside them |
//! | [`wait`], [`Source`] | for the first of many connections, processes, queues and sockets |
//! | `Ipc` (feature `ipc-channel`) | an end of a channel of the crate `ipc-channel`, which travels in arguments |
//! | [`Lock`], [`RLock`], [`Semaphore`], [`BoundedSemaphore`], [`Condition`], [`Event`], [`Barrier`] | waiting for each other; what the dead held comes back |
//! | [`Value`], [`Array`] | plain data in shared memory, and the locks that belong to it |
//! | [`SharedMemory`] | shared memory by name |
//! | [`ShareableList`], [`ListItem`] | a list in shared memory of numbers, texts and bytes, which Python sees too |
//! | [`Fd`] | a file, socket or pipe that travels in arguments |
//! | [`Error`] and [`TaskError`], [`ProcessError`], [`PutError`], [`GetError`], [`SendError`], [`RecvError`] | what can go wrong, for `?` and one by one |
//! | [`OsError`], [`FunctionError`], [`EncodeError`], [`DecodeError`], [`OutOfBounds`] | what some of these have inside |
//!
//! # When a process dies
//!
//! | who dies, at any moment | what the others see |
//! |---|---|
//! | a child | `join` returns [`ProcessError`] with the exit code or signal |
//! | a pool worker | the task that it ran fails with [`TaskError::WorkerDied`] or is retried; the worker is replaced; all other tasks complete |
//! | a pool worker whose task takes too long or is cancelled | it is killed by the pool: [`TaskError::TimedOut`], [`TaskError::Cancelled`] |
//! | a producer | items whose `put` had returned are in the queue, complete; one it was putting is not |
//! | a consumer | the item it was taking is in the queue or gone with it; the others go on |
//! | a consumer of a [`JoinableQueue`] | its tasks go to another one or become dead letters; `join` does not wait for them |
//! | the peer of a connection | what it sent, whole; then [`RecvError::Closed`] or [`SendError::Closed`], and [`wait`] says ready |
//! | who holds a lock, a permit, a place at a barrier | others have it within 50 ms; with a lock they are [told](LockError::OwnerDied) |
//! | who changes a [`Value`] | the value before or the value after, whole |
//! | the parent | its children are killed, and theirs; one that ends by itself waits for those that are no [daemons](ProcessBuilder::daemon) |
//! | the fork server | the next start makes another; running children are not its children |
//!
//! # Differences from Python
//!
//! A task is a function with one argument; several travel as a tuple, so `starmap` is `map`. `Queue.put` serializes and
//! publishes before it returns: there is no feeder thread, and no join that hangs until a queue is read. A worker that
//! dies takes one task with it and not the pool. Dropping a pool is a bounded graceful stop and then a kill; `join` waits
//! for all tasks. A process ends with its parent, unless it may [outlive](ProcessBuilder::outlive_parent) it; a daemon may have
//! children; and the default start method may be set at any time, because processes of all methods work together.
//!
//! What this crate does *not* do: other machines, untrusted peers, operating systems other than Linux 5.10 and newer on
//! x86-64 and aarch64.

#![forbid(unsafe_code)]

mod connection;
mod contained;
mod context;
mod error;
pub mod executor;
mod pool;
mod process;
mod queue;
mod shared;
mod sync;
mod task;
mod thread_pool;
pub mod worker;

#[cfg(feature = "ipc-channel")]
pub use ipc_channel;
pub use mp_channel::{Leased, RingStats};
pub use mp_os::{Deadline, Error as OsError, TimeoutError, TryError, poll::Source, transfer::Fd};
pub use mp_process::{
    AnyChild, AuthKey, Captured, CurrentProcess, DecodeError, EncodeError, Ids, Limit, Panic,
    ParentProcess, ProcessError, Signal, SpawnError, StartMethod, Stdio,
    TaskError as FunctionError, active_children, available_start_methods, cpu_count,
    current_process, ids, parent_process, set_forkserver_preload, set_start_method, start_method,
};
pub use mp_shm::{Memory, OutOfBounds};
pub use mp_sync::{BarrierError, LockError, MutexGuard, Permit, Pod, Recover, ReentrantGuard};

#[cfg(feature = "ipc-channel")]
pub use crate::connection::{Ipc, IpcEnd};
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use crate::pool::fuzz_pool;
pub use crate::{
    connection::{
        Connection, Duplex, Receives, RecvError, RecvOnly, SendError, SendOnly, Sends,
        one_way_pipe, pipe, try_wait, wait, wait_deadline, wait_timeout,
    },
    context::Context,
    error::{Error, PoolStopped, Result, TaskError},
    pool::{JobBuilder, Outcomes, Pool, PoolBuilder, PoolStats, WorkerStats},
    process::{JoinError, Process, ProcessBuilder},
    queue::{GetError, JoinableQueue, PutError, PutManyError, Queue, SimpleQueue},
    shared::{Array, ListItem, ShareableList, SharedMemory, Value},
    sync::{Barrier, BoundedSemaphore, Condition, ConditionGuard, Event, Lock, RLock, Semaphore},
    task::{GetTimeoutError, Task},
    thread_pool::{ThreadPool, ThreadPoolBuilder},
};
