//! The one thread of a pool: replaces workers, and keeps the pool going while no other thread waits for it.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use mp_os::Deadline;

use super::{
    local::Local,
    state::{Phase, State},
};
use crate::PoolStopped;

/// How long to wait before a worker is started again after the system refused to.
const RESTART_PAUSE: Duration = Duration::from_millis(100);

/// How often in a row the system may refuse to start a worker while there is no other.
const REFUSALS_MAX: u32 = 20;

/// How long results may lie in the rings of workers while no thread waits for them and no task waits for a worker: a
/// worker with much to send stands still until it is taken in.
const NAP: Duration = Duration::from_millis(50);

/// Returns when the pool has stopped and its last worker is buried.
pub(super) fn run(local: &Arc<Local>) {
    let mut refusals = Refusals::default();
    loop {
        let dead = mem::take(&mut local.state.lock().dead);
        dead.into_iter().for_each(|id| local.bury(id));
        refusals.start_workers(local);
        let mut state = local.state.lock();
        if is_over(&state) {
            state.is_over = true;
            local.over.notify_all();
            return;
        }
        if !state.dead.is_empty() {
            // Somebody died while the lock was free.
        } else if !local.is_waited_for() && state.needs_tending() {
            drop(state);
            tend(local, refusals.deadline());
        } else {
            state.is_attended = state.is_busy();
            let mut deadline = refusals.deadline();
            if state.is_attended {
                deadline = deadline.or_after(NAP);
            }
            match deadline.instant() {
                None => local.wanted.wait(&mut state),
                Some(instant) if local.wanted.wait_until(&mut state, instant).timed_out() => {
                    drop(state);
                    local.advance();
                }
                Some(_) => {}
            }
        }
    }
}

/// Keeps the pool going until another thread does, or there is something else to do.
fn tend(local: &Local, deadline: Deadline) {
    let tended = local.bell.wait_for(deadline, || {
        local.advance();
        let state = local.state.lock();
        local.is_waited_for() || !state.needs_tending() || !state.dead.is_empty() || is_over(&state)
    });
    if let Err(error) = tended {
        local.stop(PoolStopped::Broken(error.to_string().into()));
    }
}

/// Starts of workers that the system has refused, one after the other.
#[derive(Default)]
struct Refusals {
    count: u32,
    /// When to try again.
    until: Option<Instant>,
}

impl Refusals {
    fn deadline(&self) -> Deadline {
        self.until.map_or(Deadline::never(), Deadline::at)
    }

    fn start_workers(&mut self, local: &Arc<Local>) {
        if self.until.is_some_and(|until| until > Instant::now()) {
            return;
        }
        let Err(error) = local.populate() else {
            *self = Self::default();
            return;
        };
        self.count += 1;
        self.until = Instant::now().checked_add(RESTART_PAUSE);
        if self.count >= REFUSALS_MAX && local.state.lock().slots.is_empty() {
            local.stop(PoolStopped::Broken(error.to_string().into()));
        }
    }
}

fn is_over(state: &State) -> bool {
    let ending = match state.phase {
        Phase::Open => false,
        Phase::Closing => !state.has_backlog(),
        Phase::Stopped(_) => true,
    };
    ending && state.slots.is_empty()
}
