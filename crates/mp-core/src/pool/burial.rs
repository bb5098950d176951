//! What comes of a worker's death: for the task that it ran, for those it was given, and for the pool.

use std::time::{Duration, Instant};

use mp_process::{ProcessError, Signal};

use super::{
    batch::Batch,
    local::Local,
    slot::Slot,
    state::{Intake, State},
    wire::Failure,
};
use crate::{Error, PoolStopped, TaskError};

/// Workers that end one after the other and have done nothing, until the pool gives up.
const FRUITLESS_MAX: u32 = 5;

/// A worker that lived longer than this and had nothing to do was not started in vain.
const FRUITLESS_LIFE: Duration = Duration::from_secs(1);

/// How a worker process has ended.
type Ending = Result<Result<(), Failure>, ProcessError>;

impl Local {
    /// Sorts out what a dead worker leaves behind.
    pub(super) fn bury(&self, id: u64) {
        let mut intake = Intake::default();
        let mut state = self.state.lock();
        let Some(at) = state.slots.iter().position(|slot| slot.id == id) else { return };
        state.collect(&mut intake);
        let mut slot = state.slots.swap_remove(at);
        let mut remains = slot.bury(&mut intake.bytes, &mut intake.deliveries);
        let has_run = remains.fatal.is_some();
        // One that has become too large ends like this, and never before it has done something.
        if self.settings.max_memory.is_none() || slot.completed == 0 {
            remains.suspect();
        }
        state.has_vacancy = true;
        state.put_back(remains.unstarted);
        self.hand_out(&mut state, &mut intake.failures);
        drop(state);
        let end = Death::of(slot, has_run);
        if let Some(fatal) = remains.fatal {
            self.charge(fatal, &end, &mut intake);
        }
        self.hand_on(&mut intake);
        let broken = end.book(&mut self.state.lock(), self.settings.restarts);
        if let Some(reason) = broken {
            self.break_down(reason);
        }
        self.bell.ring_all();
    }

    /// The pool cannot go on.
    pub(super) fn break_down(&self, reason: String) {
        // Where a worker cannot be killed the supervisor is told.
        drop(self.stop(PoolStopped::Broken(reason.into())));
    }

    /// Retries the task that a worker died of, or fails it with the cause.
    fn charge(&self, mut fatal: Batch, death: &Death, intake: &mut Intake) {
        if let Some(sentence) = death.sentence() {
            let mut state = self.state.lock();
            match sentence {
                TaskError::TimedOut(_) => state.totals.timeouts += 1,
                _ => state.totals.cancelled += 1,
            }
            return intake.failures.push((fatal, sentence.clone()));
        }
        fatal.deaths += 1;
        if fatal.deaths <= fatal.retries {
            return self.state.lock().backlog.push_front(fatal);
        }
        let error = match &death.ending {
            Err(cause) => TaskError::WorkerDied(cause.clone().into()),
            Ok(_) => TaskError::from(Error::protocol(death.describe())),
        };
        intake.failures.push((fatal, error));
    }
}

/// How and when a worker has ended.
struct Death {
    ending: Ending,
    sentence: Option<TaskError>,
    is_ready: bool,
    /// Whether it has not even begun a task, and ended soon.
    is_fruitless: bool,
    completed: u64,
    busy: Duration,
}

impl Death {
    fn of(slot: Slot, has_run: bool) -> Self {
        // The journal may have been written over since.
        let is_ready = slot.is_ready() || slot.completed > 0;
        let has_run = has_run || slot.completed > 0 || slot.sentence.is_some();
        let is_fruitless = !is_ready || !has_run && slot.born.elapsed() < FRUITLESS_LIFE;
        let Slot { child, sentence, completed, busy, .. } = slot;
        // It is dead, so this does not wait.
        Self { ending: child.join(), sentence, is_ready, is_fruitless, completed, busy }
    }

    /// What it was killed for by the pool, unless something else was faster.
    fn sentence(&self) -> Option<&TaskError> {
        let is_kill = matches!(
            self.ending,
            Err(ProcessError::Signaled { signal: Signal::KILL, .. } | ProcessError::Lost)
        );
        self.sentence.as_ref().filter(|_| is_kill)
    }

    /// Takes it into the books; the reason where the pool must not go on.
    fn book(&self, state: &mut State, restarts: Option<(u32, Duration)>) -> Option<String> {
        state.totals.tasks += self.completed;
        state.totals.busy += self.busy;
        match (&self.ending, self.sentence()) {
            (_, Some(_)) => {}
            (Ok(Ok(())), None) => state.totals.retired += 1,
            (Ok(Err(_)), None) if !self.is_ready => {
                return Some(format!("the initializer of a worker failed: {}", self.describe()));
            }
            (Ok(Err(failure)), None) => {
                state.hook_failure.get_or_insert_with(|| failure.clone().into());
            }
            (Err(_), None) => return self.book_death(state, restarts),
        }
        None
    }

    fn book_death(&self, state: &mut State, restarts: Option<(u32, Duration)>) -> Option<String> {
        state.totals.deaths += 1;
        state.fruitless = if self.is_fruitless { state.fruitless + 1 } else { 0 };
        if state.fruitless >= FRUITLESS_MAX {
            return Some(format!("a worker ended before its first task: {}", self.describe()));
        }
        let (most, period) = restarts?;
        let now = Instant::now();
        state.deaths.push_back(now);
        state.deaths.retain(|&death| now.duration_since(death) <= period);
        (state.deaths.len() > most as usize).then(|| {
            let count = state.deaths.len();
            format!(
                "{count} workers have died within {period:?}, the last one: {}",
                self.describe()
            )
        })
    }

    fn describe(&self) -> String {
        match &self.ending {
            Err(cause) => cause.to_string(),
            Ok(Err(failure)) => failure.to_string(),
            Ok(Ok(())) => "it ended without being told to".to_owned(),
        }
    }
}
