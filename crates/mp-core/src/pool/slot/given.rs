//! What a worker is given, and what is taken back.

use std::collections::VecDeque;

use mp_channel::TryPushError;
use mp_process::SendError;

use super::{Assigned, RING_ITEMS, Slot, ring_error};
use crate::{
    Error, Result,
    pool::{
        batch::{Batch, Function},
        wire::{Control, TaskHead},
    },
};

/// Why a batch was not sent.
enum Refusal {
    /// There is no room for it now.
    Full,
    /// The worker is dead.
    Gone,
    /// It cannot be sent to any worker.
    Never(Error),
}

impl From<SendError> for Refusal {
    fn from(error: SendError) -> Self {
        match error {
            SendError::TimedOut => Self::Full,
            SendError::Closed => Self::Gone,
            error => Self::Never(error.into()),
        }
    }
}

impl From<TryPushError> for Refusal {
    fn from(error: TryPushError) -> Self {
        match error {
            TryPushError::Full => Self::Full,
            error => Self::Never(ring_error(error)),
        }
    }
}

impl Slot {
    /// Gives the worker `batch`, or gives it back where it cannot take it in now, or is dead.
    ///
    /// # Errors
    ///
    /// The batch with why no worker can be given it.
    pub(in crate::pool) fn assign(
        &mut self,
        batch: Batch,
    ) -> Result<Option<Batch>, Box<(Batch, Error)>> {
        match self.send(&batch) {
            Ok(()) => {
                self.quota = self.quota.saturating_sub(batch.count.into());
                self.assigned.push_back(Assigned { number: self.next_batch, done: 0, batch });
                self.next_batch = self.next_batch.wrapping_add(1);
                if self.quota == 0 {
                    self.close();
                }
                Ok(None)
            }
            Err(Refusal::Full) => {
                // Its number is used up: descriptors may have been sent with it.
                self.next_batch = self.next_batch.wrapping_add(1);
                Ok(Some(batch))
            }
            Err(Refusal::Gone) => {
                self.is_closed = true;
                Ok(Some(batch))
            }
            Err(Refusal::Never(error)) => Err(Box::new((batch, error))),
        }
    }

    /// Sends what the batch needs over the socket, and then the batch, so that the worker finds all it needs. Never
    /// waits: the worker may be waiting for us to take in its results.
    fn send(&mut self, batch: &Batch) -> Result<(), Refusal> {
        let Function { id, key, shared } = &*batch.function;
        if !self.defined.contains(id) {
            let forget = self.forgotten.clone();
            self.control.try_send(&Control::Define { id: *id, key: *key, shared, forget })?;
            self.defined.insert(*id);
            self.forgotten.clear();
        }
        if let Some(fds) = &batch.handles {
            self.control.try_send(&Control::Handles { batch: self.next_batch, fds: &**fds })?;
        }
        let head = TaskHead {
            function: *id,
            batch: self.next_batch,
            count: batch.count,
            handles: batch.handles.is_some(),
            watch: batch.watch,
        };
        Ok(self.tasks.try_push_parts(&[&head.to_bytes(), &batch.args, &batch.tail])?)
    }

    /// No later batch runs the function `id`: the worker drops it, and the value it shares, when it comes to that.
    pub(in crate::pool) fn forget(&mut self, id: u32) {
        if self.defined.remove(&id)
            && self.tasks.try_push(&TaskHead::forget(id).to_bytes()).is_err()
        {
            // It hears of it with the next definition.
            self.forgotten.push(id);
        }
    }

    /// Takes back the batches that the worker has not taken, oldest first. What is left is at most the one it works on,
    /// and those of which it has sent results.
    pub(in crate::pool) fn recall(&mut self) -> VecDeque<Batch> {
        let (mut record, mut count) = (Vec::new(), 0);
        let mut forgotten = Vec::new();
        // Not more than there can be, so that a worker which writes over the ring does not hold us up.
        for _ in 0..RING_ITEMS {
            if self.tasks.try_pop(&mut record).is_err() {
                break;
            }
            match TaskHead::split(&record) {
                Some((head, _)) if head.count == 0 => forgotten.push(head.function),
                _ => count += 1,
            }
        }
        self.defined.extend(&forgotten);
        forgotten.into_iter().for_each(|id| self.forget(id));
        let kept = self.assigned.len().saturating_sub(count);
        // Of one that was never taken there are no results, unless the worker lies: no task has two outcomes.
        let rest = |Assigned { done, batch, .. }: Assigned| batch.after(done);
        let recalled: VecDeque<_> =
            self.assigned.split_off(kept).into_iter().filter_map(rest).collect();
        let tasks: u64 = recalled.iter().map(|batch| u64::from(batch.count)).sum();
        self.quota = self.quota.saturating_add(tasks);
        recalled
    }
}
