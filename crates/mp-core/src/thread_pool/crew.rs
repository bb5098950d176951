//! What the threads of a pool and those who wait for them share.

use std::{
    cell::Cell,
    collections::VecDeque,
    ptr,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    task::Waker,
};

use mp_os::{Deadline, process_id};
use mp_process::Panic;
use parking_lot::{Condvar, Mutex};
use rayon::Yield;

use super::{
    meter::Count,
    waiting::{Epoch, Waiting},
};
use crate::{
    PoolStopped, Result, TaskError,
    contained::contained,
    pool::{Inbox, Order},
    task::{Engine, Mailbox},
};

pub(super) struct Crew {
    /// The process that has the threads: a copy of it by `fork(2)` has none of them.
    maker: u32,
    pub(super) is_closed: AtomicBool,
    /// Those of the tasks that have not begun.
    pub(super) waiting: Waiting,
    /// Counts changes, so that whoever waits looks without holding it and misses none.
    turn: Mutex<u64>,
    changed: Condvar,
    /// Threads of the crew that wait, and must hear of new tasks: there may be nobody else to run them.
    helpers: AtomicUsize,
    /// Threads whose initializer has not ended.
    starting: AtomicUsize,
    /// Threads that have not ended.
    alive: AtomicUsize,
    /// The first panic of an initializer or exit hook.
    failure: Mutex<Option<Panic>>,
    /// Tasks that were given to the pool and have no outcome.
    pub(super) queued: AtomicU64,
    /// By the numbers of the threads.
    pub(super) counts: Box<[Count]>,
}

thread_local! {
    /// The crew that this thread is of.
    static CREW: Cell<*const Crew> = const { Cell::new(ptr::null()) };
}

impl Crew {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            maker: process_id(),
            is_closed: AtomicBool::new(false),
            waiting: Waiting::default(),
            turn: Mutex::default(),
            changed: Condvar::new(),
            helpers: AtomicUsize::new(0),
            starting: AtomicUsize::new(workers),
            alive: AtomicUsize::new(workers),
            failure: Mutex::default(),
            queued: AtomicU64::new(0),
            counts: (0..workers).map(|_| Count::default()).collect(),
        }
    }

    /// That the threads are of this process, and not of the one that it was forked off.
    ///
    /// # Errors
    ///
    /// Where they are not: nobody runs a task.
    pub(super) fn check_ours(&self, verb: &'static str) -> Result<()> {
        if self.maker == process_id() {
            return Ok(());
        }
        Err(mp_os::Error::invalid_input(verb, "thread pool", "it is the parent process's").into())
    }

    /// Calls what each thread calls once: false where it panics.
    pub(super) fn call_hook(&self, hook: Option<&(dyn Fn() + Send + Sync)>) -> bool {
        let Some(Err(payload)) = hook.map(contained) else { return true };
        self.failure.lock().get_or_insert_with(|| Panic::from_payload(payload.get()));
        self.notify();
        false
    }

    /// This thread is ready for tasks.
    pub(super) fn begin(&self) {
        self.starting.fetch_sub(1, SeqCst);
        self.notify();
    }

    pub(super) fn is_ready(&self) -> bool {
        self.starting.load(SeqCst) == 0
    }

    /// The last that this thread does.
    pub(super) fn end(&self) {
        self.alive.fetch_sub(1, SeqCst);
        self.notify();
    }

    pub(super) fn is_over(&self) -> bool {
        self.alive.load(SeqCst) == 0
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.lock().is_some()
    }

    /// What becomes of a pool whose initializer fails.
    pub(super) fn broken(&self) -> PoolStopped {
        let failure = self.failure.lock();
        let text = failure.as_ref().map_or_else(String::new, |panic| format!("the task {panic}"));
        PoolStopped::Broken(text.into())
    }

    /// How the pool has ended.
    pub(super) fn outcome(&self) -> Result<()> {
        let failure = self.failure.lock().clone();
        failure.map_or(Ok(()), |panic| Err(TaskError::Panicked(panic).into()))
    }

    /// Counts tasks that are given to the pool now.
    pub(super) fn add(&self, tasks: u64) -> Epoch {
        self.queued.fetch_add(tasks, Relaxed);
        self.waiting.add(tasks)
    }

    /// Makes this thread one of the crew.
    pub(super) fn enlist(self: &Arc<Self>) {
        CREW.set(Arc::as_ptr(self));
    }

    pub(super) fn notify(&self) {
        *self.turn.lock() += 1;
        self.changed.notify_all();
    }

    /// Says that there is another task, to those who would run it while they wait.
    pub(super) fn call_helpers(&self) {
        if self.helpers.load(SeqCst) > 0 {
            self.notify();
        }
    }

    /// Waits until `done`, or until `deadline`; before it sleeps, it does what there is to do `meanwhile`.
    fn look_until(
        &self,
        deadline: Deadline,
        done: &mut dyn FnMut() -> bool,
        meanwhile: impl Fn() -> bool,
    ) -> bool {
        loop {
            let seen = *self.turn.lock();
            if done() {
                return true;
            }
            if deadline.is_past() {
                return false;
            }
            if meanwhile() {
                continue;
            }
            let mut turn = self.turn.lock();
            if *turn == seen {
                match deadline.instant() {
                    None => self.changed.wait(&mut turn),
                    Some(instant) => drop(self.changed.wait_until(&mut turn, instant)),
                }
            }
        }
    }
}

