//! The workers of this machine: batches go in, each task's outcome comes out once, whoever dies meanwhile.
//!
//! Nobody stands between a caller and the workers: a thread that waits for a result takes in what the workers have sent,
//! whoever it is for, and hands out what waits ([`Local::advance`]). Where no thread waits, the supervisor does it, and it
//! alone replaces workers.
//!
//! **Lock order.** The state lock is held for bookkeeping only: no user code (an iterator, a serializer, a waker) runs in
//! it, and jobs are told of their results after it is released.

use std::{
    cell::RefCell,
    mem,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use mp_os::{Deadline, process_id};
use mp_process::TaskKey;
use parking_lot::{Condvar, Mutex};

use super::{
    batch::{Batch, Blob, Function},
    bell::Bell,
    builder::Settings,
    serial,
    slot::{Delivery, Slot},
    spares::Spares,
    state::{Intake, Phase, State},
    supervisor,
};
use crate::{Error, PoolStopped, Result, TaskError, contained::contained, task::Engine};

pub(super) struct Local {
    pub(super) settings: Settings,
    /// The number of workers there should be.
    size: AtomicUsize,
    /// Rung by workers when they have sent results, and by us when a job has changed in another thread.
    pub(super) bell: Bell,
    pub(super) state: Mutex<State>,
    /// Wakes the supervisor.
    pub(super) wanted: Condvar,
    /// Tells that [`State::is_over`].
    pub(super) over: Condvar,
    /// Threads that wait for results, and so keep the pool going.
    waiting: AtomicUsize,
    pub(super) spares: Spares,
    /// The process that the workers are children of: a copy of it by `fork(2)` has none, and no supervisor.
    maker: u32,
}

thread_local! {
    static INTAKE: RefCell<Intake> = RefCell::default();
}

impl Local {
    pub(super) fn new(workers: usize, settings: Settings) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            size: AtomicUsize::new(workers),
            settings,
            bell: Bell::create()?,
            state: Mutex::default(),
            wanted: Condvar::new(),
            over: Condvar::new(),
            waiting: AtomicUsize::new(0),
            spares: Spares::default(),
            maker: process_id(),
        }))
    }

    /// Whether this is a copy, in a process that was forked off the pool's own.
    pub(super) fn is_copy(&self) -> bool {
        self.maker != process_id()
    }

    /// That the workers are children of this process, and not of the one that it was forked off.
    ///
    /// To be asked before the state is locked: a thread that the copy does not have may have held it.
    ///
    /// # Errors
    ///
    /// Where they are not: the channels to them are shared, so that this process would take what is the parent's.
    pub(super) fn check_ours(&self, verb: &'static str) -> Result<()> {
        let error = || mp_os::Error::invalid_input(verb, "pool", "it is the parent process's");
        if self.is_copy() { Err(error().into()) } else { Ok(()) }
    }

    /// The function of `key`, known to workers from the first batch on.
    ///
    /// # Errors
    ///
    /// In a [copy](Self::check_ours).
    pub(super) fn function(&self, key: TaskKey) -> Result<Arc<Function>> {
        self.check_ours("give a task to")?;
        let mut state = self.state.lock();
        if let Some(function) = state.functions.get(&key) {
            return Ok(Arc::clone(function));
        }
        let function = state.new_function(key, Blob::default());
        state.functions.insert(key, Arc::clone(&function));
        Ok(function)
    }

    /// A function of `key` with its own shared value, to be [forgotten](Self::forget) after its job.
    ///
    /// # Errors
    ///
    /// In a [copy](Self::check_ours).
    pub(super) fn function_with(&self, key: TaskKey, shared: Blob) -> Result<Arc<Function>> {
        self.check_ours("give a task to")?;
        Ok(self.state.lock().new_function(key, shared))
    }

    pub(super) fn forget(&self, function: &Function) {
        if self.is_copy() {
            return;
        }
        self.state.lock().slots.iter_mut().for_each(|slot| slot.forget(function.id));
    }

    /// Takes in a batch, for the first worker that has room.
    ///
    /// # Errors
    ///
    /// Once the pool is closed or stopped, with the batch untouched.
    pub(super) fn submit(&self, batch: Batch) -> Result<()> {
        self.check_ours("give a task to")?;
        let mut state = self.state.lock();
        state.check_open().map_err(Error::Stopped)?;
        if self.settings.is_serial {
            drop(state);
            serial::run(batch);
            return Ok(());
        }
        let (has_limit, is_large) = (batch.limit.is_some(), !batch.tail.is_empty());
        state.backlog.push_back(batch);
        state.idle_since = None;
        if mem::take(&mut state.is_dormant) {
            state.has_vacancy = true;
        }
        let mut failures = Vec::new();
        self.hand_out(&mut state, &mut failures);
        if has_limit {
            // The supervisor may be asleep for longer than the task may run.
            self.wanted.notify_one();
            self.bell.ring_all();
        }
        drop(state);
        fail_all(failures);
        if is_large {
            drop(self.spares.take());
        }
        Ok(())
    }

    /// Gives what waits to workers that have room, and calls the supervisor where one is missing.
    pub(super) fn hand_out(&self, state: &mut State, failures: &mut Vec<(Batch, TaskError)>) {
        state.hand_out(failures);
        self.call_supervisor(state);
    }

    /// Whether a worker would be given another batch right now, or would be started for it, or it would be refused.
    pub(super) fn has_room(&self) -> bool {
        let state = self.state.lock();
        let mut open = state.slots.iter().filter(|slot| slot.is_open()).peekable();
        state.check_open().is_err()
            || state.backlog.is_empty()
                && (open.peek().is_none() || open.any(|slot| slot.room() > 0))
    }

    /// The number of workers there should be.
    pub(super) fn size(&self) -> usize {
        self.size.load(Relaxed)
    }

    pub(super) fn resize(&self, workers: usize) -> Result<()> {
        self.check_ours("resize")?;
        if workers == 0 {
            return Err(
                mp_os::Error::invalid_input("resize", "pool", "it would have no workers").into()
            );
        }
        let mut state = self.state.lock();
        self.size.store(workers, Relaxed);
        state.has_vacancy = true;
        state.shrink(workers);
        let mut failures = Vec::new();
        self.hand_out(&mut state, &mut failures);
        drop(state);
        fail_all(failures);
        self.alert();
        Ok(())
    }

    /// Waits until `done`, and keeps the pool going meanwhile: true once it is, false when `deadline` has passed first.
    ///
    /// # Errors
    ///
    /// Where the operating system refuses the wait itself; in a [copy](Self::check_ours), whose results another one gets.
    pub(super) fn wait_for(
        &self,
        deadline: Deadline,
        mut done: impl FnMut() -> bool,
    ) -> Result<bool> {
        if done() {
            return Ok(true);
        }
        self.check_ours("wait for")?;
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

    /// Wakes the supervisor where nobody else would keep the pool going, and where it does not know of any work.
    fn call_supervisor(&self, state: &mut State) {
        let is_needed = !self.is_waited_for() && state.needs_tending();
        if is_needed || state.has_vacancy || !state.is_attended && state.is_busy() {
            state.is_attended = true;
            self.wanted.notify_one();
        }
    }

    /// Wakes the supervisor wherever it sleeps, and every thread that waits, to look again.
    fn alert(&self) {
        self.wanted.notify_one();
        self.bell.ring_all();
    }

    /// A worker that is known to be dead and not buried yet.
    pub(super) fn next_dead(&self) -> Option<u64> {
        self.state.lock().dead.pop()
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        self.state.lock().slots.iter().map(|slot| slot.child.pid()).collect()
    }

    /// Whether every worker is ready, or none will be.
    pub(super) fn is_ready_or_stopped(&self) -> bool {
        let state = self.state.lock();
        let ready = state.slots.iter().filter(|slot| slot.is_ready()).count();
        ready >= self.size() || !matches!(state.phase, Phase::Open)
    }

    /// Why no task can be taken in, if that is so.
    pub(super) fn check_open(&self) -> Result<(), PoolStopped> {
        self.state.lock().check_open()
    }

    /// How the pool has ended.
    pub(super) fn outcome(&self) -> Result<()> {
        let state = self.state.lock();
        match (&state.phase, &state.hook_failure) {
            (Phase::Stopped(why @ PoolStopped::Broken(_)), _) => Err(Error::Stopped(why.clone())),
            (_, Some(failure)) => Err(Error::Task(failure.clone())),
            _ => Ok(()),
        }
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

    /// Whether some thread waits for results.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }

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

    /// Takes no more tasks; the workers end when they have done those there are.
    pub(super) fn close(&self) {
        if self.is_copy() {
            return;
        }
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Open) {
            state.phase = Phase::Closing;
        }
        state.release_idle();
        drop(state);
        self.alert();
    }

    /// Ends the workers at once; tasks that are left fail with `why`.
    ///
    /// # Errors
    ///
    /// Where a worker cannot be killed: the others are.
    pub(super) fn stop(&self, why: PoolStopped) -> Result<()> {
        let mut state = self.state.lock();
        if !matches!(state.phase, Phase::Stopped(_)) {
            state.phase = Phase::Stopped(why.clone());
        }
        let backlog = mem::take(&mut state.backlog);
        let killed = state.slots.iter().map(Slot::kill).fold(Ok(()), Result::and);
        state.unkillable = killed.as_ref().err().map(ToString::to_string);
        drop(state);
        fail_all(
            backlog.into_iter().map(|batch| (batch, TaskError::Stopped(why.clone()))).collect(),
        );
        self.alert();
        killed
    }
}

