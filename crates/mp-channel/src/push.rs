//! The producers' end.

use mp_os::{Deadline, Result};
use mp_sync::LeafGuard;

use crate::{
    PushError,
    error::damaged,
    inner::{Inner, wait},
    layout::{Header, Side},
    outside::{InFlight, Place},
    position::Position,
    record::Record,
};

/// How many records a batch takes from the caller's iterator before it takes the lock, inside which no foreign code runs.
const CHUNK: usize = 64;

/// Pauses between looks for room: a consumer that makes room is not to be disturbed at each record.
const PAUSES: u32 = 16;

impl Inner {
    /// Appends one record; false once `deadline` has passed, without one if there is no room now.
    #[inline(always)]
    pub(crate) fn push(
        &self,
        parts: &[&[u8]],
        deadline: Option<Deadline>,
    ) -> Result<bool, PushError> {
        let len = parts.iter().map(|part| part.len()).sum::<usize>();
        if len > self.max_inside() {
            return self.push_outside(parts, len, deadline);
        }
        Ok(self.push_inside(parts, len, deadline)? || self.push_later(parts, len, deadline)?)
    }

    /// There was no room.
    #[cold]
    fn push_later(
        &self,
        parts: &[&[u8]],
        len: usize,
        deadline: Option<Deadline>,
    ) -> Result<bool, PushError> {
        let attempt = || Ok(self.push_inside(parts, len, deadline)?.then_some(()));
        Ok(deadline.is_some() && self.wait_for_room(deadline, attempt)?.is_some())
    }

    /// One attempt.
    #[inline(always)]
    fn push_inside(
        &self,
        parts: &[&[u8]],
        len: usize,
        deadline: Option<Deadline>,
    ) -> Result<bool, PushError> {
        let side = &self.header().tail;
        let Some(guard) = self.lock_open(side, deadline)? else { return Ok(false) };
        let record = Record::Inside(len as u64);
        let tail = side.own_position();
        if !self.has_room(side, tail, record.units())? {
            return Ok(false);
        }
        self.records().prepare(tail.units(), self.free(side, tail).units());
        self.records().write(tail.units(), record, parts)?;
        if let [bytes] = parts
            && self.header().is_conversation()
        {
            side.set_newest(tail.advance(1, record.units()), bytes);
        } else {
            side.forget_newest();
        }
        self.commit_tail(guard, side, tail, tail.advance(1, record.units()))?;
        Ok(true)
    }

