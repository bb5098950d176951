//! The one thread of a pool: replaces workers, and keeps the pool going while no other thread waits for it.

use std::{
    cell::RefCell,
    collections::VecDeque,
    ptr,
    sync::Arc,
    time::{Duration, Instant},
};

use mp_os::Deadline;
use parking_lot::MutexGuard;

use super::{
    local::Local,
    slot::Slot,
    state::{Intake, Phase, State},
};
use crate::{Error, PoolStopped, Result};

/// How long to wait before a worker is started again after the system refused to.
const RESTART_PAUSE: Duration = Duration::from_millis(100);

/// How often in a row the system may refuse to start a worker while there is no other.
const REFUSALS_MAX: u32 = 20;

/// How long a worker that replaces another may take to start: whoever ends the pool waits for it. A fork server that does not
/// answer by then, because it is stopped, is replaced at the next attempt, which may take twice as long.
const START_PATIENCE: Duration = Duration::from_secs(2);
const PATIENCE_DOUBLINGS: u32 = 4;

/// How long results may lie in the rings of workers while no thread waits for them and no task waits for a worker: a
/// worker with much to send stands still until it is taken in.
const NAP: Duration = Duration::from_millis(50);

thread_local! {
    /// The pool whose supervisor this thread is.
    static SUPERVISED: RefCell<Option<Arc<Local>>> = const { RefCell::new(None) };
}

/// The pool, where this thread is its supervisor, and so in a callback.
pub(super) fn supervised(local: &Local) -> Option<Arc<Local>> {
    let is_it = |own: &Arc<Local>| ptr::eq(Arc::as_ptr(own), local);
    let find = |own: &RefCell<Option<Arc<Local>>>| own.borrow().clone().filter(is_it);
    // Of a thread that ends it has gone, and no supervisor ends in a callback.
    SUPERVISED.try_with(find).ok().flatten()
}

/// Returns when the pool has stopped and its last worker is buried.
pub(super) fn run(local: &Arc<Local>) {
    SUPERVISED.set(Some(Arc::clone(local)));
    supervise(local);
    SUPERVISED.set(None);
}

fn supervise(local: &Arc<Local>) {
    let mut refusals = Refusals::default();
    loop {
        let alarm = attend(local, &mut refusals);
        let mut state = local.state.lock();
        if let Some(reason) = state.unkillable.take() {
            drop(state);
            return give_up(local, reason);
        }
        if is_over(&state) {
            return end(local, state);
        }
        if state.wants_attention(&refusals) {
            // Somebody died, or retired, while the lock was free.
        } else if !local.is_waited_for() && state.needs_tending() {
            drop(state);
            tend(local, alarm);
        } else {
            sleep(local, state, alarm);
        }
    }
}

/// Buries the dead, starts workers and keeps limits: when to do it again.
fn attend(local: &Arc<Local>, refusals: &mut Refusals) -> Deadline {
    // One by one: a callback may wait for what comes of another.
    while let Some(id) = local.next_dead() {
        local.bury(id);
    }
    refusals.start_workers(local);
    earlier(refusals.deadline(), local.keep_limits())
}

/// [`Local::wait_for`] in a callback of the supervisor: meanwhile nobody else does what it does.
pub(super) fn wait_for(
    local: &Arc<Local>,
    deadline: Deadline,
    done: &mut dyn FnMut() -> bool,
) -> Result<bool> {
    let mut refusals = Refusals::default();
    loop {
        let alarm = earlier(deadline, attend(local, &mut refusals));
        let mut is_done = false;
        local.drive(alarm, || {
            is_done = done();
            is_done || local.state.lock().wants_attention(&refusals)
        })?;
        if is_done || deadline.is_past() {
            return Ok(is_done);
        }
        if let Some(reason) = &local.state.lock().unkillable {
            return Err(Error::Stopped(PoolStopped::Broken(reason.as_str().into())));
        }
    }
}

fn earlier(one: Deadline, other: Deadline) -> Deadline {
    match (one.instant(), other.instant()) {
        (Some(one), Some(other)) => Deadline::at(one.min(other)),
        (Some(_), None) => one,
        (None, _) => other,
    }
}

fn end(local: &Local, mut state: MutexGuard<'_, State>) {
    state.is_over = true;
    drop(state);
    local.over.notify_all();
}

/// Waits until somebody needs the supervisor, or it is time to look again.
fn sleep(local: &Local, mut state: MutexGuard<'_, State>, mut alarm: Deadline) {
    state.is_attended = state.is_busy();
    if state.is_attended {
        alarm = alarm.or_after(NAP);
    } else if let Some(idle) = local.settings.idle_timeout {
        alarm = earlier(alarm, state.rest(idle));
    }
    match alarm.instant() {
        None => local.wanted.wait(&mut state),
        Some(instant) if local.wanted.wait_until(&mut state, instant).timed_out() => {
            drop(state);
            local.advance();
        }
        Some(_) => {}
    }
}

/// Stops a pool that has a worker which cannot be killed, without waiting for that: no task waits for it either. It ends
/// by itself once it has done what it has begun, or with this process.
fn give_up(local: &Local, reason: String) {
    // The others are killed; that this one is not is what it is about.
    drop(local.stop(PoolStopped::Broken(reason.into())));
    let mut intake = Intake::default();
    let mut state = local.state.lock();
    state.collect(&mut intake);
    state.slots.iter_mut().for_each(Slot::close);
    let left: VecDeque<_> = state.slots.iter_mut().flat_map(Slot::give_up).collect();
    state.put_back(left);
    state.hand_out(&mut intake.failures);
    end(local, state);
    local.hand_on(&mut intake);
    local.bell.ring_all();
}

impl State {
    /// Whether there is something for the supervisor to do at once.
    fn wants_attention(&self, refusals: &Refusals) -> bool {
        let is_vacant = self.has_vacancy && refusals.until.is_none();
        !self.dead.is_empty() || is_vacant || self.unkillable.is_some()
    }

    /// Lets all workers end when the pool has had nothing to do for `idle`: when that will be.
    fn rest(&mut self, idle: Duration) -> Deadline {
        let is_idle = matches!(self.phase, Phase::Open) && !self.has_backlog() && !self.is_dormant;
        if !is_idle || self.slots.is_empty() {
            return Deadline::never();
        }
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        if since.elapsed() < idle {
            return since.checked_add(idle).map_or(Deadline::never(), Deadline::at);
        }
        self.is_dormant = true;
        self.slots.iter_mut().for_each(Slot::close);
        Deadline::never()
    }
}

/// Keeps the pool going until another thread does, or there is something else to do.
fn tend(local: &Local, deadline: Deadline) {
    let tended = local.bell.wait_for(deadline, || {
        local.advance();
        let state = local.state.lock();
        local.is_waited_for()
            || !state.needs_tending()
            || !state.dead.is_empty()
            || state.has_vacancy
            || state.unkillable.is_some()
            || is_over(&state)
    });
    if let Err(error) = tended {
        local.break_down(error.to_string());
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
        let patience = START_PATIENCE * 2u32.pow(self.count.min(PATIENCE_DOUBLINGS));
        let Err(error) = local.populate(Deadline::after(patience)) else {
            *self = Self::default();
            return;
        };
        self.count += 1;
        self.until = Instant::now().checked_add(RESTART_PAUSE);
        if self.count >= REFUSALS_MAX && local.state.lock().slots.is_empty() {
            local.break_down(error.to_string());
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