pub(super) fn fail_all(failures: Vec<(Batch, TaskError)>) {
    for (batch, error) in failures {
        drop(contained(move || batch.fail(&error)));
    }
}

impl Local {
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

impl Engine for Local {
    fn check(&self) -> Result<()> {
        self.check_ours("wait for")
    }

    fn wait_until(&self, deadline: Deadline, done: &mut dyn FnMut() -> bool) -> Result<bool> {
        self.wait_for(deadline, done)
    }

    fn advance(&self) -> bool {
        !self.is_copy() && self.advance()
    }

    fn rouse(&self) {
        self.bell.ring_all();
    }

    fn is_running(&self, mailbox: *const ()) -> bool {
        !self.is_copy() && self.state.lock().slots.iter().any(|slot| slot.runs(mailbox))
    }

    fn cancel(&self, mailbox: *const ()) -> bool {
        self.cancel(mailbox)
    }

    fn add_awaited(&self) {
        if self.is_copy() {
            return;
        }
        let mut state = self.state.lock();
        state.awaited += 1;
        self.call_supervisor(&mut state);
    }

    fn remove_awaited(&self) {
        if self.is_copy() {
            return;
        }
        self.state.lock().awaited -= 1;
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

/// Starts the thread that replaces workers and keeps the pool going while nobody waits.
pub(super) fn supervise(local: &Arc<Local>) -> Result<thread::JoinHandle<()>> {
    let local = Arc::clone(local);
    thread::Builder::new()
        .name("mp-pool".into())
        .spawn(move || supervisor::run(&local))
        .map_err(|error| mp_os::Error::new("start", "supervisor thread of a pool", error).into())
}
