//! What a worker leaves behind.

use std::collections::VecDeque;

use super::{Assigned, Delivery, Slot};
use crate::pool::{batch::Batch, journal::Salvage, wire::ResultHead};

/// How many workers may be lost with a task that was next, or that they ran, of which none of them said that it ran.
///
/// One that is killed between two tasks is no fault of the next. But what it said is its own word, and a task that takes
/// that back before it dies must have an outcome too. Fewer than the workers that a pool loses for nothing before it gives up.
const LOSSES_MAX: u32 = 3;

/// What a dead worker leaves behind.
pub(in crate::pool) struct Remains {
    /// The task it died of, if it ran one.
    pub(in crate::pool) fatal: Option<Batch>,
    /// Tasks that had not begun.
    pub(in crate::pool) unstarted: VecDeque<Batch>,
}

impl Remains {
    /// Has the task that was next answer for the death, where no other one does and that has been so too often.
    pub(in crate::pool) fn suspect(&mut self) {
        if self.fatal.is_some() {
            return;
        }
        let Some(mut next) = self.unstarted.pop_front() else { return };
        next.losses += 1;
        if next.losses <= LOSSES_MAX {
            return self.unstarted.push_front(next);
        }
        let (next, others) = next.split(1);
        self.fatal = Some(next);
        others.into_iter().for_each(|others| self.unstarted.push_front(others));
    }
}

impl Slot {
    /// Sorts out what a dead worker leaves behind: results that it saved, the task it died of, tasks it had not begun.
    ///
    /// To be called when everything in its ring has been [collected](Self::collect).
    pub(in crate::pool) fn bury(
        &mut self,
        bytes: &mut Vec<u8>,
        deliveries: &mut Vec<Delivery>,
    ) -> Remains {
        let (mut fatal, mut unstarted) = (None, VecDeque::new());
        let salvage = self.journal.salvage();
        let current = |slot: &Self, batch| {
            slot.assigned.front().filter(|front| front.number == batch).map(|front| front.done)
        };
        if let Some(done) = current(self, salvage.batch) {
            let Salvage { batch, first, count, results, running } = salvage;
            if count > 0 && first == done {
                let head = ResultHead { batch, count, last: false, nanos: self.batch_nanos };
                deliveries.extend(self.accept(head, (&results, Vec::new()), bytes));
            }
            let front = self.assigned.pop_front();
            // What ran when it died may have been saved or sent a moment before.
            match front.and_then(|Assigned { done, batch, .. }| Some((done, batch.after(done)?))) {
                Some((done, rest)) if running == Some(done) => {
                    let (first, others) = rest.split(1);
                    fatal = Some(first);
                    unstarted.extend(others);
                }
                rest => unstarted.extend(rest.map(|(_, rest)| rest)),
            }
        }
        unstarted.extend(self.give_up());
        Remains { fatal, unstarted }
    }

    /// The tasks whose outcomes nobody waits for any more.
    pub(in crate::pool) fn give_up(&mut self) -> impl Iterator<Item = Batch> {
        self.assigned.drain(..).filter_map(|Assigned { done, batch, .. }| batch.after(done))
    }
}
