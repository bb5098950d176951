//! How often a consumer looks for the next record.
//!
//! Each look at an empty ring takes the tail's cache line away from the producer. In a conversation, where one record comes
//! at a time, looking at once is best; in a stream it is best to wait until several records are there and take them with one
//! look: 16 ns a record instead of 58. Which of the two it is shows in how many records a look finds.

use std::{
    hint,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use mp_sync::Patience;

#[derive(Debug)]
pub(crate) struct Pace {
    /// Pauses before a look.
    lag: AtomicU32,
    /// Looks that found one record, since the last trial of a longer lag.
    looks: AtomicU32,
    pub(crate) patience: Patience,
}

/// The most pauses before a look: about a microsecond.
const LAG_MAX: u32 = 64;
/// The lag that is tried now and then.
const LAG_TRIAL: u32 = 16;
/// How many looks in a conversation there are for a trial, so many that what it delays does not count.
const LOOKS: u32 = 512;

impl Pace {
    pub(crate) const fn new() -> Self {
        Self { lag: AtomicU32::new(0), looks: AtomicU32::new(0), patience: Patience::new() }
    }

    /// Pauses before a look.
    #[inline]
    pub(crate) fn pause(&self) {
        (0..self.lag.load(Relaxed)).for_each(|_| hint::spin_loop());
    }

    /// Learns from a look that found `items` new records.
    #[inline]
    pub(crate) fn found(&self, items: u32) {
        let lag = self.lag.load(Relaxed);
        if items > 1 {
            self.lag.store((lag * 2).clamp(LAG_TRIAL, LAG_MAX), Relaxed);
        } else if lag > 0 {
            self.lag.store(lag / 2, Relaxed);
        } else {
            let looks = self.looks.load(Relaxed) + 1;
            let trial = looks >= LOOKS;
            self.looks.store(if trial { 0 } else { looks }, Relaxed);
            self.lag.store(if trial { LAG_TRIAL } else { 0 }, Relaxed);
        }
    }

    /// Looks until `there` sees something, for as long as that pays.
    pub(crate) fn spin(&self, peer_cpu: u32, there: impl FnMut() -> Option<()>) -> bool {
        let found = self.patience.spin(peer_cpu, self.lag.load(Relaxed).max(1), there).is_some();
        if !found {
            // It has been quiet: the next record is to be seen at once.
            self.lag.store(0, Relaxed);
        }
        found
    }
}
