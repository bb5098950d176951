//! What the threads of a pool have done.

use std::{
    process,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use super::{
    crew::{Crew, catch},
    waiting::Epoch,
};
use crate::{PoolStats, TaskError, WorkerStats, worker};

/// The work of one thread, on a cache line of its own.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Count {
    tasks: AtomicU64,
    nanos: AtomicU64,
}

/// Tasks that a thread runs one after the other, which it counts when it is dropped.
pub(super) struct Meter<'c> {
    crew: &'c Crew,
    epoch: Epoch,
    since: Instant,
    run: u64,
    skipped: u64,
}

impl Meter<'_> {
    /// Runs `task`, unless it is cancelled; its panic is an error.
    pub(super) fn run<R>(&mut self, task: impl FnOnce() -> R) -> Result<R, TaskError> {
        if !self.crew.waiting.take(1, self.epoch) {
            self.skipped += 1;
            return Err(TaskError::Cancelled);
        }
        self.run += 1;
        catch(task)
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        if let Some(count) = worker::id().and_then(|id| self.crew.counts.get(id)) {
            let nanos = self.since.elapsed().as_nanos().try_into().unwrap_or(u64::MAX);
            count.nanos.fetch_add(nanos, Relaxed);
            count.tasks.fetch_add(self.run, Relaxed);
        }
        self.crew.queued.fetch_sub(self.run + self.skipped, Relaxed);
    }
}

impl Crew {
    pub(super) fn meter(&self, epoch: Epoch) -> Meter<'_> {
        Meter { crew: self, epoch, since: Instant::now(), run: 0, skipped: 0 }
    }

    pub(super) fn stats(&self) -> PoolStats {
        let worker = |(id, count): (usize, &Count)| WorkerStats {
            id,
            pid: process::id(),
            tasks: count.tasks.load(Relaxed),
            busy: Duration::from_nanos(count.nanos.load(Relaxed)),
            memory: None,
        };
        let workers: Vec<_> = self.counts.iter().enumerate().map(worker).collect();
        PoolStats {
            tasks: workers.iter().map(|worker| worker.tasks).sum(),
            busy: workers.iter().map(|worker| worker.busy).sum(),
            queued: self.queued.load(Relaxed),
            workers,
            ..PoolStats::default()
        }
    }
}
