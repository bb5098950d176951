//! Tasks as they end, whichever pools they are of.

use std::{
    collections::VecDeque,
    fmt,
    iter::FusedIterator,
    mem,
    sync::Arc,
    task::{Wake, Waker},
    time::{Duration, Instant},
};

use mp_os::{Deadline, TimeoutError};
use parking_lot::Mutex;

use crate::{Task, task::Engine};

/// The tasks in the order of their ends, each once, whichever pools they are of.
///
/// Dropping the iterator early leaves the other tasks alone; [`AsCompleted::into_pending`] gives them back.
pub fn as_completed<R>(tasks: impl IntoIterator<Item = Task<R>>) -> AsCompleted<R> {
    let mut tasks: Vec<_> = tasks.into_iter().map(Some).collect();
    let engine = tasks.iter().flatten().next().map(|task| Arc::clone(task.engine()));
    let ready = Arc::new(Ready { ended: Mutex::default(), engine });
    for (at, place) in tasks.iter_mut().enumerate() {
        let Some(task) = place else { continue };
        if !ready.is_of(task.engine()) {
            // Whoever waits here keeps one pool going: the others must do that themselves. Where one cannot, that is seen below.
            drop(task.await_it());
        }
        let waker = Arc::new(Ended { at, ready: Arc::clone(&ready) });
        task.listen(&Waker::from(waker));
        if task.is_decided() {
            ready.ended.lock().push_back(at);
        }
    }
    let pending = tasks.len();
    AsCompleted { tasks, ready, pending }
}

/// Which tasks may have ended, and whoever waits for them.
struct Ready {
    /// Their places in the list. One may be here more than once, and before its end.
    ended: Mutex<VecDeque<usize>>,
    /// Who runs the first of them, where there is one: its waits are those of the iterator.
    engine: Option<Arc<dyn Engine>>,
}

impl Ready {
    fn is_of(&self, engine: &Arc<dyn Engine>) -> bool {
        self.engine.as_ref().is_some_and(|own| Arc::ptr_eq(own, engine))
    }
}

/// Wakes the iterator for one task.
struct Ended {
    at: usize,
    ready: Arc<Ready>,
}

impl Wake for Ended {
    fn wake(self: Arc<Self>) {
        self.ready.ended.lock().push_back(self.at);
        if let Some(engine) = &self.ready.engine {
            engine.rouse();
        }
    }
}

/// Tasks in the order of their ends: [`as_completed`].
#[must_use = "iterators do nothing unless they are asked"]
pub struct AsCompleted<R> {
    tasks: Vec<Option<Task<R>>>,
    ready: Arc<Ready>,
    /// How many have not been handed out.
    pending: usize,
}

impl<R> AsCompleted<R> {
    /// The next task that has ended, `None` after the last one.
    ///
    /// # Errors
    ///
    /// [`TimeoutError::TimedOut`] when `timeout` has passed first; the iterator goes on.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Task<R>>, TimeoutError> {
        self.next_until(Deadline::after(timeout))
    }

    /// [`next_timeout`](Self::next_timeout) until `deadline` at the latest.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn next_deadline(&mut self, deadline: Instant) -> Result<Option<Task<R>>, TimeoutError> {
        self.next_until(Deadline::at(deadline))
    }

    /// [`next_timeout`](Self::next_timeout) without waiting.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_next(&mut self) -> Result<Option<Task<R>>, TimeoutError> {
        self.next_timeout(Duration::ZERO)
    }

    /// The number of tasks that have not been handed out yet.
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// The tasks that have not been handed out yet.
    pub fn into_pending(mut self) -> Vec<Task<R>> {
        mem::take(&mut self.tasks).into_iter().flatten().collect()
    }

    fn next_until(&mut self, deadline: Deadline) -> Result<Option<Task<R>>, TimeoutError> {
        let ready = Arc::clone(&self.ready);
        let Some(engine) = ready.engine.as_ref().filter(|_| self.pending > 0) else {
            return Ok(None);
        };
        let mut task = None;
        let waited = engine.wait_until(deadline, &mut || {
            task = self.take_ended();
            task.is_some()
        });
        if waited.is_err() {
            // Whoever asks this one for its result hears of the error.
            task = self.tasks.iter_mut().find_map(Option::take);
        }
        self.pending -= usize::from(task.is_some());
        task.map(Some).ok_or(TimeoutError::TimedOut)
    }

    fn take_ended(&mut self) -> Option<Task<R>> {
        loop {
            let at = self.ready.ended.lock().pop_front()?;
            let Some(task) = &self.tasks[at] else { continue };
            if task.is_decided() {
                return self.tasks[at].take();
            }
            // A part of it has: a waker is good for one call.
            let waker = Arc::new(Ended { at, ready: Arc::clone(&self.ready) });
            task.listen(&Waker::from(waker));
            if task.is_decided() {
                return self.tasks[at].take();
            }
        }
    }
}

