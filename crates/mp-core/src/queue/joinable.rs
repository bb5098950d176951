use std::{
    collections::VecDeque,
    fmt,
    marker::PhantomData,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use mp_channel::{Lease, Ring, RingStats};
use mp_os::{Deadline, TimeoutError, poll::Source};
use mp_process::decode;
use parking_lot::Mutex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use super::{GetError, PutError, PutManyError, Queue, with_bytes};
use crate::Result;

/// A [`Queue`] of tasks: who has got one says when it is done, and [`join`](Self::join) waits until all are.
///
/// A process has the tasks that it has got until it calls [`task_done`](Self::task_done) as often. When it ends without
/// that, killed or not, or drops its last handle, its tasks are *given up*: by default each becomes a dead letter at
/// once, [`dead_letter`](Self::dead_letter) hands it out, and nobody waits for it any more. With
/// [`with_deliveries`](Self::with_deliveries) it goes to another consumer first, some times. So `join` waits for the
/// living only; Python's waits for ever for a task that a dead process has taken along.
///
/// Cloning it gives another handle of the same queue; it travels in the arguments of a [`Process`](crate::Process).
///
/// # Examples
///
/// ```
/// use mp_core::{JoinableQueue, Process};
///
/// fn work(tasks: JoinableQueue<u32>) {
///     while let Ok(task) = tasks.get() {
///         assert_ne!(task, 13, "a task that kills");
///         tasks.task_done().unwrap();
///     }
/// }
///
/// let tasks = JoinableQueue::bounded(8)?;
/// let workers = [0, 1].map(|_| Process::spawn(work, tasks.clone()));
/// (10..16).try_for_each(|task| tasks.put(task))?;
/// tasks.join()?;
/// assert_eq!(tasks.dead_letter()?, Some(13));
/// tasks.close();
/// # for worker in workers { let _ = worker?.join(); }
/// # Ok::<(), mp_core::Error>(())
/// ```
pub struct JoinableQueue<T> {
    queue: Queue<T>,
    /// What this process has got through this handle and its clones, oldest first.
    held: Arc<Mutex<VecDeque<Lease>>>,
}

impl<T> JoinableQueue<T> {
    /// A new queue that holds up to `capacity` tasks, each of which is delivered once.
    ///
    /// Consumers together hold up to as many again, at least 1,024 and at most 65,536; [`get`](Self::get) waits beyond.
    ///
    /// # Errors
    ///
    /// As for [`Queue::bounded`].
    pub fn bounded(capacity: usize) -> Result<Self> {
        Self::with_deliveries(capacity, 1)
    }

    /// A new queue whose tasks are delivered up to `deliveries` times, 1 to 65,535, until one says that they are done.
    ///
    /// # Errors
    ///
    /// As for [`Queue::bounded`], and where `deliveries` is out of range.
    pub fn with_deliveries(capacity: usize, deliveries: u32) -> Result<Self> {
        let slots = capacity.clamp(1024, 65_536);
        let ring = Ring::builder().items(capacity).leases(slots, deliveries).create()?;
        Ok(Self::from_ring(ring))
    }

    fn from_ring(ring: Ring) -> Self {
        Self { queue: Queue { ring, item: PhantomData }, held: Arc::default() }
    }

    fn ring(&self) -> &Ring {
        &self.queue.ring
    }

    /// The oldest task that this process got through this handle is done.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where it was called more often than [`get`](Self::get).
    pub fn task_done(&self) -> Result<()> {
        // A copy that a fork made holds nothing, and says so.
        while let Some(lease) = self.pop_held() {
            if lease.ack()? {
                return Ok(());
            }
        }
        let reason = "`task_done` was called more often than `get`";
        Err(mp_os::Error::invalid_input("finish", "a task of a queue", reason).into())
    }

    /// Apart, so that the lock is free again when the lease is acknowledged.
    fn pop_held(&self) -> Option<Lease> {
        self.held.lock().pop_front()
    }

    /// Waits until every task that was put is done, or given up.
    ///
    /// # Errors
    ///
    /// What `futex(2)` fails with where a seccomp filter denies it.
    pub fn join(&self) -> Result<()> {
        self.join_until(Deadline::never()).map(drop)
    }

    /// [`join`](Self::join) for at most `timeout`: whether all are done.
    ///
    /// # Errors
    ///
    /// As for [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool> {
        self.join_until(Deadline::after(timeout))
    }

    /// [`join`](Self::join) until `deadline` at the latest: whether all are done.
    ///
    /// # Errors
    ///
    /// As for [`join`](Self::join).
    pub fn join_deadline(&self, deadline: Instant) -> Result<bool> {
        self.join_until(Deadline::at(deadline))
    }

    fn join_until(&self, deadline: Deadline) -> Result<bool> {
        match self.ring().wait_acked_until(deadline) {
            Ok(()) => Ok(true),
            Err(TimeoutError::Os(error)) => Err(error.into()),
            Err(_) => Ok(false),
        }
    }

    /// The number of tasks that nobody has got yet.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether every task has been got.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether the queue holds as many tasks as it can.
    pub fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    /// The number of tasks it can hold.
    pub fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// As for [`Queue::close`].
    pub fn close(&self) {
        self.queue.close();
    }

    /// Whether somebody has closed the queue.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// What has gone through the queue so far, and how many tasks are in somebody's hands or dead letters.
    pub fn stats(&self) -> RingStats {
        self.queue.stats()
    }

    /// As for [`Queue::arm`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn arm(&self) -> Result<()> {
        self.queue.arm()
    }
}

