//! Items that their owner keeps.

use std::{
    borrow::Borrow,
    time::{Duration, Instant},
};

use mp_os::Deadline;
use mp_process::encode_head;
use serde::Serialize;

use super::{PutError, Queue, with_bytes};

impl<T> Queue<T> {
    /// [`put`](Self::put) of an item that the caller keeps: a `&T`, or a `&str` for a `String`, a `&[u8]` for a `Vec<u8>`.
    ///
    /// So nothing has to be cloned for the queue, which copies what it needs anyway. The borrowed form must be serialized as
    /// the owned one is, as those of the standard library are; a receiver's error is [`GetError::Decode`](crate::GetError)
    /// otherwise.
    ///
    /// # Errors
    ///
    /// As for [`put`](Self::put), without the item.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_core::Queue;
    ///
    /// let (lines, chunks) = (Queue::<String>::bounded(8)?, Queue::<Vec<u8>>::bounded(8)?);
    /// lines.put_ref("no String was made")?;
    /// chunks.put_ref(&[7; 100_000][..])?;
    /// assert_eq!(lines.get()?, "no String was made");
    /// assert_eq!(chunks.get()?.len(), 100_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn put_ref<B>(&self, item: &B) -> Result<(), PutError<()>>
    where
        T: Borrow<B>,
        B: Serialize + ?Sized,
    {
        self.push(item, Deadline::never())
    }

    /// [`put_ref`](Self::put_ref) unless the queue is full.
    ///
    /// # Errors
    ///
    /// As for [`put_ref`](Self::put_ref), and [`PutError::Full`].
    pub fn try_put_ref<B>(&self, item: &B) -> Result<(), PutError<()>>
    where
        T: Borrow<B>,
        B: Serialize + ?Sized,
    {
        self.put_ref_timeout(item, Duration::ZERO)
    }

    /// [`put_ref`](Self::put_ref), waiting up to `timeout` while the queue is full.
    ///
    /// # Errors
    ///
    /// As for [`put_ref`](Self::put_ref), and [`PutError::Full`] when that has passed.
    pub fn put_ref_timeout<B>(&self, item: &B, timeout: Duration) -> Result<(), PutError<()>>
    where
        T: Borrow<B>,
        B: Serialize + ?Sized,
    {
        self.push(item, Deadline::after(timeout))
    }

    /// [`put_ref`](Self::put_ref), waiting until `deadline` while the queue is full.
    ///
    /// # Errors
    ///
    /// As for [`put_ref`](Self::put_ref), and [`PutError::Full`] when that has passed.
    pub fn put_ref_deadline<B>(&self, item: &B, deadline: Instant) -> Result<(), PutError<()>>
    where
        T: Borrow<B>,
        B: Serialize + ?Sized,
    {
        self.push(item, Deadline::at(deadline))
    }

    /// Appends the bytes of `item`.
    #[inline]
    pub(super) fn push<B>(&self, item: &B, deadline: Deadline) -> Result<(), PutError<()>>
    where
        B: Serialize + ?Sized,
    {
        with_bytes(|bytes| {
            let tail = encode_head(item, bytes)?;
            Ok(self.ring.push_parts_until(&[bytes, tail], deadline)?)
        })
    }
}
