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
    collections::VecDeque,
    mem,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use mp_os::Deadline;
use mp_process::{ProcessError, TaskKey};
use parking_lot::{Condvar, Mutex};

use super::{
    batch::{Batch, Blob, Function},
    bell::Bell,
    builder::Settings,
    slot::{Delivery, Slot},
    state::{Intake, Phase, State},
    supervisor,
    wire::Failure,
};
use crate::{Error, PoolStopped, Result, TaskError};

/// Workers that end before they were ready, one after the other, until the pool gives up.
const FAILED_STARTS_MAX: u32 = 5;

pub(super) struct Local {
    pub(super) settings: Settings,
    /// Rung by workers when they have sent results, and by us when a job has changed in another thread.
    pub(super) bell: Bell,
    pub(super) state: Mutex<State>,
    /// Wakes the supervisor.
    pub(super) wanted: Condvar,
    /// Tells that [`State::is_over`].
    pub(super) over: Condvar,
    /// Threads that wait for results, and so keep the pool going.
    waiting: AtomicUsize,
}

thread_local! {
    static INTAKE: RefCell<Intake> = RefCell::default();
}

impl Local {
    pub(super) fn new(settings: Settings) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            settings,
            bell: Bell::create()?,
            state: Mutex::default(),
            wanted: Condvar::new(),
            over: Condvar::new(),
            waiting: AtomicUsize::new(0),
        }))
    }

    /// The function of `key`, known to workers from the first batch on.
    pub(super) fn function(&self, key: TaskKey) -> Arc<Function> {
        let mut state = self.state.lock();
        if let Some(function) = state.functions.get(&key) {
            return Arc::clone(function);
        }
        let function = state.new_function(key, Blob::default());
        state.functions.insert(key, Arc::clone(&function));
        function
    }

    /// A function of `key` with its own shared value, to be [forgotten](Self::forget) after its job.
    pub(super) fn function_with(&self, key: TaskKey, shared: Blob) -> Arc<Function> {
        self.state.lock().new_function(key, shared)
    }

    pub(super) fn forget(&self, function: &Function) {
        self.state.lock().slots.iter_mut().for_each(|slot| slot.forget(function.id));
    }

    /// Takes in a batch, for the first worker that has room.
    ///
    /// # Errors
    ///
    /// Once the pool is closed or stopped, with the batch untouched.
    pub(super) fn submit(&self, batch: Batch) -> Result<()> {
        let mut state = self.state.lock();
        state.check_open().map_err(Error::Stopped)?;
        state.backlog.push_back(batch);
        let mut failures = Vec::new();
        state.hand_out(&mut failures);
        self.call_supervisor(&mut state);
        drop(state);
        fail_all(failures);
        Ok(())
    }

    /// Whether a worker would be given another batch right now, or it would be refused.
    pub(super) fn has_room(&self) -> bool {
        let state = self.state.lock();
        state.check_open().is_err()
            || state.backlog.is_empty() && state.slots.iter().any(|slot| slot.room() > 0)
    }

    /// Waits until `done`, and keeps the pool going meanwhile: true once it is, false when `deadline` has passed first.
    ///
    /// # Errors
    ///
    /// Where the operating system refuses the wait itself.
    pub(super) fn wait_until(
        &self,
        deadline: Deadline,
        mut done: impl FnMut() -> bool,
    ) -> Result<bool> {
        if done() {
            return Ok(true);
        }
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
        INTAKE.with(|intake| match intake.try_borrow_mut() {
            Ok(mut intake) => self.advance_with(&mut intake),
            // A user's deserializer or waker, called from here, that uses a pool itself.
            Err(_) => self.advance_with(&mut Intake::default()),
        })
    }

    fn advance_with(&self, intake: &mut Intake) -> bool {
        let mut state = self.state.lock();
        state.collect(intake);
        state.hand_out(&mut intake.failures);
        drop(state);
        self.hand_on(intake)
    }

    /// Tells jobs what was taken in for them.
    fn hand_on(&self, intake: &mut Intake) -> bool {
        let moved = !intake.deliveries.is_empty() || !intake.failures.is_empty();
        for Delivery { job, first, count, nanos, range } in intake.deliveries.drain(..) {
            job.timed(nanos, count);
            job.deliver(first, count, &intake.bytes[range]);
        }
        fail_all(mem::take(&mut intake.failures));
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
        if is_needed || !state.is_attended && state.is_busy() {
            state.is_attended = true;
            self.wanted.notify_one();
        }
    }

    /// Wakes the supervisor wherever it sleeps, and every thread that waits, to look again.
    fn alert(&self) {
        self.wanted.notify_one();
        self.bell.ring_all();
    }

    /// Takes out the batches that no worker has been given yet, if they are `chosen`: whether there were any.
    pub(super) fn cancel(&self, chosen: impl Fn(&Batch) -> bool) -> bool {
        let mut state = self.state.lock();
        let backlog = mem::take(&mut state.backlog);
        let (cancelled, kept) = backlog.into_iter().partition::<VecDeque<_>, _>(chosen);
        state.backlog = kept;
        drop(state);
        cancelled.iter().for_each(|batch| batch.fail(&TaskError::Cancelled));
        !cancelled.is_empty()
    }

    pub(super) fn add_awaited(&self) {
        let mut state = self.state.lock();
        state.awaited += 1;
        self.call_supervisor(&mut state);
    }

    pub(super) fn remove_awaited(&self) {
        self.state.lock().awaited -= 1;
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        self.state.lock().slots.iter().map(|slot| slot.child.pid()).collect()
    }

    /// Whether every worker is ready, or none will be.
    pub(super) fn is_ready_or_stopped(&self) -> bool {
        let state = self.state.lock();
        let ready = state.slots.iter().filter(|slot| slot.is_ready()).count();
        ready >= self.settings.workers || !matches!(state.phase, Phase::Open)
    }

    /// Why no task can be taken in, if that is so.
    pub(super) fn check_open(&self) -> Result<(), PoolStopped> {
        self.state.lock().check_open()
    }

    /// How the pool has ended.
    pub(super) fn outcome(&self) -> Result<()> {
        match &self.state.lock().phase {
            Phase::Stopped(why @ PoolStopped::Broken(_)) => Err(Error::Stopped(why.clone())),
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

    /// Fills up the workers to the number the settings say.
    pub(super) fn populate(self: &Arc<Self>) -> Result<()> {
        loop {
            let mut state = self.state.lock();
            if !state.needs_worker(self.settings.workers) {
                return Ok(());
            }
            let id = state.next_worker;
            state.next_worker += 1;
            drop(state);
            let builder = self.settings.worker(id);
            let slot = Slot::start(id, &builder, &self.bell, self.settings.initializer.as_ref())?;
            let pool = Arc::downgrade(self);
            let mut state = self.state.lock();
            // In the list before its death can be heard of: `died` waits for the lock.
            if let Err(error) = slot.child.on_exit(move || died(&pool, id)) {
                slot.kill();
                return Err(error.into());
            }
            state.slots.push(slot);
            let mut failures = Vec::new();
            state.hand_out(&mut failures);
            drop(state);
            fail_all(failures);
        }
    }

    /// Sorts out what a dead worker leaves behind.
    pub(super) fn bury(&self, id: u64) {
        let mut intake = Intake::default();
        let mut state = self.state.lock();
        let Some(at) = state.slots.iter().position(|slot| slot.id == id) else { return };
        state.collect(&mut intake);
        let mut slot = state.slots.swap_remove(at);
        let remains = slot.bury(&mut intake.bytes, &mut intake.deliveries);
        let ready = slot.is_ready();
        state.failed_starts = if ready { 0 } else { state.failed_starts + 1 };
        let failed_starts = state.failed_starts;
        for batch in remains.unstarted.into_iter().rev() {
            state.backlog.push_front(batch);
        }
        state.hand_out(&mut intake.failures);
        drop(state);
        // The worker is dead, so this does not wait.
        let cause = slot.child.join();
        if let Some(fatal) = remains.fatal {
            self.charge(fatal, &cause, &mut intake);
        }
        self.hand_on(&mut intake);
        if !ready && (failed_starts >= FAILED_STARTS_MAX || matches!(cause, Ok(Err(_)))) {
            let reason = format!("a worker ended before its first task: {}", describe(&cause));
            self.stop(PoolStopped::Broken(reason.into()));
        }
        self.bell.ring_all();
    }

    /// Retries the task that a worker died of, or fails it with the cause.
    fn charge(&self, mut fatal: Batch, cause: &Ending, intake: &mut Intake) {
        fatal.deaths += 1;
        if fatal.deaths <= self.settings.retries {
            return self.state.lock().backlog.push_front(fatal);
        }
        let error = match cause {
            Err(cause) => TaskError::WorkerDied(Arc::new(cause.clone())),
            Ok(_) => TaskError::from(Error::protocol(describe(cause))),
        };
        intake.failures.push((fatal, error));
    }

    /// Takes no more tasks; the workers end when they have done those there are.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Open) {
            state.phase = Phase::Closing;
        }
        state.release_idle();
        drop(state);
        self.alert();
    }

    /// Ends the workers at once; tasks that are left fail with `why`.
    pub(super) fn stop(&self, why: PoolStopped) {
        let mut state = self.state.lock();
        if !matches!(state.phase, Phase::Stopped(_)) {
            state.phase = Phase::Stopped(why.clone());
        }
        let backlog = mem::take(&mut state.backlog);
        for slot in &state.slots {
            slot.kill();
        }
        drop(state);
        fail_all(
            backlog.into_iter().map(|batch| (batch, TaskError::Stopped(why.clone()))).collect(),
        );
        self.alert();
    }
}

/// How a worker process has ended.
type Ending = Result<Result<(), Failure>, ProcessError>;

fn describe(ending: &Ending) -> String {
    match ending {
        Err(cause) => cause.to_string(),
        Ok(Err(failure)) => failure.to_string(),
        Ok(Ok(())) => "it ended without being told to".to_owned(),
    }
}

fn fail_all(failures: Vec<(Batch, TaskError)>) {
    for (batch, error) in failures {
        batch.fail(&error);
    }
}

/// The worker `id` has died. Runs on the thread that watches processes.
fn died(pool: &Weak<Local>, id: u64) {
    if let Some(local) = pool.upgrade() {
        local.state.lock().dead.push(id);
        local.alert();
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
