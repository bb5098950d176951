//! The consumers' end.

use mp_os::{Deadline, Result};
use mp_sync::LeafGuard;

use crate::{
    Batch, PopError,
    error::damaged,
    inner::{Inner, wait},
    layout::{Header, Side},
    outside::{Place, check_written, no_memory},
    position::Position,
    record::Record,
};

/// Records that are there while the head lock is held.
pub(crate) struct Found<'a> {
    pub(crate) guard: LeafGuard<'a>,
    pub(crate) head: Position,
    /// What is behind the head, a valid distance.
    pub(crate) used: Position,
}

/// What came of copying records out, under the head lock.
pub(crate) enum Taken {
    /// All that was wanted.
    Records,
    /// One record, whose contents were here.
    Large(Place),
    /// Nothing: the next record needs a vector with room for so many bytes, which must not be allocated under the lock.
    Grow(usize),
}

/// A batch of so many bytes is not made longer by allocating: the copy costs much more than the lock by then.
const ENOUGH: usize = 16 << 10;

impl Inner {
    /// Takes one record out; false once `deadline` has passed, without one if there is no record now.
    #[inline(always)]
    pub(crate) fn pop(
        &self,
        bytes: &mut Vec<u8>,
        deadline: Option<Deadline>,
    ) -> Result<bool, PopError> {
        Ok(self.take_one(bytes, deadline)?.is_some() || self.pop_later(bytes, deadline)?)
    }

    /// There was no record.
    #[cold]
    fn pop_later(&self, bytes: &mut Vec<u8>, deadline: Option<Deadline>) -> Result<bool, PopError> {
        let attempt = || self.take_one(bytes, deadline);
        Ok(deadline.is_some() && self.wait_for_record(deadline, attempt)?.is_some())
    }

    /// One attempt.
    ///
    /// Always inlined, with what it calls: as functions, these hand their results on through memory, which takes longer than
    /// what they do.
    #[inline(always)]
    fn take_one(
        &self,
        bytes: &mut Vec<u8>,
        deadline: Option<Deadline>,
    ) -> Result<Option<()>, PopError> {
        let side = &self.header().head;
        loop {
            let Some(guard) = self.lock_filled(side, deadline)? else { return Ok(None) };
            let head = side.own_position();
            let used = self.used(side, head)?;
            if used.items() == 0 {
                drop(guard);
                return self.check_closed();
            }
            let found = Found { guard, head, used };
            if let Some(next) = self.copy_newest(&found, bytes) {
                self.commit_head(found, next, None);
                return Ok(Some(()));
            }
            let record = self.records().record(head.units(), used.units())?;
            self.records().prefetch(head.units(), used.units());
            let taken = self.copy_record(head.units(), record, bytes, 0)?;
            if self.settle(found, taken, head.advance(1, record.units()), bytes)? {
                return Ok(Some(()));
            }
        }
    }

    /// Copies the only record there is from beside the tail's position, if it is there: the new head.
    #[inline(always)]
    pub(crate) fn copy_newest(&self, found: &Found<'_>, bytes: &mut Vec<u8>) -> Option<Position> {
        // In a stream the line of the tail's position is to be left alone.
        if found.used.items() != 1 || !self.pace.is_eager() {
            return None;
        }
        let tail = found.head.advance(found.used.items(), found.used.units());
        self.header().tail.newest().copy_to(bytes, tail, found.used.units()).then_some(tail)
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
        let attempt = || self.take_many(max, &mut batch.bytes, deadline);
        Ok(self.wait_for_record(deadline, attempt)?.unwrap_or(0) as usize)
    }

    /// One attempt: how many.
    fn take_many(
        &self,
        max: u32,
        bytes: &mut Vec<u8>,
        deadline: Option<Deadline>,
    ) -> Result<Option<u32>, PopError> {
        let side = &self.header().head;
        loop {
            let Some(guard) = self.lock_filled(side, deadline)? else { return Ok(None) };
            let head = side.own_position();
            let used = self.used(side, head)?;
            if used.items() == 0 {
                drop(guard);
                return self.check_closed();
            }
            let found = Found { guard, head, used };
            let (taken, next) = self.copy_many(max, bytes, head, used)?;
            if self.settle(found, taken, next, bytes)? {
                return Ok(Some(next.since(head).items()));
            }
        }
    }