impl Engine for Crew {
    fn check(&self) -> Result<()> {
        self.check_ours("wait for")
    }

    fn wait_until(&self, deadline: Deadline, done: &mut dyn FnMut() -> bool) -> Result<bool> {
        if done() {
            return Ok(true);
        }
        self.check()?;
        // With a deadline nobody helps: a task may take longer.
        if deadline.instant().is_some() || !ptr::eq(CREW.get(), self) {
            return Ok(self.look_until(deadline, done, || false));
        }
        // The other one may have no other thread to run it.
        self.helpers.fetch_add(1, SeqCst);
        let is_done =
            self.look_until(deadline, done, || rayon::yield_now() == Some(Yield::Executed));
        self.helpers.fetch_sub(1, SeqCst);
        Ok(is_done)
    }

    fn advance(&self) -> bool {
        false
    }

    fn rouse(&self) {
        self.notify();
    }

    /// The mailboxes know.
    fn is_running(&self, _: *const ()) -> bool {
        false
    }

    fn cancel(&self, _: *const ()) -> bool {
        false
    }

    fn add_awaited(&self) {}

    fn remove_awaited(&self) {}
}

/// Runs `task`; its panic is an error.
pub(super) fn catch<R>(task: impl FnOnce() -> R) -> Result<R, TaskError> {
    contained(task).map_err(|payload| TaskError::Panicked(Panic::from_payload(payload.get())))
}

/// Where the outcome of a thread's task arrives.
pub(super) struct Post<R> {
    inbox: Inbox<R, VecDeque<Result<R, TaskError>>>,
    /// Set by whoever comes first: the thread that runs it, or somebody who takes it back.
    has_begun: AtomicBool,
    pub(super) crew: Arc<Crew>,
    /// How many tasks it stands for,
    tasks: u64,
    /// and when they were given.
    pub(super) epoch: Epoch,
}

impl<R: Send> Post<R> {
    pub(super) fn new(crew: &Arc<Crew>, tasks: u64) -> Self {
        let inbox = Inbox::new(Order::OfEnds, VecDeque::new());
        let (has_begun, epoch) = (AtomicBool::new(false), crew.add(tasks));
        Self { inbox, has_begun, crew: Arc::clone(crew), tasks, epoch }
    }

    pub(super) fn begin(&self) -> bool {
        !self.has_begun.swap(true, Relaxed)
    }

    pub(super) fn put(&self, outcome: Result<R, TaskError>) {
        self.inbox.accept(outcome);
    }
}

impl<R: Send> Mailbox<R> for Post<R> {
    fn take(&self) -> Option<Result<R, TaskError>> {
        self.inbox.take()
    }

    fn is_done(&self) -> bool {
        self.inbox.is_done()
    }

    fn has_failed(&self) -> bool {
        self.inbox.has_failed()
    }

    fn listen(&self, waker: &Waker) {
        self.inbox.listen(waker);
    }

    fn has_begun(&self) -> bool {
        self.has_begun.load(Relaxed)
    }

    fn withdraw(&self) -> bool {
        let is_first = self.begin();
        if is_first {
            self.crew.waiting.take(self.tasks, self.epoch);
            self.crew.queued.fetch_sub(self.tasks, Relaxed);
            self.put(Err(TaskError::Cancelled));
        }
        is_first
    }
}
