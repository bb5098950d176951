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

use mp_os::Deadline;
use mp_process::Panic;
use parking_lot::{Condvar, Mutex};
use rayon::Yield;

use crate::{
    Result, TaskError,
    contained::contained,
    pool::{Inbox, Order},
    task::{Engine, Mailbox},
};

#[derive(Default)]
pub(super) struct Crew {
    pub(super) is_closed: AtomicBool,
    /// Counts the calls that cancel all tasks which have not begun.
    pub(super) epoch: AtomicU64,
    /// Counts changes, so that whoever waits looks without holding it and misses none.
    turn: Mutex<u64>,
    changed: Condvar,
    /// Threads of the crew that wait, and must hear of new tasks: there may be nobody else to run them.
    helpers: AtomicUsize,
}

thread_local! {
    /// The crew that this thread is of.
    static CREW: Cell<*const Crew> = const { Cell::new(ptr::null()) };
}

impl Crew {
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

    /// Runs tasks until `done`: for a task that waits for another one of its own pool, which may have no other thread.
    fn help_until(&self, done: &mut dyn FnMut() -> bool) {
        self.helpers.fetch_add(1, SeqCst);
        loop {
            let seen = *self.turn.lock();
            if done() {
                break;
            }
            if rayon::yield_now() == Some(Yield::Executed) {
                continue;
            }
            let mut turn = self.turn.lock();
            if *turn == seen {
                self.changed.wait(&mut turn);
            }
        }
        self.helpers.fetch_sub(1, SeqCst);
    }
}

impl Engine for Crew {
    fn wait_until(&self, deadline: Deadline, done: &mut dyn FnMut() -> bool) -> Result<bool> {
        // With a deadline nobody helps: a task may take longer.
        if deadline.instant().is_none() && ptr::eq(CREW.get(), self) {
            self.help_until(done);
            return Ok(true);
        }
        loop {
            let seen = *self.turn.lock();
            if done() {
                return Ok(true);
            }
            if deadline.is_past() {
                return Ok(false);
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

    fn advance(&self) -> bool {
        false
    }

    fn rouse(&self) {
        self.notify();
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
}

impl<R: Send> Post<R> {
    pub(super) fn new() -> Self {
        let inbox = Inbox::new(Order::OfEnds, VecDeque::new());
        Self { inbox, has_begun: AtomicBool::new(false) }
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

    fn withdraw(&self) -> bool {
        let is_first = self.begin();
        if is_first {
            self.put(Err(TaskError::Cancelled));
        }
        is_first
    }
}
