//! What comes from a worker.

use std::{mem, ops::Range, sync::Arc, time::Duration};

use super::{Assigned, Slot};
use crate::{
    Error, Result,
    pool::{batch::Job, spares::LARGE, state::Intake, wire::ResultHead},
};

/// Results on their way to their job.
pub(in crate::pool) struct Delivery {
    pub(in crate::pool) job: Arc<dyn Job>,
    pub(in crate::pool) first: u64,
    pub(in crate::pool) count: u32,
    pub(in crate::pool) nanos: u64,
    /// Where the framed results stand in the buffer they were received into,
    pub(in crate::pool) range: Range<usize>,
    /// and the end of the last one, where that is a large piece of bytes.
    pub(in crate::pool) tail: Vec<u8>,
}

impl Slot {
    /// Receives what results there are, and says in `intake` whose they are.
    ///
    /// # Errors
    ///
    /// Where the worker breaks the protocol: it must be killed, its tasks are then handled as for any death.
    pub(in crate::pool) fn collect(&mut self, intake: &mut Intake) -> Result<()> {
        let Intake { record, bytes, deliveries, unstarted, spent, .. } = intake;
        let mut tail = Vec::new();
        while self.results.try_pop_parts(record, &mut tail).is_ok() {
            let (head, results) = ResultHead::split(record)
                .ok_or_else(|| Error::protocol("a result record is too short"))?;
            deliveries.push(self.accept(head, (results, mem::take(&mut tail)), bytes)?);
            if head.last
                && let Some(Assigned { done, mut batch, .. }) = self.assigned.pop_front()
            {
                if done >= batch.count {
                    let bytes = [mem::take(&mut batch.args), mem::take(&mut batch.tail)];
                    spent.extend(bytes.into_iter().filter(|bytes| bytes.capacity() >= LARGE));
                }
                unstarted.extend(batch.after(done));
            }
        }
        Ok(())
    }

    /// Books results of the oldest batch.
    pub(super) fn accept(
        &mut self,
        head: ResultHead,
        (results, tail): (&[u8], Vec<u8>),
        bytes: &mut Vec<u8>,
    ) -> Result<Delivery> {
        let front = self.assigned.front_mut().filter(|front| front.number == head.batch);
        let front = front
            .ok_or_else(|| Error::protocol("results came of a batch that is not the oldest"))?;
        // Before anything is booked: the tasks of a worker that lies are still to have their outcomes.
        if head.count == 0 || head.count > front.batch.count - front.done {
            return Err(Error::protocol("no results came, or more than the batch has tasks"));
        }
        let first = front.batch.first + u64::from(front.done);
        front.done += head.count;
        let start = bytes.len();
        bytes.extend_from_slice(results);
        self.completed += u64::from(head.count);
        self.busy += Duration::from_nanos(head.nanos);
        // Half of the average is the newest batch: it follows a change within a few.
        self.batch_nanos = self.batch_nanos.midpoint(head.nanos).max(1);
        Ok(Delivery {
            job: Arc::clone(&front.batch.job),
            first,
            count: head.count,
            nanos: head.nanos,
            range: start..bytes.len(),
            tail,
        })
    }
}
