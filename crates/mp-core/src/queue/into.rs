//! Items that come into memory which the receiver has.

use std::{
    mem,
    time::{Duration, Instant},
};

use mp_os::Deadline;
use mp_process::{decode, decode_parts};

use super::{GetError, Queue, with_bytes};

impl Queue<Vec<u8>> {
    /// [`get`](Self::get) into the memory that `item` has, whose contents are gone in any case.
    ///
    /// Whoever takes one long item after the other so saves the operating system the trouble of clearing new memory for each,
    /// which takes several times as long as the copy.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get); `item` is empty then.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_core::Queue;
    ///
    /// let frames = Queue::<Vec<u8>>::bounded(4)?;
    /// frames.put_ref(&[1; 500_000][..])?;
    /// frames.put_ref(&[2; 400_000][..])?;
    ///
    /// let mut frame = Vec::new();
    /// frames.get_into(&mut frame)?;
    /// let memory = frame.as_ptr();
    /// frames.get_into(&mut frame)?;
    /// assert_eq!(frame, [2; 400_000]);
    /// assert_eq!(frame.as_ptr(), memory);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_into(&self, item: &mut Vec<u8>) -> Result<(), GetError> {
        self.get_into_until(item, Deadline::never())
    }

    /// [`get_into`](Self::get_into) if there is an item.
    ///
    /// # Errors
    ///
    /// As for [`get_into`](Self::get_into), and [`GetError::Empty`].
    pub fn try_get_into(&self, item: &mut Vec<u8>) -> Result<(), GetError> {
        self.get_into_timeout(item, Duration::ZERO)
    }

    /// [`get_into`](Self::get_into), waiting up to `timeout` while the queue is empty.
    ///
    /// # Errors
    ///
    /// As for [`get_into`](Self::get_into), and [`GetError::Empty`] when that has passed.
    pub fn get_into_timeout(&self, item: &mut Vec<u8>, timeout: Duration) -> Result<(), GetError> {
        self.get_into_until(item, Deadline::after(timeout))
    }

    /// [`get_into`](Self::get_into), waiting until `deadline` while the queue is empty.
    ///
    /// # Errors
    ///
    /// As for [`get_into`](Self::get_into), and [`GetError::Empty`] when that has passed.
    pub fn get_into_deadline(&self, item: &mut Vec<u8>, deadline: Instant) -> Result<(), GetError> {
        self.get_into_until(item, Deadline::at(deadline))
    }

    fn get_into_until(&self, item: &mut Vec<u8>, deadline: Deadline) -> Result<(), GetError> {
        item.clear();
        with_bytes(|bytes| {
            self.ring.pop_parts_until(bytes, item, deadline)?;
            if item.is_empty() {
                // It was short, and came whole.
                item.extend_from_slice(decode(bytes)?);
            } else {
                *item = decode_parts(bytes, mem::take(item))?;
            }
            Ok(())
        })
    }
}
