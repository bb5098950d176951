//! The workers of this machine: batches go in, each task's outcome comes out once, whoever dies meanwhile.
//!
//! Nobody stands between a caller and the workers: a thread that waits for a result takes in what the workers have sent,
//! whoever it is for, and hands out what waits ([`Local::advance`]). Where no thread waits, the supervisor does it, and it
//! alone replaces workers.
//!
//! **Lock order.** The state lock is held for bookkeeping only: no user code (an iterator, a serializer, a waker) runs in
//! it, and jobs are told of their results after it is released.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use mp_process::TaskKey;
use parking_lot::{Condvar, Mutex};

use super::{
    batch::{Batch, Blob, Function},
    bell::Bell,
    builder::Settings,
    serial,
    slot::Slot,
    spares::Spares,
    state::{Phase, State},
};
use crate::{Error, PoolStopped, Result, TaskError, contained::contained};

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
    pub(super) waiting: AtomicUsize,
    pub(super) spares: Spares,
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

    /// Wakes the supervisor where nobody else would keep the pool going, and where it does not know of any work.
    pub(super) fn call_supervisor(&self, state: &mut State) {
        let is_needed = !self.is_waited_for() && state.needs_tending();
        if is_needed || state.has_vacancy || !state.is_attended && state.is_busy() {
            state.is_attended = true;
            self.wanted.notify_one();
        }
    }

    /// Wakes the supervisor wherever it sleeps, and every thread that waits, to look again.
    pub(super) fn alert(&self) {
        self.wanted.notify_one();
        self.bell.ring_all();
    }

    pub(super) fn pids(&self) -> Vec<u32> {
        self.state.lock().slots.iter().map(|slot| slot.child.pid()).collect()
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

    pub(super) fn is_running(&self, mailbox: *const ()) -> bool {
        self.state.lock().slots.iter().any(|slot| slot.runs(mailbox))
    }

    pub(super) fn add_awaited(&self) {
        let mut state = self.state.lock();
        state.awaited += 1;
        self.call_supervisor(&mut state);
    }

    pub(super) fn remove_awaited(&self) {
        self.state.lock().awaited -= 1;
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
