use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use mp_os::{Deadline, Result, TimeoutError};

use crate::{
    Batch, PopError, PopTimeoutError, PushError, PushManyError, PushTimeoutError, RingBuilder,
    RingParts, TryPopError, TryPushError, inner::Inner, layout::Shape, sys::Memory,
};

/// A bounded queue of byte records in shared memory, for any number of producers and consumers in any number of processes.
///
/// Clones share one queue, in this process; with the feature `serde` it travels to another inside a message that carries
/// descriptors. Records are delivered once each, in the order in which their pushes finished. A push that has returned is
/// visible to every pop that begins afterwards. The queue lives as long as some process has a handle.
///
/// # Examples
///
/// ```
/// use mp_channel::{Ring, PopError};
///
/// let ring = Ring::builder().items(100).create()?;
/// let producer = ring.clone();
/// std::thread::spawn(move || {
///     producer.push(b"hello").unwrap();
///     producer.close();
/// });
///
/// let mut record = Vec::new();
/// ring.pop(&mut record)?;
/// assert_eq!(record, b"hello");
/// assert!(matches!(ring.pop(&mut record), Err(PopError::Closed)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Ring(pub(crate) Arc<Inner>);

impl Ring {
    /// A new ring, of a size to be said.
    pub fn builder() -> RingBuilder {
        RingBuilder::new()
    }

    pub(crate) fn new(memory: Memory, shape: Shape, parts: RingParts) -> Result<Self> {
        Ok(Self(Arc::new(Inner::new(memory, shape, parts)?)))
    }

    /// A ring that another process passed on, as the [`parts`](Self::parts) that make it up.
    ///
    /// # Errors
    ///
    /// [`InvalidData`](std::io::ErrorKind::InvalidData) where they hold no ring, or one of another PID namespace, in which
    /// the numbers of the threads that hold its locks mean something else.
    pub fn attach(parts: RingParts) -> Result<Self> {
        let memory = Memory::new(parts.segment.clone())?;
        let shape = memory.header().check(parts.segment.len())?;
        Self::new(memory, shape, parts)
    }

    /// What the ring is made of, to be passed to another process.
    pub fn parts(&self) -> &RingParts {
        &self.0.parts
    }

    /// Appends `record`, as soon as there is room.
    ///
    /// # Errors
    ///
    /// [`PushError::Closed`]; [`PushError::TooLarge`] at once for a record that can never fit; [`PushError::Os`] with
    /// [`OutOfMemory`](std::io::ErrorKind::OutOfMemory) or [`StorageFull`](std::io::ErrorKind::StorageFull) for a large
    /// one, and with [`InvalidData`](std::io::ErrorKind::InvalidData) where a peer has damaged the ring.
    pub fn push(&self, record: &[u8]) -> Result<(), PushError> {
        // Waiting for ever ends with room only.
        self.0.push(&[record], Some(Deadline::never())).map(drop)
    }

    /// [`push`](Self::push) of one record that is in several pieces.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push).
    pub fn push_parts(&self, parts: &[&[u8]]) -> Result<(), PushError> {
        // Waiting for ever ends with room only: this never goes round.
        // Waiting for ever ends with room only.
        self.0.push(parts, Some(Deadline::never())).map(drop)
    }

    /// [`push_parts`](Self::push_parts), giving up when `deadline` has passed; a header and its payload, typically.
    ///
    /// # Errors
    ///
    /// As for [`push_timeout`](Self::push_timeout).
    pub fn push_parts_until(
        &self,
        parts: &[&[u8]],
        deadline: Deadline,
    ) -> Result<(), PushTimeoutError> {
        if self.0.push(parts, Some(deadline))? { Ok(()) } else { Err(PushTimeoutError::TimedOut) }
    }

    /// [`push_parts`](Self::push_parts) if there is room now.
    ///
    /// # Errors
    ///
    /// As for [`try_push`](Self::try_push).
    pub fn try_push_parts(&self, parts: &[&[u8]]) -> Result<(), TryPushError> {
        if self.0.push(parts, None)? { Ok(()) } else { Err(TryPushError::Full) }
    }

    /// [`push`](Self::push) if there is room now.
    ///
    /// # Errors
    ///
    /// [`TryPushError::Full`], also where the ring's bytes and not its items are used up, or where another producer was
    /// stopped in the middle of a push; else as for [`push`](Self::push).
    pub fn try_push(&self, record: &[u8]) -> Result<(), TryPushError> {
        self.try_push_parts(&[record])
    }