    /// Appends `records`; the number that went in before the error, or before the time ran out.
    #[inline]
    pub(crate) fn push_many<'a>(
        &self,
        mut records: impl Iterator<Item = &'a [u8]>,
        deadline: Option<Deadline>,
    ) -> Result<usize, (usize, Option<PushError>)> {
        let mut pushed = 0;
        let mut chunk = [&[][..]; CHUNK];
        loop {
            let mut taken = 0;
            for (slot, record) in chunk.iter_mut().zip(&mut records) {
                *slot = record;
                taken += 1;
            }
            self.push_all(&chunk[..taken], deadline, &mut pushed)
                .map_err(|error| (pushed, error))?;
            if taken < CHUNK {
                return Ok(pushed);
            }
        }
    }

    /// Appends `records` and counts them; without an error in `Err` where the time ran out.
    fn push_all(
        &self,
        mut records: &[&[u8]],
        deadline: Option<Deadline>,
        pushed: &mut usize,
    ) -> Result<(), Option<PushError>> {
        while let [first, ..] = records {
            let count = if first.len() > self.max_inside() {
                self.push(&[first], deadline).map(usize::from)?
            } else {
                self.push_chunk(records, deadline)?
            };
            if count == 0 {
                return Err(None);
            }
            *pushed += count;
            records = &records[count..];
        }
        Ok(())
    }

    /// Appends as many of `records` as there is room for, at least one unless the time runs out, none that is too long.
    fn push_chunk(
        &self,
        records: &[&[u8]],
        deadline: Option<Deadline>,
    ) -> Result<usize, PushError> {
        let attempt = || self.push_chunk_now(records, deadline);
        Ok(self.wait_for_room(deadline, attempt)?.unwrap_or(0) as usize)
    }

    /// One attempt: how many.
    fn push_chunk_now(
        &self,
        records: &[&[u8]],
        deadline: Option<Deadline>,
    ) -> Result<Option<u32>, PushError> {
        let side = &self.header().tail;
        let Some(guard) = self.lock_open(side, deadline)? else { return Ok(None) };
        let first = Record::Inside(records.first().map_or(0, |bytes| bytes.len() as u64));
        let tail = side.own_position();
        if !self.has_room(side, tail, first.units())? {
            return Ok(None);
        }
        let next = self.write_many(tail, self.free(side, tail), records)?;
        side.forget_newest();
        self.commit_tail(guard, side, tail, next)?;
        Ok(Some(next.since(tail).items()))
    }

    /// Writes as many of `records` from `tail` as fit into `free`: the new tail.
    fn write_many(&self, tail: Position, free: Position, batch: &[&[u8]]) -> Result<Position> {
        let records = self.records();
        let (mut items, mut units) = (0, 0);
        for bytes in batch {
            let record = Record::Inside(bytes.len() as u64);
            let (at, room) = (tail.units().wrapping_add(units), free.units() - units);
            let fits = items < free.items() && record.units() <= room;
            if !fits || bytes.len() > self.max_inside() {
                break;
            }
            records.prepare(at, room);
            records.write(at, record, &[bytes])?;
            items += 1;
            units += record.units();
        }
        Ok(tail.advance(items, units))
    }

    /// Appends a record whose contents are stored outside the ring.
    #[cold]
    fn push_outside(
        &self,
        parts: &[&[u8]],
        len: usize,
        deadline: Option<Deadline>,
    ) -> Result<bool, PushError> {
        let max = self.max_len();
        if len > max {
            return Err(PushError::TooLarge { len, max });
        }
        let appended =
            self.wait_for_room(deadline, || self.push_outside_now(parts, len as u64, deadline))?;
        Ok(appended.is_some())
    }

    /// One attempt.
    fn push_outside_now(
        &self,
        parts: &[&[u8]],
        len: u64,
        deadline: Option<Deadline>,
    ) -> Result<Option<()>, PushError> {
        let side = &self.header().tail;
        let Some(guard) = self.lock_open(side, deadline)? else { return Ok(None) };
        let tail = side.own_position();
        let next = tail.advance(1, Record::Outside.units());
        // Always by a new look: to use memory that is in the cache once more saves a hundred times what the look costs.
        let head = self.look_for_head(side, tail)?;
        if !self.fits(tail.since(head), Record::Outside.units()) {
            return Ok(None);
        }
        let in_flight = self.in_flight(head, tail)?;
        let Some(place) = self.outside.place(len, tail, in_flight) else { return Ok(None) };
        self.outside.write(place, parts)?;
        let head_len = len - parts.last().map_or(0, |last| last.len() as u64);
        self.write_place(tail.units(), place, head_len)?;
        // Before the commit: too new a mark costs a search, too old a one would hide the record.
        side.set_outside(next);
        side.forget_newest();
        self.commit_tail(guard, side, tail, next)?;
        Ok(Some(()))
    }

    /// Takes the tail lock of a ring that is open; `None` as for [`lock`](Self::lock).
    #[inline(always)]
    fn lock_open<'a>(
        &self,
        side: &'a Side,
        deadline: Option<Deadline>,
    ) -> Result<Option<LeafGuard<'a>>, PushError> {
        if self.header().is_closed() {
            return Err(PushError::Closed);
        }
        let Some(guard) = self.lock(side, deadline)? else { return Ok(None) };
        // Again: who found the ring closed and drained, with nobody in this lock, may rely on it.
        if self.header().is_closed() {
            return Err(PushError::Closed);
        }
        Ok(Some(guard))
    }

    /// Whether a record of so many units fits behind `tail`, as far as has been seen, or by a new look where that was not enough.
    #[inline(always)]
    fn has_room(&self, side: &Side, tail: Position, units: u32) -> Result<bool> {
        if self.fits(tail.since(side.seen()), units) {
            return Ok(true);
        }
        let head = self.look_for_head(side, tail)?;
        Ok(self.fits(tail.since(head), units))
    }

    /// The head, by a new look, which is at a valid distance from `tail`.
    #[cold]
    fn look_for_head(&self, side: &Side, tail: Position) -> Result<Position> {
        let head = self.header().head.position();
        side.set_seen(head);
        if self.is_valid(tail.since(head)) { Ok(head) } else { Err(damaged("push to")) }
    }

    /// Whether a record of so many units, at most those of a ring, fits beside `used`, which is a valid distance then.
    #[inline(always)]
    fn fits(&self, used: Position, units: u32) -> bool {
        used.items() < self.shape.items
            && used.units() <= self.shape.units() - units
            && used.items() <= used.units()
    }

    /// The room behind `tail`, as far as has been seen: any at all where a peer has damaged the ring since it was looked at.
    #[inline(always)]
    fn free(&self, side: &Side, tail: Position) -> Position {
        let all = Position::new(self.shape.items, self.shape.units());
        all.since(tail.since(side.seen()))
    }

    /// Commits what was written from `tail` to `next`, gives the lock back and wakes who waits for it.
    #[inline(always)]
    fn commit_tail(
        &self,
        guard: LeafGuard<'_>,
        side: &Side,
        tail: Position,
        next: Position,
    ) -> Result<()> {
        let Header { not_empty, not_full, .. } = self.header();
        if side.is_armed() {
            self.wake_pollers()?;
        }
        side.note_cpu(tail);
        let used = next.since(side.seen());
        side.commit(next);
        drop(guard);
        not_empty.bell().ring();
        if self.is_roomy(used) {
            // A pop of many has woken one producer only.
            not_full.bell().ring();
        }
        Ok(())
    }

    /// Whether a record of any length that is stored inside fits beside `used`.
    #[inline]
    fn is_roomy(&self, used: Position) -> bool {
        used.items() <= self.shape.items / 2 && used.units() <= self.shape.units() / 2
    }

    #[inline]
    fn wait_for_room<T>(
        &self,
        deadline: Option<Deadline>,
        attempt: impl FnMut() -> Result<Option<T>, PushError>,
    ) -> Result<Option<T>, PushError> {
        let bell = self.header().not_full.bell();
        wait(bell, deadline, &self.room_pace.patience, attempt, || self.room_appears())
    }

    /// Looks for a consumer to make room, without the lock, for as long as that pays.
    #[cold]
    fn room_appears(&self) -> bool {
        let Header { head, tail, .. } = self.header();
        // What the attempt found too little, so that nothing is missed that has moved since.
        let before = tail.seen();
        let moved = || (head.position() != before).then_some(());
        if !self.room_pace.spin(head.cpu(), PAUSES, moved) {
            return false;
        }
        self.room_pace.pause();
        self.room_pace.found(head.position().since(before), self.shape);
        true
    }

    fn write_place(&self, units: u32, place: Place, head_len: u64) -> Result<()> {
        self.records().set_word(units, 0, Record::outside_bits(head_len))?;
        self.records().set_word(units, 1, place.offset)?;
        self.records().set_word(units, 2, place.len)
    }

    /// The records between `head` and `tail` that are stored outside; under the tail lock, so that they stay readable.
    fn in_flight(&self, head: Position, tail: Position) -> Result<InFlight> {
        let mut in_flight = InFlight::default();
        let newest = self.header().tail.outside().since(head).items();
        if newest == 0 || newest > Position::MAX {
            return Ok(in_flight);
        }
        let mut at = head;
        while at.items() != tail.items() {
            let record = self.records().record(at.units(), tail.since(at).units())?;
            if record == Record::Outside {
                in_flight.add(self.place(at.units())?);
            }
            at = at.advance(1, record.units());
        }
        Ok(in_flight)
    }
}