impl<T: Serialize> JoinableQueue<T> {
    mp_os::family! {
        fails with (PutManyError<T>, PutManyError<T>, PutManyError<T>):
        /// Appends all `tasks`, in order, waiting while the queue is full: how many there were.
        ///
        /// # Errors
        ///
        /// As for [`Queue::put_many`].
        ///
        /// # Examples
        ///
        /// ```
        /// let queue = mp_core::JoinableQueue::bounded(100)?;
        /// queue.put_many(0..10)?;
        /// let mut tasks = Vec::new();
        /// assert_eq!(queue.get_many(8, &mut tasks)?, 8);
        /// tasks.iter().try_for_each(|_| queue.task_done())?;
        /// assert_eq!(queue.len(), 2);
        /// # Ok::<(), mp_core::Error>(())
        /// ```
        pub fn put_many, try_put_many, put_many_timeout, put_many_deadline(self: &Self, tasks: impl IntoIterator<Item = T>) -> usize = put_many_until;
    }

    fn put_many_until(
        &self,
        tasks: impl IntoIterator<Item = T>,
        deadline: Deadline,
    ) -> Result<usize, PutManyError<T>> {
        self.queue.put_many_until(tasks, deadline)
    }

    mp_os::family! {
        fails with (PutError<T>, PutError<T>, PutError<T>):
        /// Appends `task`, waiting while the queue is full.
        ///
        /// # Errors
        ///
        /// As for [`Queue::put`]; [`PutError::Full`] where it does not wait for longer.
        pub fn put, try_put, put_timeout, put_deadline(self: &Self, task: T) -> () = put_until;
    }

    fn put_until(&self, task: T, deadline: Deadline) -> Result<(), PutError<T>> {
        self.queue.put_until(task, deadline)
    }
}

impl<T: DeserializeOwned> JoinableQueue<T> {
    mp_os::family! {
        fails with (GetError, GetError, GetError):
        /// Takes the oldest task, waiting while there is none; [`task_done`](Self::task_done) ends it.
        ///
        /// # Errors
        ///
        /// As for [`Queue::get`]; [`GetError::Empty`] where it does not wait for longer. A task that is not a `T` is done.
        pub fn get, try_get, get_timeout, get_deadline(self: &Self) -> T = get_until;
    }

    fn get_until(&self, deadline: Deadline) -> Result<T, GetError> {
        with_bytes(|bytes| {
            let lease = self.ring().lease_until(bytes, deadline)?;
            match decode(bytes) {
                Ok(task) => {
                    self.held.lock().push_back(lease);
                    Ok(task)
                }
                Err(error) => {
                    lease.ack()?;
                    Err(error.into())
                }
            }
        })
    }

    mp_os::family! {
        fails with (GetError, GetError, GetError):
        /// Takes the oldest tasks, at least one and at most `max`, waiting while there is none, and appends them to `tasks`:
        /// how many. Each wants a [`task_done`](Self::task_done) of its own, in this order.
        ///
        /// Each is got on its own: of a consumer that is killed in the middle, those that it had and those that it had got so
        /// far are given up, and the others are still in the queue.
        ///
        /// # Errors
        ///
        /// As for [`get`](Self::get). Where one is not a `T`, those before it are in `tasks`, and those after it in the queue.
        pub fn get_many, try_get_many, get_many_timeout, get_many_deadline(self: &Self, max: usize, tasks: &mut Vec<T>) -> usize = get_many_until;
    }

    fn get_many_until(
        &self,
        max: usize,
        tasks: &mut Vec<T>,
        deadline: Deadline,
    ) -> Result<usize, GetError> {
        for count in 0..max {
            // Only the first one is waited for.
            let got = if count == 0 { self.get_until(deadline) } else { self.try_get() };
            match got {
                Ok(task) => tasks.push(task),
                Err(GetError::Empty | GetError::Closed) if count > 0 => return Ok(count),
                Err(error) => return Err(error),
            }
        }
        Ok(max)
    }

    /// A task that was given up, if there is one; it is gone from the queue.
    ///
    /// # Errors
    ///
    /// [`GetError::Decode`] where it is not a `T`.
    pub fn dead_letter(&self) -> Result<Option<T>, GetError> {
        with_bytes(|bytes| {
            let Some(lease) = self.ring().dead_letter(bytes)? else { return Ok(None) };
            lease.ack()?;
            Ok(Some(decode(bytes)?))
        })
    }
}

impl<T> Clone for JoinableQueue<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), held: Arc::clone(&self.held) }
    }
}

impl<T> fmt::Debug for JoinableQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinableQueue")
            .field("queue", &self.queue)
            .field("held", &self.held.lock().len())
            .finish()
    }
}

/// As for [`Queue`]. Nobody rings for a task that a dead process had: wait for a bounded time, then get again.
impl<T> AsFd for JoinableQueue<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

impl<T> Source for JoinableQueue<T> {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }

    fn arm(&self) -> mp_os::Result<()> {
        self.ring().arm()
    }
}

/// A handle travels in process arguments and connection messages; what this process has got stays with it.
impl<T> Serialize for JoinableQueue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.queue.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for JoinableQueue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Queue::<T>::deserialize(deserializer).map(|queue| Self::from_ring(queue.ring))
    }
}
