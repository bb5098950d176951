//! From an iterator of arguments to batches: how many tasks go together, and how far ahead of the results.

use std::sync::Arc;

use mp_os::Deadline;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    batch::{Batch, Function, Job},
    handle::Handle,
    inbox::{Inbox, Sink},
    job::Options,
    slot::{RECORD_LEN, ahead},
    spares::LARGE,
};
use crate::{Result, TaskError};

/// How long a batch should take: long beside the way there and back, short beside what a person notices.
const BATCH_NANOS: u64 = 1_000_000;

/// The most tasks in a batch.
const BATCH_MAX: u64 = 1 << 14;

/// When a batch has as many bytes of arguments, it gets no more. A record of the ring that it goes through has room for them.
pub(super) const BATCH_LEN: usize = RECORD_LEN * 3 / 4;

/// How fast batches grow while nothing says that they take long.
const GROWTH: u64 = 8;

/// The part of the tasks that are left, divided by the number of workers, that one batch takes at most: the last batches
/// are small, so that the workers end together.
const SHARE: u64 = 2;

/// What is taken of outcomes that need no room beside their results.
pub(super) const UNBOUNDED: u64 = u64::MAX;

/// Feeds the pool with the tasks of one job.
pub(super) struct Feed<I, R, S>
where
    R: DeserializeOwned + Send + 'static,
    S: Sink<R> + 'static,
{
    handle: Arc<Handle>,
    options: Options,
    pub(super) inbox: Arc<Inbox<R, S>>,
    function: Arc<Function>,
    /// Whether the workers must be told to forget the function.
    is_private: bool,
    items: I,
    /// How many tasks have been given to the pool.
    given: u64,
    is_exhausted: bool,
    /// The number of tasks in the newest batch,
    batch_len: u64,
    /// and whether their arguments are long.
    is_large: bool,
}

impl<A, I, R, S> Feed<I, R, S>
where
    A: Serialize,
    I: Iterator<Item = A>,
    R: DeserializeOwned + Send + 'static,
    S: Sink<R> + 'static,
{
    pub(super) fn new(
        handle: &Arc<Handle>,
        options: Options,
        inbox: Inbox<R, S>,
        (function, is_private): (Arc<Function>, bool),
        items: I,
    ) -> Self {
        Self {
            handle: Arc::clone(handle),
            options,
            inbox: Arc::new(inbox),
            function,
            is_private,
            items,
            given: 0,
            is_exhausted: false,
            batch_len: 0,
            is_large: false,
        }
    }

    /// Gives the pool what it has room for, while not too many tasks are ahead of `taken`.
    ///
    /// # Errors
    ///
    /// Once where the pool takes no more of them: the job ends with those that it has.
    pub(super) fn feed(&mut self, taken: u64) -> Result<()> {
        if self.is_exhausted {
            return Ok(());
        }
        let local = self.handle.ours("give a task to").inspect_err(|_| self.is_exhausted = true)?;
        while !self.is_exhausted && self.is_in_window(taken) && local.has_room() {
            let job = Arc::clone(&self.inbox) as _;
            let mut batch = Batch::new(job, Arc::clone(&self.function), self.given, self.options);
            if self.is_large {
                batch.args = local.spares.take();
            }
            self.batch_len = self.next_len(taken);
            let is_exhausted = &mut self.is_exhausted;
            let items = &mut self.items;
            let next = || {
                let item = items.next();
                *is_exhausted = item.is_none();
                item
            };
            let filled =
                batch.fill(next, |count, len| u64::from(count) < self.batch_len && len < BATCH_LEN);
            let count = u64::from(batch.count);
            self.is_large = batch.args.len() >= LARGE;
            if count > 0 {
                local.submit(batch).inspect_err(|_| self.is_exhausted = true)?;
            }
            self.given += count;
            if let Err(error) = filled {
                let error = TaskError::Unencodable(error.into());
                self.inbox.fail(self.given, 1, &error);
                self.given += 1;
            }
        }
        Ok(())
    }

    /// Waits until the pool has room for more or `enough` says so; keeps it going meanwhile.
    /// False when `deadline` has passed first.
    pub(super) fn wait(
        &self,
        taken: u64,
        deadline: Deadline,
        enough: impl Fn(&Self) -> bool,
    ) -> Result<bool> {
        if enough(self) {
            return Ok(true);
        }
        let local = self.handle.ours("wait for")?;
        let wants = || !self.is_exhausted && self.is_in_window(taken) && local.has_room();
        local.wait_for(deadline, || enough(self) || wants())
    }

    /// Gives up on the tasks that are left.
    pub(super) fn end(&mut self) {
        self.is_exhausted = true;
        self.given = self.inbox.due();
    }

    /// Whether every task there is has an outcome.
    pub(super) fn is_complete(&self) -> bool {
        self.is_exhausted && self.inbox.due() == self.given
    }

    /// How many tasks the next batch has.
    fn next_len(&self, taken: u64) -> u64 {
        let most = self.options.max_in_flight.map_or(u64::MAX, |most| {
            most.get().saturating_sub(self.given.saturating_sub(taken)).max(1)
        });
        if let Some(fixed) = self.options.chunk_size {
            return most.min(u64::from(fixed.get()));
        }
        let Some(timely) = BATCH_NANOS.checked_div(self.inbox.task_nanos()) else { return 1 };
        let workers = self.handle.workers() as u64;
        let left = self.items.size_hint().1.map_or(u64::MAX, |left| left as u64);
        let share = left.div_ceil(workers.saturating_mul(SHARE));
        timely.min(self.batch_len.saturating_mul(GROWTH)).min(share).min(most).clamp(1, BATCH_MAX)
    }

    /// Whether so few tasks are ahead of `taken` that another batch may be: twice what the workers should have. It bounds
    /// the memory of outcomes that nobody takes; [`UNBOUNDED`] says that they are taken as they come.
    fn is_in_window(&self, taken: u64) -> bool {
        if taken != UNBOUNDED
            && let Some(most) = self.options.max_in_flight
        {
            return self.given.saturating_sub(taken) < most.get();
        }
        let batch_len = self.batch_len.max(1);
        let batches = 2 * ahead(batch_len.saturating_mul(self.inbox.task_nanos())) as u64;
        let workers = self.handle.workers() as u64;
        self.given.saturating_sub(taken) < workers.saturating_mul(batches).saturating_mul(batch_len)
    }
}

impl<I, R, S> Drop for Feed<I, R, S>
where
    R: DeserializeOwned + Send + 'static,
    S: Sink<R> + 'static,
{
    fn drop(&mut self) {
        Job::abandon(&*self.inbox);
        let Ok(local) = self.handle.ours("take tasks back from") else { return };
        if self.inbox.due() < self.given {
            local.take_back(Arc::as_ptr(&self.inbox).cast());
        }
        if self.is_private {
            local.forget(&self.function);
        }
    }
}
