//! Tasks that are taken back: before they begin, or while they run.

use std::{collections::VecDeque, mem};

use super::{
    batch::Batch,
    local::{Local, fail_all},
    state::{Intake, State},
};
use crate::TaskError;

impl Local {
    /// Cancels the tasks of a job: whether one of them ends as cancelled.
    pub(super) fn cancel(&self, job: *const ()) -> bool {
        let mut intake = Intake::default();
        let mut state = self.state.lock();
        state.recall(job, &mut intake);
        let queued = state.take_out(|batch| batch.is_of(job));
        let condemned = state.condemn(job, &mut intake);
        self.hand_out(&mut state, &mut intake.failures);
        drop(state);
        let is_cancelled = condemned || !queued.is_empty();
        fail(queued);
        self.hand_on(&mut intake);
        is_cancelled
    }

    /// Cancels the tasks of a job that have not begun, though nobody is interested in their outcomes.
    pub(super) fn take_back(&self, job: *const ()) {
        let mut intake = Intake::default();
        let mut state = self.state.lock();
        state.recall(job, &mut intake);
        let queued = state.take_out(|batch| batch.is_of(job));
        self.hand_out(&mut state, &mut intake.failures);
        drop(state);
        fail(queued);
        self.hand_on(&mut intake);
    }

    /// Cancels all tasks that have not begun: how many.
    pub(super) fn cancel_queued(&self) -> u64 {
        let mut state = self.state.lock();
        for at in 0..state.slots.len() {
            let recalled = state.slots[at].recall();
            state.put_back(recalled);
        }
        let queued = mem::take(&mut state.backlog);
        state.release_idle();
        drop(state);
        let tasks = queued.iter().map(|batch| u64::from(batch.count)).sum();
        fail(queued);
        tasks
    }
}

fn fail(cancelled: VecDeque<Batch>) {
    fail_all(cancelled.into_iter().map(|batch| (batch, TaskError::Cancelled)).collect());
}

impl State {
    /// Takes back what the workers that have tasks of the job have not taken yet, and takes in what they have sent.
    fn recall(&mut self, job: *const (), intake: &mut Intake) {
        for at in 0..self.slots.len() {
            if self.slots[at].has(job) {
                let recalled = self.slots[at].recall();
                self.put_back(recalled);
            }
        }
        self.collect(intake);
    }

    /// Kills the workers that run the job's tasks or are about to: whether one of these tasks has not finished.
    fn condemn(&mut self, job: *const (), intake: &mut Intake) -> bool {
        let mut condemned = Vec::new();
        for slot in &mut self.slots {
            if slot.condemn(job, TaskError::Cancelled) {
                condemned.push(slot.id);
                if let Err(error) = slot.kill() {
                    self.unkillable = Some(error.to_string());
                }
            }
        }
        if condemned.is_empty() {
            return false;
        }
        // It may have finished the task, and sent the result, a moment before it was condemned to begin nothing else.
        self.collect(intake);
        self.slots.iter().any(|slot| condemned.contains(&slot.id) && slot.has(job))
    }
}
