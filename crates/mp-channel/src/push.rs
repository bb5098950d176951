//! The producers' end.

use mp_os::{Deadline, Result};

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
    #[inline]
    pub(crate) fn push(
        &self,
        parts: &[&[u8]],
        deadline: Option<Deadline>,
    ) -> Result<bool, PushError> {
        let len = parts.iter().map(|part| part.len()).sum::<usize>();
        if len > self.max_inside() {
            return self.push_outside(parts, len, deadline);
        }
        Ok(self.wait_for_room(deadline, || self.push_inside(parts, len, deadline))?.is_some())
    }

    /// One attempt.
    fn push_inside(
        &self,
        parts: &[&[u8]],
        len: usize,
        deadline: Option<Deadline>,
    ) -> Result<Option<u32>, PushError> {
        let record = Record::Inside(len as u64);
        let whole = if let [bytes] = parts { Some(*bytes) } else { None };
        self.append(deadline, whole, |_, tail, free| {
            if free.items == 0 || free.units < record.units() {
                return Ok(tail);
            }
            self.records().prepare(tail.units, free.units);
            self.records().write(tail.units, record, parts)?;
            Ok(tail.advance(1, record.units()))
        })
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
        let appended = self.wait_for_room(deadline, || {
            self.append(deadline, None, |_, mut tail, mut free| {
                for bytes in records {
                    let record = Record::Inside(bytes.len() as u64);
                    let fits = free.items > 0 && free.units >= record.units();
                    if !fits || bytes.len() > self.max_inside() {
                        break;
                    }
                    self.records().prepare(tail.units, free.units);
                    self.records().write(tail.units, record, &[bytes])?;
                    tail = tail.advance(1, record.units());
                    free = free.since(Position { items: 1, units: record.units() });
                }
                Ok(tail)
            })
        })?;
        Ok(appended.unwrap_or(0) as usize)
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
        let head_len = (len - parts.last().map_or(0, |last| last.len())) as u64;
        let tail_side = &self.header().tail;
        self.wait_for_room(deadline, || {
            self.append(deadline, None, |head, tail, free| {
                let next = tail.advance(1, Record::Outside.units());
                if free.items == 0 || free.units < Record::Outside.units() {
                    return Ok(tail);
                }
                let in_flight = self.in_flight(head, tail)?;
                let Some(place) = self.outside.place(len as u64, tail, in_flight) else {
                    return Ok(tail);
                };
                self.outside.write(place, parts)?;
                self.write_place(tail.units, place, head_len)?;
                // Before the commit: too new a mark costs a search, too old a one would hide the record.
                tail_side.set_outside(next);
                Ok(next)
            })
        })
        .map(|appended| appended.is_some())
    }

    /// Takes the tail lock, lets `write` append from the tail, and commits; how many records, `None` for none.
    ///
    /// `write` gets the head, the tail and the room between, and gives the new tail. If it appends one record only, `whole` may
    /// be that, for its [`Newest`](crate::newest::Newest) copy.
    #[inline]
    fn append(
        &self,
        deadline: Option<Deadline>,
        whole: Option<&[u8]>,
        write: impl FnMut(Position, Position, Position) -> Result<Position>,
    ) -> Result<Option<u32>, PushError> {
        let Header { tail: side, not_empty, not_full, .. } = self.header();
        if self.header().is_closed() {
            return Err(PushError::Closed);
        }
        let Some(guard) = self.lock(side, deadline)? else { return Ok(None) };
        // Again: who found the ring closed and drained, with nobody in this lock, may rely on it.
        if self.header().is_closed() {
            return Err(PushError::Closed);
        }
        let tail = side.own_position();
        let Some((next, seen)) = self.write_from(side, tail, write)? else { return Ok(None) };
        if side.is_armed() {
            self.wake_pollers()?;
        }
        side.note_cpu(tail);
        side.set_newest(next, whole.filter(|_| self.header().is_conversation()));
        side.commit(next);
        drop(guard);
        not_empty.bell().ring();
        if self.is_roomy(next.since(seen)) {
            // A pop of many has woken one producer only.
            not_full.bell().ring();
        }
        Ok(Some(next.since(tail).items))
    }

    /// Lets `write` append from `tail`, behind the head as it was seen last, and where that leaves no room, as it is now:
    /// the new tail and that head, `None` where there is no room.
    #[inline]
    fn write_from(
        &self,
        side: &Side,
        tail: Position,
        mut write: impl FnMut(Position, Position, Position) -> Result<Position>,
    ) -> Result<Option<(Position, Position)>> {
        let (mut seen, mut is_new) = (side.seen(), false);
        // One call of `write`, so that it becomes part of this.
        loop {
            if let Some(free) = self.free(seen, tail) {
                let next = write(seen, tail, free)?;
                if next != tail {
                    return Ok(Some((next, seen)));
                }
            } else if is_new {
                return Err(damaged("push to"));
            }
            if is_new {
                return Ok(None);
            }
            seen = self.header().head.position();
            side.set_seen(seen);
            is_new = true;
        }
    }

    /// The room between `tail` and `head`, where that is a valid distance.
    #[inline]
    fn free(&self, head: Position, tail: Position) -> Option<Position> {
        let used = tail.since(head);
        let all = Position { items: self.shape.items, units: self.shape.units() };
        self.is_valid(used).then(|| all.since(used))
    }

    /// Whether a record of any length that is stored inside fits beside `used`.
    #[inline]
    fn is_roomy(&self, used: Position) -> bool {
        used.items <= self.shape.items / 2 && used.units <= self.shape.units() / 2
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
        let newest = self.header().tail.outside().since(head).items;
        if newest == 0 || newest > Position::MAX {
            return Ok(in_flight);
        }
        let mut at = head;
        while at.items != tail.items {
            let record = self.records().record(at.units, tail.since(at).units)?;
            if record == Record::Outside {
                in_flight.add(self.place(at.units)?);
            }
            at = at.advance(1, record.units());
        }
        Ok(in_flight)
    }
}
