//! The tasks that have not begun: how many, and which of them are cancelled.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The number of an epoch, and how many tasks that were given in it have not begun: one word, so that each task either begins
/// or is one of those that were cancelled.
#[derive(Debug, Default)]
pub(super) struct Waiting(AtomicU64);

/// Above is the epoch, below the tasks.
const EPOCH: u32 = 40;
const TASKS: u64 = (1 << EPOCH) - 1;

/// When a task was given: between which two calls that cancel all which have not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch(u64);

impl Waiting {
    /// Counts tasks that are given now, each of which is to be [taken](Self::take) when its turn comes.
    pub(super) fn add(&self, tasks: u64) -> Epoch {
        Epoch(self.0.fetch_add(tasks, Relaxed) >> EPOCH)
    }

    /// Tasks of this epoch wait no more: false where they are cancelled.
    pub(super) fn take(&self, tasks: u64, epoch: Epoch) -> bool {
        let take = |word| (Epoch(word >> EPOCH) == epoch).then(|| word - tasks);
        self.0.fetch_update(Relaxed, Relaxed, take).is_ok()
    }

    /// Cancels all that wait: how many.
    pub(super) fn recall(&self) -> u64 {
        let next = |word: u64| Some((word >> EPOCH).wrapping_add(1) << EPOCH);
        let (Ok(word) | Err(word)) = self.0.fetch_update(Relaxed, Relaxed, next);
        word & TASKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_begins_or_is_cancelled() {
        let waiting = Waiting::default();
        let early = waiting.add(3);
        assert!(waiting.take(1, early));
        assert_eq!(waiting.recall(), 2);
        assert!(!waiting.take(1, early));
        let late = waiting.add(1);
        assert!(!waiting.take(1, early) && waiting.take(1, late));
        assert_eq!(waiting.recall(), 0);
    }

    #[test]
    fn epochs_come_round() {
        let waiting = Waiting(AtomicU64::new(!TASKS | 5));
        assert_eq!((waiting.recall(), waiting.add(1)), (5, Epoch(0)));
    }
}
