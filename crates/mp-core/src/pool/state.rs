//! Who has what: the workers, what they were given, and what waits for them.
//!
//! All of it is bookkeeping under one lock. What is to be told to jobs is put into an [`Intake`], for after the lock.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::Arc,
    time::Instant,
};

use mp_process::TaskKey;

use super::{
    batch::{Batch, Blob, Function},
    slot::{Delivery, Slot},
    stats::Totals,
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
    /// Workers that have ended one after the other and done nothing.
    pub(super) fruitless: u32,
    /// Wakers of tasks that are awaited: no thread waits for those.
    pub(super) awaited: usize,
    pub(super) phase: Phase,
    /// Whether a worker may be missing, so that the supervisor must look.
    pub(super) has_vacancy: bool,
    /// Whether there need be no workers until there is a task.
    pub(super) is_dormant: bool,
    /// Since when the supervisor has seen nothing to do.
    pub(super) idle_since: Option<Instant>,
    /// Whether any task has had a time limit.
    pub(super) has_limits: bool,
    /// Why a worker cannot be killed.
    pub(super) unkillable: Option<String>,
    /// How an exit hook failed.
    pub(super) hook_failure: Option<TaskError>,
    /// When workers have died, newest last, as far as the settings want to know.
    pub(super) deaths: VecDeque<Instant>,
    pub(super) totals: Totals,
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
    /// Large arguments that are done with.
    pub(super) spent: Vec<Vec<u8>>,
    pub(super) failures: Vec<(Batch, TaskError)>,
}

/// A pool of which a part could not be started has workers, and no supervisor to end them.
impl Drop for State {
    fn drop(&mut self) {
        for slot in &self.slots {
            // One that cannot be killed ends with this process.
            let _ = slot.kill();
        }
    }
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
            || self.has_vacancy
            || !matches!(self.phase, Phase::Open)
    }

    /// Whether there are fewer workers than `number`, and something for another one to do, now or later.
    pub(super) fn needs_worker(&self, number: usize) -> bool {
        let wanted = match self.phase {
            // The pool is about to stop.
            _ if self.unkillable.is_some() => false,
            Phase::Open => !self.is_dormant,
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
        for slot in &mut self.slots {
            // One that does not keep to the protocol dies, and its death is handled like any other.
            if slot.collect(intake).is_err()
                && let Err(error) = slot.kill()
            {
                self.unkillable = Some(error.to_string());
            }
        }
        for batch in intake.unstarted.drain(..).rev() {
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
            self.has_limits |= batch.limit.is_some();
            // Where many have died at once, one that was lost with the first is not to be lost with all others.
            let is_sound = |slot: &Slot| batch.losses == 0 || slot.child.is_alive();
            let free = self.slots.iter_mut().filter(|slot| slot.room() > 0 && is_sound(slot));
            let Some(slot) = free.min_by_key(|slot| slot.assigned()) else {
                self.backlog.push_front(batch);
                break;
            };
            let (batch, rest) = batch.split(slot.quota());
            if let Some(rest) = rest {
                self.backlog.push_front(rest);
            }
            match slot.assign(batch) {
                Ok(None) => self.has_vacancy |= !slot.is_open(),
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

    /// Puts batches that were taken back before those that wait.
    pub(super) fn put_back(&mut self, batches: VecDeque<Batch>) {
        for batch in batches.into_iter().rev() {
            self.backlog.push_front(batch);
        }
    }

    /// Takes out the batches that no worker has been given, if they are `chosen`.
    pub(super) fn take_out(&mut self, chosen: impl Fn(&Batch) -> bool) -> VecDeque<Batch> {
        let (taken, kept) = mem::take(&mut self.backlog).into_iter().partition(chosen);
        self.backlog = kept;
        taken
    }

    /// The lowest number that no worker has.
    pub(super) fn free_place(&self) -> usize {
        let is_free =
            |place: &usize| !self.slots.iter().any(|slot| slot.is_open() && slot.place == *place);
        (0..).find(is_free).unwrap_or_default()
    }

    /// Takes in a worker that was wanted when its start began. By now the pool may have stopped, or want fewer.
    pub(super) fn admit(&mut self, slot: Slot, size: usize) {
        if matches!(self.phase, Phase::Stopped(_))
            && let Err(error) = slot.kill()
        {
            self.unkillable = Some(error.to_string());
        }
        self.slots.push(slot);
        self.shrink(size);
    }

    /// Closes the workers that are more than `size`, and puts what was queued for them back.
    pub(super) fn shrink(&mut self, size: usize) {
        loop {
            let open = self.slots.iter_mut().filter(|slot| slot.is_open());
            let mut open: Vec<_> = open.collect();
            if open.len() <= size {
                return;
            }
            let Some(last) = open.iter_mut().max_by_key(|slot| slot.place) else { return };
            let recalled = last.recall();
            last.close();
            self.put_back(recalled);
        }
    }

    /// Lets the workers of a closing pool end, once nothing waits for them.
    pub(super) fn release_idle(&mut self) {
        if matches!(self.phase, Phase::Closing) && self.backlog.is_empty() {
            self.slots.iter_mut().for_each(Slot::close);
        }
    }
}