    /// [`push`](Self::push), giving up after `timeout`.
    ///
    /// # Errors
    ///
    /// [`PushTimeoutError::TimedOut`], else as for [`push`](Self::push).
    pub fn push_timeout(&self, record: &[u8], timeout: Duration) -> Result<(), PushTimeoutError> {
        self.push_parts_until(&[record], Deadline::after(timeout))
    }

    /// [`push`](Self::push), giving up at `deadline`.
    ///
    /// # Errors
    ///
    /// As for [`push_timeout`](Self::push_timeout).
    pub fn push_deadline(&self, record: &[u8], deadline: Instant) -> Result<(), PushTimeoutError> {
        self.push_parts_until(&[record], Deadline::at(deadline))
    }

    /// Appends all `records`, in order, with one lock for as many as there is room for; how many there were.
    ///
    /// Other producers' records may come between two rounds, not within one.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push), with the number of records that went in before.
    pub fn push_many<'a>(
        &self,
        records: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<usize, PushManyError<PushError>> {
        let deadline = Some(Deadline::never());
        self.0.push_many(records.into_iter(), deadline).map_err(|(pushed, error)| {
            let late = || PushError::Os(TimeoutError::TimedOut.into());
            PushManyError { pushed, error: error.unwrap_or_else(late) }
        })
    }

    /// Appends as many of `records` as there is room for now.
    ///
    /// # Errors
    ///
    /// As for [`try_push`](Self::try_push), with the number of records that went in before.
    pub fn try_push_many<'a>(
        &self,
        records: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<usize, PushManyError<TryPushError>> {
        self.0.push_many(records.into_iter(), None).map_err(|(pushed, error)| PushManyError {
            pushed,
            error: error.map_or(TryPushError::Full, TryPushError::from),
        })
    }

