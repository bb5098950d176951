//! What both ends of a ring share: the memory and how to reach it, what may be believed of it, and waiting.
//!
//! **Memory order.** A record is written with plain copies and committed by the `Release` store of the tail's position; a
//! consumer loads that position with `Acquire` before it copies the record out. The consumer's `Release` store of the
//! head's position, in turn, comes after its copies, and a producer loads it with `Acquire` before it writes over what was
//! there. Everything else on a side is used under that side's leaf lock. A side that has committed looks whether somebody
//! sleeps, a sleeper looks whether something was committed: the barriers of that are the doorbell's.
//!
//! **Killed** before the commit: nothing happened, and the next holder of the lock writes over it. After: it has happened,
//! and who sleeps is woken by the next holder of the lock or wakes by itself within 25 ms. There is nothing to repair.

use mp_os::{Deadline, Error, Result};
use mp_shm::Mapping;
use mp_sync::{Doorbell, LeafGuard, Patience, TimeoutError};
use std::time::{Duration, Instant};

use crate::{
    RingParts,
    error::damaged,
    layout::{Header, Shape, Side},
    lease::table::Leases,
    outside::{Outside, Place},
    pace::Pace,
    position::Position,
    record::Record,
    records::Records,
    sys::Memory,
};

/// How long a `try_` operation waits for a lock: who holds it for longer was stopped, or copies a huge record.
const TRY_LOCK: Duration = Duration::from_millis(10);

pub(crate) struct Inner {
    pub(crate) memory: Memory,
    pub(crate) shape: Shape,
    pub(crate) outside: Outside,
    pub(crate) parts: RingParts,
    pub(crate) leases: Option<Leases>,
    /// How consumers of this handle wait for records.
    pub(crate) pace: Pace,
    /// How producers of this handle wait for room.
    pub(crate) room_pace: Pace,
}

impl Inner {
    pub(crate) fn new(memory: Memory, shape: Shape, parts: RingParts) -> Result<Self> {
        let outside = Outside::new(parts.outside.clone(), shape);
        let leases = parts.leases.clone().map(|parts| Leases::new(parts, memory.header()));
        Ok(Self {
            leases: leases.transpose()?,
            memory,
            shape,
            outside,
            parts,
            pace: Pace::of_records(),
            room_pace: Pace::of_room(),
        })
    }

    #[inline]
    pub(crate) fn header(&self) -> &Header {
        self.memory.header()
    }

    #[inline]
    pub(crate) fn records(&self) -> Records<'_, Mapping> {
        Records::new(self.memory.segment.mapping(), self.shape.bytes)
    }

    /// Takes the lock of `side`; `None` where `deadline` (of a `try_` operation: a moment) has passed.
    ///
    /// Always inlined: a guard that is returned goes through memory, and is read before its parts have been written.
    #[inline(always)]
    pub(crate) fn lock<'a>(
        &self,
        side: &'a Side,
        deadline: Option<Deadline>,
    ) -> Result<Option<LeafGuard<'a>>> {
        let moment = || deadline.unwrap_or_else(|| Deadline::after(TRY_LOCK));
        let guard = match side.lock().lock_until_with(moment) {
            Ok(guard) => guard,
            Err(TimeoutError::Os(error)) => return Err(error),
            Err(_) => return Ok(None),
        };
        if guard.owner_died() {
            self.owner_died(side);
        }
        Ok(Some(guard))
    }

    /// Makes up for what a killed holder of a side's lock may have left undone after its commit.
    #[cold]
    fn owner_died(&self, side: &Side) {
        let header = self.header();
        side.recover();
        side.note_death();
        header.not_empty.bell().ring_all();
        header.not_full.bell().ring_all();
        if std::ptr::eq(side, &raw const header.head) {
            if let Some(leases) = &self.leases {
                leases.cancel(&header.leases, side.position().items());
            }
            // The memory of the large record that was popped last. Should this fail, it is freed with the ring.
            let last = side.position().units().wrapping_sub(Record::Outside.units());
            let _ = self.outside.free_slot(last);
        }
    }

    /// Whether `used` can be the distance from head to tail.
    #[inline]
    pub(crate) fn is_valid(&self, used: Position) -> bool {
        used.items() <= self.shape.items
            && used.units() <= self.shape.units()
            && used.items() <= used.units()
    }

    /// The longest record that is stored inside the ring.
    #[inline]
    pub(crate) fn max_inside(&self) -> usize {
        self.shape.bytes / 4
    }

    pub(crate) fn max_len(&self) -> usize {
        usize::try_from(self.outside.max_len()).unwrap_or(usize::MAX).max(self.max_inside())
    }

    pub(crate) fn len(&self) -> usize {
        let Header { head, tail, .. } = self.header();
        let mut before = head.position();
        loop {
            let used = tail.position().since(before);
            let after = head.position();
            if before == after {
                return used.items().min(self.shape.items) as usize;
            }
            before = after;
        }
    }

    /// Where the contents of the record at `units` are, which says that they are outside.
    pub(crate) fn place(&self, units: u32) -> Result<Place> {
        let records = self.records();
        let place = Place { offset: records.word(units, 1)?, len: records.word(units, 2)? };
        if self.outside.is_valid(place, units) { Ok(place) } else { Err(damaged("read")) }
    }

    /// How long all parts but the last one of the record at `units` are, whose contents are in `place`.
    pub(crate) fn head_len(&self, units: u32, place: Place) -> Result<u64> {
        let len = Record::head_len(self.records().word(units, 0)?);
        if len <= place.len { Ok(len) } else { Err(damaged("read")) }
    }
}

/// Tries until `attempt` gives a value: once; then again whenever `appears` sees a reason to, which it looks for as long as
/// that pays; then asleep at `bell`. `None` once `deadline` has passed; without one, after one attempt.
#[inline]
pub(crate) fn wait<T, E: From<Error>>(
    bell: &Doorbell,
    deadline: Option<Deadline>,
    patience: &Patience,
    mut attempt: impl FnMut() -> Result<Option<T>, E>,
    appears: impl Fn() -> bool,
) -> Result<Option<T>, E> {
    loop {
        if let Some(value) = attempt()? {
            return Ok(Some(value));
        }
        let Some(deadline) = deadline else { return Ok(None) };
        if deadline.is_past() || !appears() {
            let start = Instant::now();
            let value = bell.wait_for(deadline, || attempt().transpose())?;
            patience.slept(start.elapsed());
            return value.transpose();
        }
    }
}
