mod batch;
mod borrowed;
mod error;
mod into;
mod joinable;
mod simple;

use std::{
    cell::RefCell,
    fmt,
    marker::PhantomData,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use mp_channel::{Ring, RingStats};
use mp_os::{Deadline, poll::Source};
use mp_process::decode_parts;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

pub use self::{
    batch::PutManyError,
    error::{GetError, PutError},
    joinable::JoinableQueue,
    simple::SimpleQueue,
};
use crate::Result;

thread_local! {
    /// The bytes of the item on its way in or out: kept for its warm memory.
    static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What a thread keeps of that memory after a large item. Less than the item, and a stream of such items would wait for
/// fresh pages with each of them.
const KEPT_LEN: usize = 4 << 20;

/// A bounded first-in, first-out queue of `T`s between any number of processes and threads.
///
/// A queue is a handle: cloning it or sending it in the arguments of a [`Process`](crate::Process) gives another handle of
/// the same queue. The items lie in shared memory that has no name, so nothing is left behind when the last handle goes.
///
/// What it promises, whoever is killed at whichever moment:
///
/// * an item is there for others, complete, when `put` returns, and it is not there at all if `put` never did;
/// * every item is received at most once; one that a killed process had received is gone with it;
/// * nobody waits for a dead process.
///
/// Unlike Python's queue it has no feeder thread: `put` blocks while the queue is full, a process may exit right after it,
/// and `is_empty` is exact. Items travel as [`serde`] bytes; a handle (of a queue, a file, a socket) cannot be an item,
/// because its descriptor cannot lie in memory. Whoever passes long ones on and keeps their memory has [`put_ref`](Self::put_ref)
/// and [`get_into`](Self::get_into).
///
/// # Examples
///
/// ```
/// use mp_core::{Process, Queue};
///
/// fn double((numbers, doubled): (Queue<u32>, Queue<u32>)) {
///     while let Ok(number) = numbers.get() {
///         doubled.put(2 * number).unwrap();
///     }
/// }
///
/// let (numbers, doubled) = (Queue::bounded(8)?, Queue::bounded(8)?);
/// let child = Process::spawn(double, (numbers.clone(), doubled.clone()))?;
/// numbers.put(21)?;
/// assert_eq!(doubled.get()?, 42);
/// numbers.close();
/// child.join()?;
/// # Ok::<(), mp_core::Error>(())
/// ```
pub struct Queue<T> {
    ring: Ring,
    item: PhantomData<fn(T) -> T>,
}

impl<T> Queue<T> {
    /// A new queue that holds up to `capacity` items.
    ///
    /// Its memory follows from the capacity, between 64 KiB and a few MiB, whatever the items' size: a larger item goes
    /// through memory of its own.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where `capacity` is zero or more than 2^31 - 1; an error with
    /// a hint where memory or descriptors are short.
    pub fn bounded(capacity: usize) -> Result<Self> {
        let ring = Ring::builder().items(capacity).create()?;
        Ok(Self { ring, item: PhantomData })
    }

    /// The number of items in the queue: exact, between the start and the end of the call.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether no item is in the queue.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Whether the queue holds [`capacity`](Self::capacity) items.
    pub fn is_full(&self) -> bool {
        self.len() >= self.capacity()
    }

    /// The number of items it can hold.
    pub fn capacity(&self) -> usize {
        self.ring.capacity()
    }

    /// Ends the queue for everybody: waiting and later `put`s fail with [`PutError::Closed`], `get`s take what is left and
    /// then fail with [`GetError::Closed`]. Closing it again changes nothing.
    pub fn close(&self) {
        self.ring.close();
    }

    /// Makes the [descriptor](AsFd) readable if there is an item, or as soon as there is one, and when the queue is closed.
    ///
    /// For `poll`, `epoll` and async runtimes: when [`try_get`](Self::try_get) has said [`GetError::Empty`], arm, wait for
    /// the descriptor, and get again, without waiting: others get too, and a `put` that was killed right before its end has said that
    /// there is something, so it may be empty.
    ///
    /// # Errors
    ///
    /// What `read(2)` and `write(2)` of an eventfd fail with.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_core::Queue;
    /// use std::os::fd::AsFd;
    /// # use mp_os::{Deadline, poll::{self, Interest}};
    ///
    /// let queue = Queue::bounded(8)?;
    /// queue.arm()?;
    /// queue.put(7)?;
    /// // In a program: epoll, or `AsyncFd` of tokio.
    /// # let (readable, never) = (Interest::Readable, Deadline::never());
    /// assert!(poll::wait(queue.as_fd(), readable, never).unwrap());
    /// assert_eq!(queue.try_get()?, 7);
    /// # Ok::<(), mp_core::Error>(())
    /// ```
    pub fn arm(&self) -> Result<()> {
        Ok(self.ring.arm()?)
    }

    /// What has gone through the queue so far, and how many processes were killed in the middle of a put or a get.
    pub fn stats(&self) -> RingStats {
        self.ring.stats()
    }

    /// Whether somebody has closed the queue. Items may be left.
    pub fn is_closed(&self) -> bool {
        self.ring.is_closed()
    }
}

impl<T: Serialize> Queue<T> {
    /// Appends `item`, waiting while the queue is full.
    ///
    /// # Errors
    ///
    /// [`PutError`], which gives the item back: the queue is closed, the item can never fit, or it cannot be serialized.
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_until(item, Deadline::never())
    }

    /// Appends `item` unless the queue is full.
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put), and [`PutError::Full`].
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_timeout(item, Duration::ZERO)
    }

    /// Appends `item`, waiting up to `timeout` while the queue is full.
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put), and [`PutError::Full`] when that has passed.
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutError<T>> {
        self.put_until(item, Deadline::after(timeout))
    }

    /// Appends `item`, waiting until `deadline` while the queue is full.
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put), and [`PutError::Full`] when that has passed.
    pub fn put_deadline(&self, item: T, deadline: Instant) -> Result<(), PutError<T>> {
        self.put_until(item, Deadline::at(deadline))
    }

    fn put_until(&self, item: T, deadline: Deadline) -> Result<(), PutError<T>> {
        self.push(&item, deadline).map_err(|error| error.with_item(item))
    }
}

