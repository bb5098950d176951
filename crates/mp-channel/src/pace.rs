//! How often one side looks where the other one is.
//!
//! Each look takes a cache line away from the other side, for some tens of nanoseconds of either. In a conversation, where
//! one record comes at a time, looking at once is best; in a stream it is best to wait until several records have come, or
//! gone, and to learn that with one look: 16 ns a record instead of 58. Which of the two it is shows in how many a look
//! finds. One that finds half a ring was too late: the other side may have stood still meanwhile.

use std::{
    hint,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use mp_sync::Patience;

use crate::{layout::Shape, position::Position};

/// On cache lines of its own: threads that share a handle, a producer and a consumer, write to one each.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Pace {
    /// Pauses before a look.
    lag: AtomicU32,
    lag_max: u32,
    /// Looks in a row that found one record, as far as they count.
    single: AtomicU32,
    pub(crate) patience: Patience,
}

/// The most pauses before a look of a consumer: some microseconds, which a record then comes late.
const LAG_MAX: u32 = 64;
/// The most pauses before a look of a producer, whom nobody waits for while the ring is full.
const ROOM_LAG_MAX: u32 = 256;
/// The lag that is tried now and then.
const LAG_TRIAL: u32 = 16;
/// How many looks in a conversation there are for a trial, so many that what it delays does not count.
const LOOKS: u32 = 512;
/// So many single records in a row are a conversation.
const CONVERSATION: u32 = 16;

impl Pace {
    /// For consumers, who look for records.
    pub(crate) const fn of_records() -> Self {
        Self::new(LAG_MAX)
    }

    /// For producers, who look for room.
    pub(crate) const fn of_room() -> Self {
        Self::new(ROOM_LAG_MAX)
    }

    const fn new(lag_max: u32) -> Self {
        let (lag, single) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { lag, lag_max, single, patience: Patience::new() }
    }

    /// Pauses before a look.
    #[inline]
    pub(crate) fn pause(&self) {
        (0..self.lag.load(Relaxed)).for_each(|_| hint::spin_loop());
    }

    /// Whether this side looks at once.
    #[inline]
    pub(crate) fn is_eager(&self) -> bool {
        self.lag.load(Relaxed) == 0
    }

    /// Whether one record comes at a time, and has for a while.
    #[inline]
    pub(crate) fn is_conversation(&self) -> bool {
        self.single.load(Relaxed) >= CONVERSATION
    }

    /// Learns from a look by which the other side of a ring of this shape had moved on by `found`.
    #[inline]
    pub(crate) fn found(&self, found: Position, shape: Shape) {
        let lag = self.lag.load(Relaxed);
        let single = if found.items() == 1 { self.single.load(Relaxed) + 1 } else { 0 };
        let is_trial = single >= CONVERSATION + LOOKS;
        self.single.store(if is_trial { CONVERSATION } else { single }, Relaxed);
        let is_half = found.items() > shape.items / 2 || found.units() > shape.units() / 2;
        if found.items() > 1 && !is_half {
            self.lag.store((lag * 2).clamp(LAG_TRIAL, self.lag_max), Relaxed);
        } else if is_trial {
            self.lag.store(LAG_TRIAL, Relaxed);
        } else if lag > 0 {
            self.lag.store(lag / 2, Relaxed);
        }
    }

    /// Looks until `moved` sees something, at most every `pauses`, for as long as that pays.
    pub(crate) fn spin(
        &self,
        peer_cpu: u32,
        pauses: u32,
        moved: impl FnMut() -> Option<()>,
    ) -> bool {
        let pauses = self.lag.load(Relaxed).max(pauses);
        let found = self.patience.spin(peer_cpu, pauses, moved).is_some();
        if !found {
            // It has been quiet: what comes next is to be seen at once.
            self.lag.store(0, Relaxed);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { items: 100, bytes: 4096 };

    fn lag(pace: &Pace) -> u32 {
        pace.lag.load(Relaxed)
    }

    fn found(items: u32, units: u32) -> Position {
        Position::new(items, units)
    }

    #[test]
    fn streams_are_looked_at_late_and_conversations_at_once() {
        let pace = Pace::of_records();
        (0..5).for_each(|_| pace.found(found(2, 4), SHAPE));
        assert_eq!(lag(&pace), LAG_MAX);
        (0..8).for_each(|_| pace.found(found(1, 2), SHAPE));
        assert_eq!(lag(&pace), 0);
        let trials = (0..10 * LOOKS).filter(|_| {
            pace.found(found(1, 2), SHAPE);
            lag(&pace) > 0
        });
        assert!((10..=50).contains(&trials.count()), "now and then");
        assert!(pace.is_conversation());
        pace.found(found(2, 4), SHAPE);
        assert!(!pace.is_conversation());
    }

    #[test]
    fn a_look_that_finds_half_a_ring_was_too_late() {
        for half in [found(51, 102), found(2, 300)] {
            let pace = Pace::of_room();
            (0..5).for_each(|_| pace.found(found(2, 4), SHAPE));
            (0..16).for_each(|_| pace.found(half, SHAPE));
            assert_eq!(lag(&pace), 0);
        }
    }
}
