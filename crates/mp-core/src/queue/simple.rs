use std::fmt;

use mp_os::Deadline;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{GetError, PutError, Queue};
use crate::Result;

/// The least of a queue: put, get, whether it is empty, close.
///
/// It is a [`Queue`] of 1,024 items. Python's `SimpleQueue` is a pipe under locks, whose `put` blocks when the pipe is
/// full; a process that is killed in the middle of it leaves the others waiting for ever, which this one does not.
///
/// # Examples
///
/// ```
/// use mp_core::{Process, SimpleQueue};
///
/// let queue = SimpleQueue::new()?;
/// let child = Process::spawn(|queue: SimpleQueue<u8>| queue.put(7).unwrap(), queue.clone())?;
/// assert_eq!(queue.get()?, 7);
/// assert!(queue.is_empty());
/// child.join()?;
/// # Ok::<(), mp_core::Error>(())
/// ```
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct SimpleQueue<T>(Queue<T>);

impl<T> SimpleQueue<T> {
    const CAPACITY: usize = 1024;

    /// A new queue.
    ///
    /// # Errors
    ///
    /// An error with a hint where memory or descriptors are short.
    pub fn new() -> Result<Self> {
        Queue::bounded(Self::CAPACITY).map(Self)
    }

    /// Whether no item is in the queue.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends the queue for everybody; see [`Queue::close`]. Closing it again changes nothing.
    pub fn close(&self) {
        self.0.close();
    }

    /// The same queue, with all that a [`Queue`] can do.
    pub fn as_queue(&self) -> &Queue<T> {
        &self.0
    }
}

impl<T: Serialize> SimpleQueue<T> {
    mp_os::family! {
        fails with (PutError<T>, PutError<T>, PutError<T>):
        /// Appends `item`, waiting while the queue is full.
        ///
        /// # Errors
        ///
        /// As for [`Queue::put`]; [`PutError::Full`] where it does not wait for longer.
        pub fn put, try_put, put_timeout, put_deadline(self: &Self, item: T) -> () = put_until;
    }

    fn put_until(&self, item: T, deadline: Deadline) -> Result<(), PutError<T>> {
        self.0.put_until(item, deadline)
    }
}

impl<T: DeserializeOwned> SimpleQueue<T> {
    mp_os::family! {
        fails with (GetError, GetError, GetError):
        /// Takes the oldest item, waiting while the queue is empty.
        ///
        /// # Errors
        ///
        /// As for [`Queue::get`]; [`GetError::Empty`] where it does not wait for longer.
        pub fn get, try_get, get_timeout, get_deadline(self: &Self) -> T = get_until;
    }

    fn get_until(&self, deadline: Deadline) -> Result<T, GetError> {
        self.0.get_until(deadline)
    }
}

impl<T> Clone for SimpleQueue<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for SimpleQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimpleQueue").field(&self.0).finish()
    }
}
