//! The consumers' end.

use mp_os::{Deadline, Result};

use crate::{
    Batch, PopError,
    error::damaged,
    inner::{Inner, wait},
    layout::{Header, Side},
    outside::{Place, no_memory},
    position::Position,
    record::Record,
};

/// What came of one look under the head lock.
enum Taken {
    /// Records, up to the new head.
    Records,
    /// One record, whose contents were here.
    Large(Place),
    /// The next record needs a vector with room for so many bytes more, which must not be allocated under the lock.
    Grow(usize),
}

impl Inner {
    /// Takes one record out; false once `deadline` has passed, without one if there is no record now.
    #[inline]
    pub(crate) fn pop(
        &self,
        bytes: &mut Vec<u8>,
        deadline: Option<Deadline>,
    ) -> Result<bool, PopError> {
        let popped = self.wait_for_record(deadline, || {
            self.take(deadline, bytes, |bytes, head, used| {
                bytes.clear();
                let record = self.record(head.units, used.units)?;
                let taken = self.copy_record(head.units, record, bytes)?;
                Ok((taken, head.advance(1, record.units())))
            })
        })?;
        Ok(popped.is_some())
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
        let mut next = head;
        while next.since(head).items < max.min(used.items) {
            let record = self.record(next.units, used.units - next.since(head).units)?;
            let Record::Inside(_) = record else { break };
            let end = next.advance(1, record.units());
            if end.since(head).units as usize * Position::UNIT > bytes.capacity() {
                break;
            }
            next = end;
        }
        let Position { items, units } = next.since(head);
        if items > 0 {
            self.copy_out(head.units, 0, units as usize * Position::UNIT, bytes)?;
            return Ok((Taken::Records, next));
        }
        let record = self.record(head.units, used.units)?;
        if let Record::Inside(_) = record {
            // All that is there now.
            return Ok((Taken::Grow(used.units as usize * Position::UNIT), head));
        }
        let len = self.place(head.units)?.len;
        if bytes.capacity() < len as usize + Record::WORD {
            return Ok((Taken::Grow(len as usize + Record::WORD), head));
        }
        bytes.extend_from_slice(&Record::Inside(len).to_bits().to_ne_bytes());
        let taken = self.copy_record(head.units, record, bytes)?;
        Ok((taken, head.advance(1, record.units())))
    }

    /// Appends the contents of `record`, which is at `units`.
    #[inline]
    fn copy_record(&self, units: u32, record: Record, bytes: &mut Vec<u8>) -> Result<Taken> {
        let room = bytes.capacity() - bytes.len();
        match record {
            Record::Inside(len) => {
                // It is at most the length of the ring, as `record` has made sure.
                let len = len as usize;
                if room < len {
                    return Ok(Taken::Grow(len));
                }
                self.copy_out(units, Record::WORD, len, bytes)?;
            }
            Record::Outside => {
                let place = self.place(units)?;
                let len = place.len as usize;
                if room < len {
                    return Ok(Taken::Grow(len));
                }
                let start = bytes.len();
                bytes.resize(start + len, 0);
                self.outside.read(place, &mut bytes[start..])?;
                return Ok(Taken::Large(place));
            }
        }
        Ok(Taken::Records)
    }

    /// Takes the head lock, lets `read` copy records out from the head, and commits; how many, `None` for none.
    ///
    /// `read` gets the vector, the head and what is behind it, and gives what came of it and the new head.
    #[inline]
    fn take(
        &self,
        deadline: Option<Deadline>,
        bytes: &mut Vec<u8>,
        mut read: impl FnMut(&mut Vec<u8>, Position, Position) -> Result<(Taken, Position)>,
    ) -> Result<Option<u32>, PopError> {
        let Header { head: side, not_empty, not_full, .. } = self.header();
        loop {
            let Some(guard) = self.lock(side, deadline)? else { return Ok(None) };
            let head = side.position();
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
            side.set_cpu();
            side.commit(next);
            if let Taken::Large(place) = taken {
                // Memory that is not given back now is when the slot comes round again, or with the ring.
                let _ = self.outside.free(place, head.units);
            }
            let released = guard.release().ring(not_full.bell());
            let count = next.since(head).items;
            if count < used.items {
                // Whoever was woken for what is left may have been killed, or is busy.
                released.ring(not_empty.bell());
            }
            return Ok(Some(count));
        }
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
            self.pace.found(used.items);
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

    fn wait_for_record<T>(
        &self,
        deadline: Option<Deadline>,
        attempt: impl FnMut() -> Result<Option<T>, PopError>,
    ) -> Result<Option<T>, PopError> {
        let Header { head, tail, not_empty, .. } = self.header();
        let spin = |attempt: &mut dyn FnMut() -> _| {
            self.pace.patience.spin(tail.cpu(), 1, || {
                self.pace.pause();
                // Without the lock, for as long as there is nothing.
                if tail.position() == head.position() {
                    self.pace.found_nothing();
                    return None;
                }
                attempt()
            })
        };
        wait(not_empty.bell(), deadline, spin, attempt)
    }
}