impl<T: DeserializeOwned> Queue<T> {
    /// Takes the oldest item, waiting while the queue is empty.
    ///
    /// # Errors
    ///
    /// [`GetError::Closed`] once the queue is closed and empty; [`GetError::Decode`] where the item is not a `T`, which
    /// is then gone.
    pub fn get(&self) -> Result<T, GetError> {
        self.get_until(Deadline::never())
    }

    /// Takes the oldest item if there is one.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get), and [`GetError::Empty`].
    pub fn try_get(&self) -> Result<T, GetError> {
        self.get_timeout(Duration::ZERO)
    }

    /// Takes the oldest item, waiting up to `timeout` while the queue is empty.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get), and [`GetError::Empty`] when that has passed.
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, GetError> {
        self.get_until(Deadline::after(timeout))
    }

    /// Takes the oldest item, waiting until `deadline` while the queue is empty.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get), and [`GetError::Empty`] when that has passed.
    pub fn get_deadline(&self, deadline: Instant) -> Result<T, GetError> {
        self.get_until(Deadline::at(deadline))
    }

    fn get_until(&self, deadline: Deadline) -> Result<T, GetError> {
        with_bytes(|bytes| {
            let mut tail = Vec::new();
            self.ring.pop_parts_until(bytes, &mut tail, deadline)?;
            Ok(decode_parts(bytes, tail)?)
        })
    }
}

/// Runs `work` with an empty buffer.
fn with_bytes<R>(work: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    // Taken out: an item's own serializer may use a queue. And so may whatever is dropped at the end of the thread, after it.
    let mut bytes = BYTES.try_with(RefCell::take).unwrap_or_default();
    bytes.clear();
    let result = work(&mut bytes);
    bytes.clear();
    bytes.shrink_to(KEPT_LEN);
    drop(BYTES.try_with(|kept| kept.replace(bytes)));
    result
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { ring: self.ring.clone(), item: PhantomData }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("is_closed", &self.is_closed())
            .finish()
    }
}

/// Readable while there is an item, or the queue is closed, for whoever has [armed](Queue::arm) it. Never read from it.
impl<T> AsFd for Queue<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

impl<T> Source for Queue<T> {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }

    fn arm(&self) -> mp_os::Result<()> {
        self.ring.arm()
    }
}

/// A handle travels in process arguments and connection messages.
impl<T> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.ring.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { ring: Ring::deserialize(deserializer)?, item: PhantomData })
    }
}
