//! The workers come and go.

use std::{
    mem,
    sync::{Arc, Weak},
    thread,
};

use mp_os::Deadline;

use super::{
    local::{Local, fail_all},
    slot::Slot,
    state::Phase,
    supervisor,
};
use crate::{PoolStopped, Result};

impl Local {
    /// Fills up the workers to the number the settings say, unless the fork server does not answer until `deadline`.
    pub(super) fn populate(self: &Arc<Self>, deadline: Deadline) -> Result<()> {
        loop {
            let mut state = self.state.lock();
            if !state.needs_worker(self.size()) {
                state.has_vacancy = false;
                return Ok(());
            }
            let id = state.next_worker;
            let place = state.free_place();
            state.next_worker += 1;
            drop(state);
            let slot = Slot::start(id, place, (&self.settings, &self.bell), deadline)?;
            let pool = Arc::downgrade(self);
            let mut state = self.state.lock();
            // In the list before its death can be heard of: `died` waits for the lock.
            if let Err(error) = slot.child.on_exit(move || died(&pool, id)) {
                drop(state);
                slot.kill()?;
                // It is awaited here, because nobody else will hear of its end.
                let _ = slot.child.join();
                return Err(error.into());
            }
            state.admit(slot, self.size());
            let mut failures = Vec::new();
            self.hand_out(&mut state, &mut failures);
            drop(state);
            fail_all(failures);
        }
    }

    /// A worker that is known to be dead and not buried yet.
    pub(super) fn next_dead(&self) -> Option<u64> {
        self.state.lock().dead.pop()
    }

    /// Whether every worker is ready, or none will be.
    pub(super) fn is_ready_or_stopped(&self) -> bool {
        let state = self.state.lock();
        let ready = state.slots.iter().filter(|slot| slot.is_ready()).count();
        ready >= self.size() || !matches!(state.phase, Phase::Open)
    }

    /// Waits until the last worker is gone: true once it is, false when `deadline` has passed first.
    pub(super) fn wait_over(&self, deadline: Deadline) -> bool {
        let mut state = self.state.lock();
        while !state.is_over {
            match deadline.instant() {
                None => self.over.wait(&mut state),
                Some(instant) if self.over.wait_until(&mut state, instant).timed_out() => {
                    return state.is_over;
                }
                Some(_) => {}
            }
        }
        true
    }

    /// Ends the workers of a pool that has no supervisor yet.
    pub(super) fn abort(&self) {
        // Why the pool cannot be is what its maker is told, and they are processes that have just begun.
        if self.stop(PoolStopped::Terminated).is_ok() {
            let slots = mem::take(&mut self.state.lock().slots);
            slots.into_iter().for_each(|slot| drop(slot.child.join()));
        }
    }
}

/// The worker `id` has died. Runs on the thread that watches processes.
fn died(pool: &Weak<Local>, id: u64) {
    if let Some(local) = pool.upgrade() {
        local.state.lock().dead.push(id);
        local.alert();
    }
}

/// Starts the thread that replaces workers and keeps the pool going while nobody waits.
pub(super) fn supervise(local: &Arc<Local>) -> Result<thread::JoinHandle<()>> {
    let local = Arc::clone(local);
    thread::Builder::new()
        .name("mp-pool".into())
        .spawn(move || supervisor::run(&local))
        .map_err(|error| mp_os::Error::new("start", "supervisor thread of a pool", error).into())
}
