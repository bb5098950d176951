//! The consumers' end.

use mp_os::{Deadline, Result};

use crate::{
    Batch, PopError,
    error::damaged,
    inner::{Inner, wait},
    layout::{Header, Side},
    outside::{Place, check_written, no_memory},
    position::Position,
    record::Record,
};

/// What came of one look under the head lock.
pub(crate) enum Taken {
    /// Records, up to the new head.
    Records,
    /// One record, whose contents were here.
    Large(Place),
    /// The next record needs a vector with room for so many bytes more, which must not be allocated under the lock.
    Grow(usize),
}

/// A batch of so many bytes is not made longer by allocating: the copy costs much more than the lock by then.
const ENOUGH: usize = 16 << 10;

impl Inner {
    /// Takes one record out; false once `deadline` has passed, without one if there is no record now.
    #[inline]
    pub(crate) fn pop(
        &self,
        bytes: &mut Vec<u8>,
        deadline: Option<Deadline>,
    ) -> Result<bool, PopError> {
        Ok(self.wait_for_record(deadline, || self.take_one(bytes, deadline))?.is_some())
    }

    /// One attempt.
    fn take_one(
        &self,
        bytes: &mut Vec<u8>,
        deadline: Option<Deadline>,
    ) -> Result<Option<u32>, PopError> {
        self.take(deadline, bytes, |bytes, head, used| {
            if let Some(next) = self.copy_newest(head, used, bytes) {
                return Ok((Taken::Records, next));
            }
            let record = self.records().record(head.units, used.units)?;
            self.records().prefetch(head.units, used.units);
            let taken = self.copy_record(head.units, record, bytes, 0)?;
            Ok((taken, head.advance(1, record.units())))
        })
    }

    /// Copies the only record there is from beside the tail's position, if it is there: the new head.
    #[inline]
    pub(crate) fn copy_newest(
        &self,
        head: Position,
        used: Position,
        bytes: &mut Vec<u8>,
    ) -> Option<Position> {
        // In a stream the line of the tail's position is to be left alone.
        if used.items != 1 || !self.pace.is_eager() {
            return None;
        }
        let tail = head.advance(used.items, used.units);
        self.header().tail.newest().copy_to(bytes, tail, used.units).then_some(tail)
    }

    /// Takes up to `max` records out; 0 once the time has run out.
    pub(crate) fn pop_many(
        &self,
        max: usize,
        batch: &mut Batch,
        deadline: Option<Deadline>,
    ) -> Result<usize, PopError> {
        batch.clear();
        if max == 0 {
            return Ok(0);
        }
        let max = u32::try_from(max).unwrap_or(u32::MAX);
        let popped = self.wait_for_record(deadline, || {
            self.take(deadline, &mut batch.bytes, |bytes, head, used| {
                bytes.clear();
                self.take_many(max, bytes, head, used)
            })
        })?;
        Ok(popped.unwrap_or(0) as usize)
    }

    /// Copies as many records as `bytes` has room for, each with its word before it; a record outside comes alone.
    fn take_many(
        &self,
        max: u32,
        bytes: &mut Vec<u8>,
        head: Position,
        used: Position,
    ) -> Result<(Taken, Position)> {
        bytes.clear();
        let mut next = head;
        while next.since(head).items < max.min(used.items) {
            let record = self.records().record(next.units, used.units - next.since(head).units)?;
            let Record::Inside(_) = record else { break };
            let len = (record.units() - 1) as usize * Position::UNIT;
            if bytes.capacity() - bytes.len() < Record::WORD + len {
                if bytes.len() >= ENOUGH {
                    break;
                }
                // Twice as much, or a vector that began small would stay so, and with it each batch.
                let needed = bytes.len() + Record::WORD + len;
                return Ok((Taken::Grow(needed.max((2 * bytes.capacity()).min(ENOUGH))), head));
            }
            self.records().prefetch(next.units, used.units - next.since(head).units);
            bytes.extend_from_slice(&record.to_bits().to_ne_bytes());
            self.records().append_to(bytes, next.units, len)?;
            next = next.advance(1, record.units());
        }
        if next == head { self.take_first(bytes, head, used) } else { Ok((Taken::Records, next)) }
    }

    /// The first record of a batch, where it is outside.
    fn take_first(
        &self,
        bytes: &mut Vec<u8>,
        head: Position,
        used: Position,
    ) -> Result<(Taken, Position)> {
        let record = self.records().record(head.units, used.units)?;
        let Record::Outside = record else {
            // It was when we looked a moment ago.
            return Err(damaged("pop from"));
        };
        let len = self.place(head.units)?.len;
        if bytes.capacity() < Record::WORD {
            return Ok((Taken::Grow(Record::WORD), head));
        }
        bytes.extend_from_slice(&Record::Inside(len).to_bits().to_ne_bytes());
        let taken = self.copy_record(head.units, record, bytes, Record::WORD)?;
        Ok((taken, head.advance(1, record.units())))
    }

