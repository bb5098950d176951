//! Who has what: the workers, what they were given, and what waits for them.
//!
//! All of it is bookkeeping under one lock. What is to be told to jobs is put into an [`Intake`], for after the lock.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use mp_process::TaskKey;

use super::{
    batch::{Batch, Blob, Function},
    slot::{Delivery, Slot},
};
use crate::{PoolStopped, TaskError};

/// The bookkeeping of a pool.
#[derive(Default)]
pub(super) struct State {
    pub(super) slots: Vec<Slot>,
    /// Batches that no worker has been given yet.
    pub(super) backlog: VecDeque<Batch>,
    /// Workers that are known to be dead and not buried yet.
    pub(super) dead: Vec<u64>,
    /// Functions without shared values, which stay known for the life of the pool.
    pub(super) functions: HashMap<TaskKey, Arc<Function>>,
    pub(super) next_function: u32,
    pub(super) next_worker: u64,
    pub(super) failed_starts: u32,
    /// Wakers of tasks that are awaited: no thread waits for those.
    pub(super) awaited: usize,
    pub(super) phase: Phase,
    /// Whether the supervisor looks again by itself, because workers have something to do.
    pub(super) is_attended: bool,
    /// Whether the supervisor has ended, and with it every worker.
    pub(super) is_over: bool,
}

/// How far a pool is on its way to its end.
#[derive(Debug, Default, Clone)]
pub(super) enum Phase {
    #[default]
    Open,
    /// Takes no tasks any more, and finishes those it has.
    Closing,
    /// Ends its workers; tasks that are left fail with this.
    Stopped(PoolStopped),
}

/// What is taken in under the lock and handed on after it. Kept by each thread for its warm memory.
#[derive(Default)]
pub(super) struct Intake {
    pub(super) record: Vec<u8>,
    pub(super) bytes: Vec<u8>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) unstarted: Vec<Batch>,
    pub(super) failures: Vec<(Batch, TaskError)>,
}

impl State {
    pub(super) fn new_function(&mut self, key: TaskKey, shared: Blob) -> Arc<Function> {
        let id = self.next_function;
        self.next_function += 1;
        Arc::new(Function { id, key, shared })
    }

    /// Whether there is work that goes on only if somebody takes in results.
    pub(super) fn needs_tending(&self) -> bool {
        !self.backlog.is_empty()
            || self.awaited > 0
            || !self.dead.is_empty()
            || !matches!(self.phase, Phase::Open)
    }

    /// Whether there are fewer workers than `number`, and something for another one to do, now or later.
    pub(super) fn needs_worker(&self, number: usize) -> bool {
        let wanted = match self.phase {
            Phase::Open => true,
            Phase::Closing => !self.backlog.is_empty(),
            Phase::Stopped(_) => false,
        };
        wanted && self.slots.iter().filter(|slot| slot.is_open()).count() < number
    }

    pub(super) fn check_open(&self) -> Result<(), PoolStopped> {
        match &self.phase {
            Phase::Open => Ok(()),
            Phase::Closing => Err(PoolStopped::Closed),
            Phase::Stopped(why) => Err(why.clone()),
        }
    }

    /// Whether some worker has something to do.
    pub(super) fn is_busy(&self) -> bool {
        self.slots.iter().any(|slot| slot.assigned() > 0)
    }

    pub(super) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    pub(super) fn collect(&mut self, intake: &mut Intake) {
        let Intake { record, bytes, deliveries, unstarted, .. } = intake;
        for slot in &mut self.slots {
            if slot.collect(record, bytes, deliveries, unstarted).is_err() {
                // It does not keep to the protocol: its death is then handled like any other.
                slot.kill();
            }
        }
        for batch in unstarted.drain(..).rev() {
            self.backlog.push_front(batch);
        }
    }

    /// Gives what waits to the workers that have the fewest batches.
    pub(super) fn hand_out(&mut self, failures: &mut Vec<(Batch, TaskError)>) {
        while let Some(batch) = self.backlog.pop_front() {
            if let Phase::Stopped(why) = &self.phase {
                failures.push((batch, TaskError::Stopped(why.clone())));
                continue;
            }
            if batch.job.is_abandoned() {
                failures.push((batch, TaskError::Cancelled));
                continue;
            }
            let free = self.slots.iter_mut().filter(|slot| slot.room() > 0);
            let Some(slot) = free.min_by_key(|slot| slot.assigned()) else {
                self.backlog.push_front(batch);
                break;
            };
            match slot.assign(batch) {
                Ok(None) => {}
                Ok(Some(batch)) if slot.is_open() => {
                    self.backlog.push_front(batch);
                    break;
                }
                // Dead: perhaps another one.
                Ok(Some(batch)) => self.backlog.push_front(batch),
                Err(refused) => {
                    let (batch, error) = *refused;
                    failures.push((batch, TaskError::from(error)));
                }
            }
        }
        self.release_idle();
    }

    /// Lets the workers of a closing pool end, once nothing waits for them.
    pub(super) fn release_idle(&mut self) {
        if matches!(self.phase, Phase::Closing) && self.backlog.is_empty() {
            self.slots.iter_mut().for_each(Slot::close);
        }
    }
}
