//! How a pool goes on: whoever waits takes in what workers have sent, whoever it is for, and hands out what waits.

use std::{cell::RefCell, mem, sync::atomic::Ordering::Relaxed};

use mp_os::Deadline;

use super::{
    local::{Local, fail_all},
    slot::Delivery,
    state::Intake,
    supervisor,
};
use crate::{Result, contained::contained};

thread_local! {
    static INTAKE: RefCell<Intake> = RefCell::default();
}

impl Local {
    /// Waits until `done`, and keeps the pool going meanwhile: true once it is, false when `deadline` has passed first.
    ///
    /// # Errors
    ///
    /// Where the operating system refuses the wait itself.
    pub(super) fn wait_for(
        &self,
        deadline: Deadline,
        mut done: impl FnMut() -> bool,
    ) -> Result<bool> {
        if done() {
            return Ok(true);
        }
        match supervisor::supervised(self) {
            Some(own) => supervisor::wait_for(&own, deadline, &mut done),
            None => self.drive(deadline, done),
        }
    }

    /// Keeps the pool going until `done`, or until `deadline`.
    pub(super) fn drive(&self, deadline: Deadline, mut done: impl FnMut() -> bool) -> Result<bool> {
        let _waiting = Waiting::enter(self);
        self.bell.wait_for(deadline, || {
            while self.advance() {
                if done() {
                    return true;
                }
            }
            done()
        })
    }

    /// Takes in what workers have sent and hands out what waits: true if there was anything.
    pub(super) fn advance(&self) -> bool {
        let kept = INTAKE.try_with(|intake| {
            intake.try_borrow_mut().ok().map(|mut intake| self.advance_with(&mut intake))
        });
        // A user's deserializer or waker, called from there, that uses a pool itself; or the end of the thread.
        kept.ok().flatten().unwrap_or_else(|| self.advance_with(&mut Intake::default()))
    }

    fn advance_with(&self, intake: &mut Intake) -> bool {
        let mut state = self.state.lock();
        state.collect(intake);
        state.hand_out(&mut intake.failures);
        if state.has_vacancy {
            self.wanted.notify_one();
        }
        drop(state);
        self.hand_on(intake)
    }

    /// Tells jobs what was taken in for them.
    pub(super) fn hand_on(&self, intake: &mut Intake) -> bool {
        let moved = !intake.deliveries.is_empty() || !intake.failures.is_empty();
        for Delivery { job, first, count, nanos, range, tail } in intake.deliveries.drain(..) {
            let bytes = &intake.bytes[range];
            // The job goes with it: its end may be that of results that nobody has taken.
            drop(contained(move || {
                job.timed(nanos, count);
                job.deliver(first, count, bytes, tail);
            }));
        }
        fail_all(mem::take(&mut intake.failures));
        intake.spent.drain(..).for_each(|spent| self.spares.keep(spent));
        intake.bytes.clear();
        if moved && self.waiting.load(Relaxed) > 1 {
            // Another thread may wait for what this one has taken in.
            self.bell.ring_all();
        }
        moved
    }

    /// Whether some thread waits for results.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }
}

/// A thread that waits for results, counted while it does.
struct Waiting<'a>(&'a Local);

impl<'a> Waiting<'a> {
    fn enter(local: &'a Local) -> Self {
        local.waiting.fetch_add(1, Relaxed);
        Self(local)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
        let mut state = self.0.state.lock();
        self.0.call_supervisor(&mut state);
    }
}