    /// Copies as many records as `bytes` has room for, each with its word before it; a record outside comes alone.
    fn copy_many(
        &self,
        max: u32,
        bytes: &mut Vec<u8>,
        head: Position,
        used: Position,
    ) -> Result<(Taken, Position)> {
        bytes.clear();
        let records = self.records();
        let (mut items, mut units) = (0, 0);
        while items < max.min(used.items()) {
            let (at, rest) = (head.units().wrapping_add(units), used.units() - units);
            let record = records.record(at, rest)?;
            let Record::Inside(_) = record else { break };
            let record_units = record.units();
            let len = (record_units - 1) as usize * Position::UNIT;
            if bytes.capacity() - bytes.len() < Record::WORD + len {
                if bytes.len() >= ENOUGH {
                    break;
                }
                // Twice as much, or a vector that began small would stay so, and with it each batch.
                let needed = bytes.len() + Record::WORD + len;
                return Ok((Taken::Grow(needed.max((2 * bytes.capacity()).min(ENOUGH))), head));
            }
            records.prefetch(at, rest);
            bytes.extend_from_slice(&record.to_bits().to_ne_bytes());
            records.append_to(bytes, at, len)?;
            items += 1;
            units += record_units;
        }
        if items == 0 {
            return self.copy_first(bytes, head, used);
        }
        Ok((Taken::Records, head.advance(items, units)))
    }

    /// The first record of a batch, where it is outside.
    fn copy_first(
        &self,
        bytes: &mut Vec<u8>,
        head: Position,
        used: Position,
    ) -> Result<(Taken, Position)> {
        let record = self.records().record(head.units(), used.units())?;
        let Record::Outside = record else {
            // It was when we looked a moment ago.
            return Err(damaged("pop from"));
        };
        let len = self.place(head.units())?.len;
        if bytes.capacity() < Record::WORD {
            return Ok((Taken::Grow(Record::WORD), head));
        }
        bytes.extend_from_slice(&Record::Inside(len).to_bits().to_ne_bytes());
        let taken = self.copy_record(head.units(), record, bytes, Record::WORD)?;
        Ok((taken, head.advance(1, record.units())))
    }

    /// Puts the contents of `record`, which is at `units`, behind the first `start` bytes.
    #[inline(always)]
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

    /// Takes the head lock, if there is something without it; `None` otherwise, or as for [`lock`](Self::lock).
    ///
    /// The guard alone: a whole [`Found`] from here goes through memory, and a pop takes 27 ns instead of 16. So its callers begin
    /// with the same few lines.
    #[inline(always)]
    pub(crate) fn lock_filled<'a>(
        &self,
        side: &'a Side,
        deadline: Option<Deadline>,
    ) -> Result<Option<LeafGuard<'a>>, PopError> {
        if !self.is_there(side, deadline) {
            return self.check_closed();
        }
        Ok(self.lock(side, deadline)?)
    }

    /// What is behind `head`, as far as has been seen, or by a new look where that was nothing.
    #[inline(always)]
    pub(crate) fn used(&self, side: &Side, head: Position) -> Result<Position> {
        let used = side.seen().since(head);
        if used.items() > 0 && self.is_valid(used) {
            Ok(used)
        } else {
            self.look_for_records(side, head)
        }
    }

    #[cold]
    fn look_for_records(&self, side: &Side, head: Position) -> Result<Position> {
        let tail = self.header().tail.position();
        side.set_seen(tail);
        let used = tail.since(head);
        if used.items() > 0 {
            self.pace.found(used, self.shape);
            self.header().set_conversation(self.pace.is_conversation());
        }
        if self.is_valid(used) { Ok(used) } else { Err(damaged("pop from")) }
    }

    /// Commits that the records up to `next` were `taken`, or gives the lock back and makes room for them in `bytes`: false then.
    #[inline(always)]
    pub(crate) fn settle(
        &self,
        found: Found<'_>,
        taken: Taken,
        next: Position,
        bytes: &mut Vec<u8>,
    ) -> Result<bool> {
        match taken {
            Taken::Records => self.commit_head(found, next, None),
            Taken::Large(place) => self.commit_head(found, next, Some(place)),
            Taken::Grow(len) => {
                drop(found.guard);
                bytes.clear();
                bytes.try_reserve(len).map_err(|_| no_memory(len as u64))?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Commits, frees the memory outside, gives the lock back, and wakes who waits for it.
    #[inline(always)]
    pub(crate) fn commit_head(&self, found: Found<'_>, next: Position, large: Option<Place>) {
        let Header { head: side, not_empty, not_full, .. } = self.header();
        let Found { guard, head, used } = found;
        side.note_cpu(head);
        side.commit(next);
        if let Some(place) = large {
            // Memory that is not given back now is when the slot comes round again, or with the ring.
            let _ = self.outside.free(place, head.units());
        }
        drop(guard);
        not_full.bell().ring();
        if next.since(head).items() < used.items() {
            // Whoever was woken for what is left may have been killed, or is busy.
            not_empty.bell().ring();
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

    /// Nothing is there: an error if nothing will ever come.
    #[cold]
    pub(crate) fn check_closed<T>(&self) -> Result<Option<T>, PopError> {
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