impl<R> Iterator for AsCompleted<R> {
    type Item = Task<R>;

    fn next(&mut self) -> Option<Task<R>> {
        self.next_until(Deadline::never()).unwrap_or_default()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.pending, Some(self.pending))
    }
}

impl<R> FusedIterator for AsCompleted<R> {}
impl<R> ExactSizeIterator for AsCompleted<R> {}

impl<R> fmt::Debug for AsCompleted<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("pending", &self.pending).finish_non_exhaustive()
    }
}

/// How long [`wait`] waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitFor {
    /// Until one task has ended, one way or another.
    FirstDone,
    /// Until one task has ended without a result, or all with one.
    FirstFailed,
    /// Until all tasks have ended.
    AllDone,
}

/// Tasks that have ended, and those that have not.
#[derive(Debug)]
pub struct Waited<R> {
    /// Those that have ended, in the order of their ends.
    pub done: Vec<Task<R>>,
    /// The others.
    pub pending: Vec<Task<R>>,
}

/// Waits for tasks, of whichever pools.
#[doc(alias("FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"))]
pub fn wait<R>(tasks: impl IntoIterator<Item = Task<R>>, until: WaitFor) -> Waited<R> {
    wait_until(tasks, until, Deadline::never())
}

/// [`wait`] without waiting: which have ended by now.
pub fn try_wait<R>(tasks: impl IntoIterator<Item = Task<R>>, until: WaitFor) -> Waited<R> {
    wait_timeout(tasks, until, Duration::ZERO)
}

/// [`wait`] for at most `timeout`.
pub fn wait_timeout<R>(
    tasks: impl IntoIterator<Item = Task<R>>,
    until: WaitFor,
    timeout: Duration,
) -> Waited<R> {
    wait_until(tasks, until, Deadline::after(timeout))
}

/// [`wait`] until `deadline` at the latest.
pub fn wait_deadline<R>(
    tasks: impl IntoIterator<Item = Task<R>>,
    until: WaitFor,
    deadline: Instant,
) -> Waited<R> {
    wait_until(tasks, until, Deadline::at(deadline))
}

fn wait_until<R>(
    tasks: impl IntoIterator<Item = Task<R>>,
    until: WaitFor,
    deadline: Deadline,
) -> Waited<R> {
    let mut completed = as_completed(tasks);
    let mut done: Vec<Task<R>> = Vec::new();
    let mut is_enough = false;
    loop {
        // Once it is enough, those that have ended as well.
        let limit = if is_enough { Deadline::after(Duration::ZERO) } else { deadline };
        let Ok(Some(task)) = completed.next_until(limit) else { break };
        is_enough |= match until {
            WaitFor::FirstDone => true,
            WaitFor::FirstFailed => task.has_failed(),
            WaitFor::AllDone => false,
        };
        done.push(task);
    }
    Waited { done, pending: completed.into_pending() }
}