    /// Puts the contents of `record`, which is at `units`, behind the first `start` bytes.
    #[inline]
    pub(crate) fn copy_record(
        &self,
        units: u32,
        record: Record,
        bytes: &mut Vec<u8>,
        start: usize,
    ) -> Result<Taken> {
        match record {
            Record::Inside(len) => {
                // It is at most the length of the ring, as `record` has made sure.
                let len = len as usize;
                if bytes.capacity() - start < len {
                    return Ok(Taken::Grow(start + len));
                }
                bytes.truncate(start);
                self.records().append_to(bytes, units, len)?;
                Ok(Taken::Records)
            }
            Record::Outside => self.copy_outside(units, bytes, start),
        }
    }

    #[cold]
    fn copy_outside(&self, units: u32, bytes: &mut Vec<u8>, start: usize) -> Result<Taken> {
        let place = self.place(units)?;
        let end = start + place.len as usize;
        if bytes.capacity() < end {
            // Better an error than so much memory for nothing.
            check_written(&self.outside.file, place.len)?;
            return Ok(Taken::Grow(end));
        }
        bytes.truncate(start);
        self.outside.read(place, bytes)?;
        Ok(Taken::Large(place))
    }

    /// Takes the head lock, lets `read` copy records out from the head, and commits; how many, `None` for none.
    ///
    /// `read` gets the vector, the head and what is behind it, and gives what came of it and the new head.
    #[inline]
    pub(crate) fn take(
        &self,
        deadline: Option<Deadline>,
        bytes: &mut Vec<u8>,
        mut read: impl FnMut(&mut Vec<u8>, Position, Position) -> Result<(Taken, Position)>,
    ) -> Result<Option<u32>, PopError> {
        let Header { head: side, not_empty, not_full, .. } = self.header();
        if !self.is_there(side, deadline) {
            return self.check_closed();
        }
        loop {
            let Some(guard) = self.lock(side, deadline)? else { return Ok(None) };
            let head = side.own_position();
            let used = self.used(side, head)?;
            if used.items == 0 {
                drop(guard);
                return self.check_closed();
            }
            let (taken, next) = read(bytes, head, used)?;
            if let Taken::Grow(len) = taken {
                drop(guard);
                bytes.clear();
                bytes.try_reserve(len).map_err(|_| no_memory(len as u64))?;
                continue;
            }
            side.note_cpu(head);
            side.commit(next);
            if let Taken::Large(place) = taken {
                // Memory that is not given back now is when the slot comes round again, or with the ring.
                let _ = self.outside.free(place, head.units);
            }
            drop(guard);
            not_full.bell().ring();
            let count = next.since(head).items;
            if count < used.items {
                // Whoever was woken for what is left may have been killed, or is busy.
                not_empty.bell().ring();
            }
            return Ok(Some(count));
        }
    }

    /// Whether there is something, without the lock.
    #[inline]
    fn is_there(&self, side: &Side, deadline: Option<Deadline>) -> bool {
        let head = side.own_position();
        if side.seen() != head {
            return true;
        }
        if deadline.is_some() {
            self.pace.pause();
        }
        self.header().tail.position() != head
    }

    /// What is in the ring, as far as has been seen, or by a new look where that was nothing.
    #[inline]
    fn used(&self, side: &Side, head: Position) -> Result<Position> {
        let used = side.seen().since(head);
        if used.items > 0 && self.is_valid(used) {
            return Ok(used);
        }
        let tail = self.header().tail.position();
        side.set_seen(tail);
        let used = tail.since(head);
        if used.items > 0 {
            self.pace.found(used, self.shape);
            self.header().set_conversation(self.pace.is_conversation());
        }
        if self.is_valid(used) { Ok(used) } else { Err(damaged("pop from")) }
    }

    /// Nothing is there: an error if nothing will ever come.
    #[cold]
    fn check_closed<T>(&self) -> Result<Option<T>, PopError> {
        let Header { head, tail, .. } = self.header();
        if !self.header().is_closed() {
            return Ok(None);
        }
        // A producer that saw the ring open is in its lock until it has committed, and every later one sees it closed.
        let Ok(guard) = tail.lock().try_lock() else { return Ok(None) };
        let drained = tail.position() == head.position();
        drop(guard);
        if drained { Err(PopError::Closed) } else { Ok(None) }
    }

    #[inline]
    pub(crate) fn wait_for_record<T>(
        &self,
        deadline: Option<Deadline>,
        attempt: impl FnMut() -> Result<Option<T>, PopError>,
    ) -> Result<Option<T>, PopError> {
        let bell = self.header().not_empty.bell();
        wait(bell, deadline, &self.pace.patience, attempt, || self.record_appears())
    }

    /// Looks for a producer to append something, without the lock, for as long as that pays.
    #[cold]
    pub(crate) fn record_appears(&self) -> bool {
        let Header { head, tail, .. } = self.header();
        let there = || (tail.position() != head.own_position()).then_some(());
        self.pace.spin(tail.cpu(), 1, there)
    }
}
