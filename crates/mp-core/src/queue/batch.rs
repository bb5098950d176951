//! Many items with one lock.

use std::{cell::RefCell, error, fmt, ops::Range};

use mp_channel::Batch;
use mp_os::Deadline;
use mp_process::{decode, encode};
use serde::{Serialize, de::DeserializeOwned};

use super::{GetError, PutError, Queue, with_bytes};

thread_local! {
    /// Items on their way out: kept for its warm memory.
    static BATCH: RefCell<Batch> = const { RefCell::new(Batch::new()) };
}

/// How many items are serialized before they are put together.
const CHUNK: usize = 64;

/// Not all items of a batch were put into a [`Queue`]; the rest comes back.
pub struct PutManyError<T> {
    /// How many items are in the queue.
    pub put: usize,
    /// Those that are not, in order.
    pub rest: Vec<T>,
    /// Why the first of them is not.
    pub error: PutError<()>,
}

impl<T> fmt::Debug for PutManyError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutManyError")
            .field("put", &self.put)
            .field("rest", &self.rest.len())
            .field("error", &self.error)
            .finish()
    }
}

impl<T> fmt::Display for PutManyError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} items were put, {} were not: {}", self.put, self.rest.len(), self.error)
    }
}

impl<T> error::Error for PutManyError<T> {}

impl<T: Serialize> Queue<T> {
    mp_os::family! {
        fails with (PutManyError<T>, PutManyError<T>, PutManyError<T>):
        /// Appends all `items`, in order, waiting while the queue is full: how many there were.
        ///
        /// One lock for up to 64 of them, between which other producers' items may come. Cheaper than as many
        /// [`put`](Self::put)s.
        ///
        /// # Errors
        ///
        /// As for [`put`](Self::put), with the items that were not put.
        ///
        /// # Examples
        ///
        /// ```
        /// let queue = mp_core::Queue::bounded(100)?;
        /// queue.put_many(0..10)?;
        /// let mut items = Vec::new();
        /// assert_eq!(queue.get_many(8, &mut items)?, 8);
        /// assert_eq!(items, [0, 1, 2, 3, 4, 5, 6, 7]);
        /// # Ok::<(), mp_core::Error>(())
        /// ```
        pub fn put_many, try_put_many, put_many_timeout, put_many_deadline(self: &Self, items: impl IntoIterator<Item = T>) -> usize = put_many_until;
    }

    pub(super) fn put_many_until(
        &self,
        items: impl IntoIterator<Item = T>,
        deadline: Deadline,
    ) -> Result<usize, PutManyError<T>> {
        let mut items = items.into_iter();
        let mut put = 0;
        loop {
            let mut chunk: Vec<T> = items.by_ref().take(CHUNK).collect();
            if chunk.is_empty() {
                return Ok(put);
            }
            let (done, error) = self.put_chunk(&chunk, deadline);
            put += done;
            if let Some(error) = error {
                let rest = chunk.drain(done..).chain(items).collect();
                return Err(PutManyError { put, rest, error });
            }
        }
    }

    /// How many went in, and why the next one did not.
    fn put_chunk(&self, items: &[T], deadline: Deadline) -> (usize, Option<PutError<()>>) {
        with_bytes(|bytes| {
            let (mut spans, mut failed) = (Vec::<Range<usize>>::with_capacity(items.len()), None);
            for item in items {
                let start = bytes.len();
                if let Err(error) = encode(item, bytes) {
                    failed = Some(error.into());
                    break;
                }
                spans.push(start..bytes.len());
            }
            let records = spans.iter().filter_map(|span| bytes.get(span.clone()));
            match self.ring.push_many_until(records, deadline) {
                Ok(pushed) => (pushed, failed),
                Err(error) => (error.pushed, Some(error.error.into())),
            }
        })
    }
}

impl<T: DeserializeOwned> Queue<T> {
    mp_os::family! {
        fails with (GetError, GetError, GetError):
        /// Takes the oldest items, at least one and at most `max`, waiting while the queue is empty, and appends them to
        /// `items`: how many. One lock for all.
        ///
        /// # Errors
        ///
        /// As for [`get`](Self::get). Where one is not a `T`, that one is gone and the others are in `items`.
        pub fn get_many, try_get_many, get_many_timeout, get_many_deadline(self: &Self, max: usize, items: &mut Vec<T>) -> usize = get_many_until;
    }

    fn get_many_until(
        &self,
        max: usize,
        items: &mut Vec<T>,
        deadline: Deadline,
    ) -> Result<usize, GetError> {
        let mut batch = BATCH.try_with(RefCell::take).unwrap_or_default();
        let popped = self.ring.pop_many_until(max, &mut batch, deadline);
        let mut failed = None;
        if popped.is_ok() {
            for bytes in &batch {
                match decode(bytes) {
                    Ok(item) => items.push(item),
                    Err(error) => failed = Some(error),
                }
            }
        }
        batch.clear();
        drop(BATCH.try_with(|kept| kept.replace(batch)));
        let count = popped?;
        failed.map_or(Ok(count), |error| Err(error.into()))
    }
}
