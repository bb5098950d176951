//! Tasks that are stopped while a worker runs them, and no others.

use std::time::{Duration, Instant};

use super::Slot;
use crate::{
    TaskError,
    pool::{journal::Watch, stats::is_stopped},
};

/// What came of a look at the time that a task has taken.
pub(in crate::pool) enum Check {
    /// Nothing that it has been given has a limit.
    Unlimited,
    /// It is to be looked at again after this time.
    Again(Duration),
    /// The worker must be killed.
    Condemned,
}

impl Slot {
    /// Whether it has, or had and was not heard of yet, tasks of the job at this address.
    pub(in crate::pool) fn has(&self, job: *const ()) -> bool {
        self.assigned.iter().any(|assigned| assigned.batch.is_of(job))
    }

    /// Whether it runs a task of this job right now.
    pub(in crate::pool) fn runs(&self, job: *const ()) -> bool {
        let mut its = self.assigned.iter().filter(|assigned| assigned.batch.is_of(job));
        its.any(|assigned| self.journal.is_running(assigned.number))
    }

    /// Condemns the task of this job that the worker runs or is about to: false where it has finished it, or runs none.
    ///
    /// To be called after [`recall`](Self::recall) and then [`collect`](Self::collect).
    pub(in crate::pool) fn condemn(&mut self, job: *const (), sentence: TaskError) -> bool {
        let Some(front) = self.assigned.front() else { return false };
        let condemned = front.batch.is_of(job)
            && front.batch.watch != Watch::Not
            && self.journal.condemn(front.number);
        if condemned {
            // If it has not begun, nobody else begins it either.
            front.batch.job.abandon();
            self.sentence = Some(sentence);
            self.is_closed = true;
        }
        condemned
    }

    /// Condemns the running task if it has taken too long: when to look again, or that it must be killed.
    pub(in crate::pool) fn check_limit(&mut self) -> Check {
        let Some(limit) = self.assigned.iter().find_map(|assigned| assigned.batch.limit) else {
            return Check::Unlimited;
        };
        if self.sentence.is_some() {
            return Check::Unlimited;
        }
        let front = self.assigned.front();
        let Some((number, limit)) =
            front.and_then(|front| Some((front.number, front.batch.limit?)))
        else {
            return Check::Again(limit);
        };
        if self.stands_still(number, limit) {
            // No task has run: the one that would be next is begun by another worker.
            self.sentence = Some(TaskError::TimedOut(limit));
            self.is_closed = true;
            return Check::Condemned;
        }
        match self.journal.condemn_after(number, limit) {
            Some(left) => Check::Again(left),
            None => {
                self.sentence = Some(TaskError::TimedOut(limit));
                self.is_closed = true;
                Check::Condemned
            }
        }
    }

    /// Whether it has been stopped (`SIGSTOP`) where no task runs, and was seen there for `limit`; it begins none then.
    ///
    /// One that is only slow, to take in what tasks share for example, is waited for.
    fn stands_still(&mut self, number: u32, limit: Duration) -> bool {
        let pause = self.journal.pause(number).map(|word| (number, word));
        match (self.pause, pause) {
            (Some((seen, since)), Some(now)) if seen == now => {
                since.elapsed() >= limit
                    && is_stopped(self.child.pid())
                    && self.journal.condemn_pause(now.1)
            }
            _ => {
                self.pause = pause.map(|pause| (pause, Instant::now()));
                false
            }
        }
    }
}