    /// [`push_many`](Self::push_many), giving up after `timeout`.
    ///
    /// # Errors
    ///
    /// As for [`push_timeout`](Self::push_timeout), with the number of records that went in before.
    pub fn push_many_timeout<'a>(
        &self,
        records: impl IntoIterator<Item = &'a [u8]>,
        timeout: Duration,
    ) -> Result<usize, PushManyError<PushTimeoutError>> {
        self.push_many_until(records, Deadline::after(timeout))
    }

    /// [`push_many`](Self::push_many), giving up at `deadline`.
    ///
    /// # Errors
    ///
    /// As for [`push_many_timeout`](Self::push_many_timeout).
    pub fn push_many_deadline<'a>(
        &self,
        records: impl IntoIterator<Item = &'a [u8]>,
        deadline: Instant,
    ) -> Result<usize, PushManyError<PushTimeoutError>> {
        self.push_many_until(records, Deadline::at(deadline))
    }

    /// [`push_many`](Self::push_many), giving up when `deadline` has passed.
    ///
    /// # Errors
    ///
    /// As for [`push_many_timeout`](Self::push_many_timeout).
    pub fn push_many_until<'a>(
        &self,
        records: impl IntoIterator<Item = &'a [u8]>,
        deadline: Deadline,
    ) -> Result<usize, PushManyError<PushTimeoutError>> {
        self.0.push_many(records.into_iter(), Some(deadline)).map_err(|(pushed, error)| {
            PushManyError {
                pushed,
                error: error.map_or(PushTimeoutError::TimedOut, PushTimeoutError::from),
            }
        })
    }

    /// Takes the oldest record out, as soon as there is one, and puts it in the place of what `record` held.
    ///
    /// The vector's memory is used again: pass the same one each time.
    ///
    /// # Errors
    ///
    /// [`PopError::Closed`] once the ring is closed and drained; [`PopError::Os`] with
    /// [`OutOfMemory`](std::io::ErrorKind::OutOfMemory), the record then stays; with
    /// [`InvalidData`](std::io::ErrorKind::InvalidData) where a peer has damaged the ring.
    pub fn pop(&self, record: &mut Vec<u8>) -> Result<(), PopError> {
        // Waiting for ever ends with a record only.
        self.0.pop(record, Some(Deadline::never())).map(drop)
    }

    /// [`pop`](Self::pop) if there is a record now.
    ///
    /// # Errors
    ///
    /// [`TryPopError::Empty`], also where another consumer was stopped in the middle of a pop; else as for
    /// [`pop`](Self::pop).
    pub fn try_pop(&self, record: &mut Vec<u8>) -> Result<(), TryPopError> {
        if self.0.pop(record, None)? { Ok(()) } else { Err(TryPopError::Empty) }
    }

    /// [`pop`](Self::pop), giving up after `timeout`.
    ///
    /// # Errors
    ///
    /// [`PopTimeoutError::TimedOut`], else as for [`pop`](Self::pop).
    pub fn pop_timeout(
        &self,
        record: &mut Vec<u8>,
        timeout: Duration,
    ) -> Result<(), PopTimeoutError> {
        self.pop_until(record, Deadline::after(timeout))
    }

    /// [`pop`](Self::pop), giving up at `deadline`.
    ///
    /// # Errors
    ///
    /// As for [`pop_timeout`](Self::pop_timeout).
    pub fn pop_deadline(
        &self,
        record: &mut Vec<u8>,
        deadline: Instant,
    ) -> Result<(), PopTimeoutError> {
        self.pop_until(record, Deadline::at(deadline))
    }

    /// [`pop`](Self::pop), giving up when `deadline` has passed.
    ///
    /// # Errors
    ///
    /// As for [`pop_timeout`](Self::pop_timeout).
    pub fn pop_until(
        &self,
        record: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Result<(), PopTimeoutError> {
        if self.0.pop(record, Some(deadline))? { Ok(()) } else { Err(PopTimeoutError::TimedOut) }
    }

    /// Takes out the oldest records, at least one and at most `max`, as soon as there is one; how many, now in `batch`.
    ///
    /// One lock and one copy for all. The batch's memory is used again: pass the same one each time.
    ///
    /// # Errors
    ///
    /// As for [`pop`](Self::pop).
    pub fn pop_many(&self, max: usize, batch: &mut Batch) -> Result<usize, PopError> {
        loop {
            match self.0.pop_many(max, batch, Some(Deadline::never()))? {
                0 if max > 0 => {}
                count => return Ok(count),
            }
        }
    }

    /// [`pop_many`](Self::pop_many) if there is a record now.
    ///
    /// # Errors
    ///
    /// As for [`try_pop`](Self::try_pop).
    pub fn try_pop_many(&self, max: usize, batch: &mut Batch) -> Result<usize, TryPopError> {
        match self.0.pop_many(max, batch, None)? {
            0 if max > 0 => Err(TryPopError::Empty),
            count => Ok(count),
        }
    }

    /// [`pop_many`](Self::pop_many), giving up after `timeout`.
    ///
    /// # Errors
    ///
    /// As for [`pop_timeout`](Self::pop_timeout).
    pub fn pop_many_timeout(
        &self,
        max: usize,
        batch: &mut Batch,
        timeout: Duration,
    ) -> Result<usize, PopTimeoutError> {
        self.pop_many_until(max, batch, Deadline::after(timeout))
    }

    /// [`pop_many`](Self::pop_many), giving up at `deadline`.
    ///
    /// # Errors
    ///
    /// As for [`pop_timeout`](Self::pop_timeout).
    pub fn pop_many_deadline(
        &self,
        max: usize,
        batch: &mut Batch,
        deadline: Instant,
    ) -> Result<usize, PopTimeoutError> {
        self.pop_many_until(max, batch, Deadline::at(deadline))
    }

    /// [`pop_many`](Self::pop_many), giving up when `deadline` has passed.
    ///
    /// # Errors
    ///
    /// As for [`pop_timeout`](Self::pop_timeout).
    pub fn pop_many_until(
        &self,
        max: usize,
        batch: &mut Batch,
        deadline: Deadline,
    ) -> Result<usize, PopTimeoutError> {
        match self.0.pop_many(max, batch, Some(deadline))? {
            0 if max > 0 => Err(PopTimeoutError::TimedOut),
            count => Ok(count),
        }
    }

    /// How many records are in the ring, exactly, at some moment of this call.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no record is in the ring.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether [`capacity`](Self::capacity) records are in the ring.
    ///
    /// A ring whose bytes are used up before is not full in this sense, though it takes no record of that size.
    pub fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }

    /// The most records at a time, as the builder was told.
    pub fn capacity(&self) -> usize {
        self.0.shape.items as usize
    }

    /// The longest record that [`push`](Self::push) takes, in bytes.
    pub fn max_len(&self) -> usize {
        self.0.max_len()
    }

    /// Whether somebody has closed the ring. There may be records left.
    pub fn is_closed(&self) -> bool {
        self.0.header().is_closed()
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("bytes", &self.0.shape.bytes)
            .field("closed", &self.is_closed())
            .finish()
    }
}
