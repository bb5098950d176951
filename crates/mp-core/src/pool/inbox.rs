//! Where the outcomes of one job arrive, in the order of its tasks or in the order of their ends.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    iter,
    marker::PhantomData,
    mem,
    panic::{self, AssertUnwindSafe},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    task::Waker,
};

use mp_process::{DecodeError, decode, decode_parts};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use super::{
    batch::Job,
    frame::{self, Frame},
    wire::Failure,
};
use crate::{TaskError, task::Mailbox};

type Outcome<R> = Result<R, TaskError>;

/// What an inbox does with outcomes once they are due.
pub(crate) trait Sink<R>: Send {
    fn accept(&mut self, outcome: Outcome<R>);
}

/// Hands them out one by one.
impl<R: Send> Sink<R> for VecDeque<Outcome<R>> {
    fn accept(&mut self, outcome: Outcome<R>) {
        self.push_back(outcome);
    }
}

/// Keeps the values until the end, and the first error instead of them.
pub(super) struct Values<R> {
    pub(super) values: Vec<R>,
    pub(super) error: Option<TaskError>,
}

impl<R: Send> Sink<R> for Values<R> {
    #[inline]
    fn accept(&mut self, outcome: Outcome<R>) {
        match outcome {
            Ok(value) => self.values.push(value),
            Err(error) if self.error.is_none() => self.error = Some(error),
            Err(_) => {}
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Outcomes are due in the order of the tasks: early ones are kept back.
    OfTasks,
    /// Outcomes are due as they come.
    OfEnds,
}

pub(crate) struct Inbox<R, S> {
    content: Mutex<Content<R, S>>,
    /// How long a task takes: a running average, zero while unknown.
    task_nanos: AtomicU64,
    is_abandoned: AtomicBool,
}

pub(super) struct Content<R, S> {
    pub(super) sink: S,
    order: Order,
    /// The number of outcomes that have become due.
    pub(super) due: u64,
    /// Outcomes that are not due yet, by the index of the first: how many, and as they came, so that waiting costs a copy.
    early: BTreeMap<u64, (u32, Arrived<'static>)>,
    pub(super) waker: Option<Waker>,
    values: PhantomData<fn(R)>,
}

/// Outcomes of consecutive tasks.
enum Arrived<'a> {
    /// Framed, and the end of the last one, where that is apart.
    Results(Cow<'a, [u8]>, Vec<u8>),
    /// One failure for all.
    Failure(TaskError),
}

impl Arrived<'_> {
    fn into_owned(self) -> Arrived<'static> {
        match self {
            Self::Results(results, tail) => {
                Arrived::Results(Cow::Owned(results.into_owned()), tail)
            }
            Self::Failure(error) => Arrived::Failure(error),
        }
    }
}

impl<R: Send, S: Sink<R>> Inbox<R, S> {
    pub(crate) fn new(order: Order, sink: S) -> Self {
        let (early, values) = (BTreeMap::new(), PhantomData);
        let content = Content { sink, order, due: 0, early, waker: None, values };
        Self {
            content: Mutex::new(content),
            task_nanos: AtomicU64::new(0),
            is_abandoned: AtomicBool::new(false),
        }
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Content<R, S>) -> T) -> T {
        look(&mut self.content.lock())
    }

    pub(super) fn due(&self) -> u64 {
        self.with(|content| content.due)
    }

    pub(super) fn task_nanos(&self) -> u64 {
        self.task_nanos.load(Relaxed)
    }

    /// Takes in the outcome of a task, which is due.
    pub(crate) fn accept(&self, outcome: Outcome<R>) {
        self.change(|content| {
            content.sink.accept(outcome);
            content.due += 1;
        });
    }

    /// Changes the content and wakes whoever listens.
    fn change(&self, change: impl FnOnce(&mut Content<R, S>)) {
        let mut content = self.content.lock();
        change(&mut content);
        let waker = content.waker.take();
        drop(content);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<R: DeserializeOwned + Send, S: Sink<R>> Content<R, S> {
    /// Takes in the outcomes of the `count` tasks from `first` on, now or when they are due.
    fn take_in(&mut self, first: u64, count: u32, arrived: Arrived<'_>) {
        if self.order == Order::OfTasks && self.due != first {
            self.early.insert(first, (count, arrived.into_owned()));
            return;
        }
        self.pass_on(count, arrived);
        while let Some((count, early)) = self.early.remove(&self.due) {
            self.pass_on(count, early);
        }
    }

    fn pass_on(&mut self, count: u32, arrived: Arrived<'_>) {
        self.due += u64::from(count);
        match arrived {
            Arrived::Results(results, tail) if tail.is_empty() => {
                self.decode(count, &mut &*results);
            }
            Arrived::Results(results, tail) => {
                let mut results = &*results;
                self.decode(count.saturating_sub(1), &mut results);
                let last = panic::catch_unwind(|| last_outcome(results, tail));
                self.sink.accept(last.unwrap_or_else(|_| Err(panicked())));
            }
            Arrived::Failure(error) => {
                iter::repeat_n(error, count as usize)
                    .for_each(|error| self.sink.accept(Err(error)));
            }
        }
    }

    /// A user's `Deserialize` may panic: that fails its task, not whoever happens to take in the result, and ends the inner
    /// loop, so that only such a task pays for being caught.
    fn decode(&mut self, count: u32, results: &mut &[u8]) {
        let mut left = count;
        while left > 0 {
            let decoded = panic::catch_unwind(AssertUnwindSafe(|| {
                while let Some(fewer) = left.checked_sub(1) {
                    left = fewer;
                    self.sink.accept(outcome(frame::take(results)));
                }
            }));
            if decoded.is_err() {
                self.sink.accept(Err(panicked()));
            }
        }
    }
}

impl<R> Inbox<R, VecDeque<Outcome<R>>> {
    /// The next outcome that is due.
    pub(crate) fn take(&self) -> Option<Outcome<R>> {
        self.content.lock().sink.pop_front()
    }
}

impl<R> Inbox<R, Values<R>> {
    /// All values, or the first error.
    pub(super) fn take_values(&self) -> Outcome<Vec<R>> {
        let Values { values, error } = &mut self.content.lock().sink;
        error.take().map_or_else(|| Ok(mem::take(values)), Err)
    }
}

/// Of a single task.
impl<R: Send> Mailbox<R> for Inbox<R, VecDeque<Outcome<R>>> {
    fn take(&self) -> Option<Outcome<R>> {
        self.take()
    }

    fn is_done(&self) -> bool {
        self.due() > 0
    }

    fn has_failed(&self) -> bool {
        self.with(|content| content.sink.front().is_some_and(Result::is_err))
    }

    fn listen(&self, waker: &Waker) {
        self.with(|content| content.waker = Some(waker.clone()));
    }
}

/// The inbox of all tasks of a map, which has one outcome.
pub(super) struct Gathered<R> {
    pub(super) inbox: Inbox<R, Values<R>>,
    /// The number of tasks.
    pub(super) total: u64,
    is_taken: AtomicBool,
}

impl<R: Send> Gathered<R> {
    pub(super) fn new(total: usize) -> Self {
        let values = Values { values: Vec::with_capacity(total), error: None };
        let inbox = Inbox::new(Order::OfTasks, values);
        Self { inbox, total: total as u64, is_taken: AtomicBool::new(false) }
    }
}

impl<R: Send> Mailbox<Vec<R>> for Gathered<R> {
    fn take(&self) -> Option<Outcome<Vec<R>>> {
        let is_first = self.is_done() && !self.is_taken.swap(true, Relaxed);
        is_first.then(|| self.inbox.take_values())
    }

    fn is_done(&self) -> bool {
        self.inbox.due() == self.total
    }

    fn has_failed(&self) -> bool {
        self.inbox.with(|content| content.sink.error.is_some())
    }

    fn listen(&self, waker: &Waker) {
        self.inbox.with(|content| content.waker = Some(waker.clone()));
    }
}

impl<R: DeserializeOwned + Send> Job for Gathered<R> {
    fn deliver(&self, first: u64, count: u32, results: &[u8], tail: Vec<u8>) {
        self.inbox.deliver(first, count, results, tail);
    }

    fn fail(&self, first: u64, count: u32, error: &TaskError) {
        self.inbox.fail(first, count, error);
    }

    fn timed(&self, nanos: u64, count: u32) {
        self.inbox.timed(nanos, count);
    }

    fn abandon(&self) {
        self.inbox.abandon();
    }

    fn is_abandoned(&self) -> bool {
        self.inbox.is_abandoned()
    }
}

impl<R: DeserializeOwned + Send, S: Sink<R>> Job for Inbox<R, S> {
    fn deliver(&self, first: u64, count: u32, results: &[u8], tail: Vec<u8>) {
        let results = Arrived::Results(Cow::Borrowed(results), tail);
        self.change(|content| content.take_in(first, count, results));
    }

    fn fail(&self, first: u64, count: u32, error: &TaskError) {
        let failure = Arrived::Failure(error.clone());
        self.change(|content| content.take_in(first, count, failure));
    }

    fn timed(&self, nanos: u64, count: u32) {
        let newest = (nanos / u64::from(count.max(1))).max(1);
        let average = match self.task_nanos.load(Relaxed) {
            0 => newest,
            average => average.midpoint(newest),
        };
        self.task_nanos.store(average, Relaxed);
    }

    fn abandon(&self) {
        self.is_abandoned.store(true, Relaxed);
    }

    fn is_abandoned(&self) -> bool {
        self.is_abandoned.load(Relaxed)
    }
}

#[inline]
fn outcome<R: DeserializeOwned>(frame: Option<Frame<'_>>) -> Outcome<R> {
    match frame {
        Some(Frame::Value(bytes)) => decode(bytes).map_err(undecodable),
        Some(Frame::Failure(bytes)) => Err(failure(bytes)),
        None => Err(too_few()),
    }
}

/// The outcome whose last bytes are `tail`.
fn last_outcome<R: DeserializeOwned>(results: &[u8], tail: Vec<u8>) -> Outcome<R> {
    let head = frame::cut(results, tail.len()).ok_or_else(too_few)?;
    decode_parts(head, tail).map_err(undecodable)
}

#[cold]
fn too_few() -> TaskError {
    TaskError::Undecodable("the worker sent fewer results than it said".into())
}

#[cold]
fn panicked() -> TaskError {
    TaskError::Undecodable("its `Deserialize` panicked".into())
}

#[cold]
fn undecodable(error: DecodeError) -> TaskError {
    TaskError::Undecodable(error.to_string().into())
}

#[cold]
fn failure(bytes: &[u8]) -> TaskError {
    decode::<Failure>(bytes).map_or_else(undecodable, TaskError::from)
}

#[cfg(test)]
mod tests {
    use mp_process::encode;

    use super::*;

    fn framed(values: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for value in values {
            frame::push(&mut out, |out| encode(value, out).map(|()| Vec::new())).unwrap();
        }
        out
    }

    fn due(inbox: &Inbox<u8, VecDeque<Outcome<u8>>>) -> Vec<u8> {
        std::iter::from_fn(|| inbox.take()).map(Result::unwrap).collect()
    }

    #[test]
    fn early_outcomes_wait_for_their_turn() {
        let inbox = Inbox::new(Order::OfTasks, VecDeque::new());
        inbox.deliver(3, 1, &framed(&[3]), Vec::new());
        inbox.deliver(1, 2, &framed(&[1, 2]), Vec::new());
        assert_eq!(due(&inbox), []);
        inbox.deliver(0, 1, &framed(&[0]), Vec::new());
        assert_eq!(due(&inbox), [0, 1, 2, 3]);
        assert_eq!(inbox.due(), 4);
    }

    #[test]
    fn unordered_outcomes_do_not() {
        let inbox = Inbox::new(Order::OfEnds, VecDeque::new());
        inbox.deliver(3, 1, &framed(&[3]), Vec::new());
        assert_eq!(due(&inbox), [3]);
    }

    #[test]
    fn an_undecodable_result_fails_alone() {
        let inbox: Inbox<u64, _> = Inbox::new(Order::OfTasks, VecDeque::new());
        let mut results = Vec::new();
        frame::push(&mut results, |out| {
            out.extend_from_slice(&[0xff; 3]);
            Ok::<_, &str>(Vec::new())
        })
        .unwrap();
        results.extend(framed(&[5]));
        inbox.deliver(0, 2, &results, Vec::new());
        assert!(matches!(inbox.take(), Some(Err(TaskError::Undecodable(_)))));
        assert_eq!(inbox.take().unwrap().unwrap(), 5);
    }

    #[test]
    fn a_result_that_panics_when_decoded_fails_alone() {
        #[derive(Debug)]
        struct Odd(u8);
        impl<'de> serde::Deserialize<'de> for Odd {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let number = u8::deserialize(deserializer)?;
                assert!(number % 2 == 1, "even");
                Ok(Self(number))
            }
        }
        let inbox: Inbox<Odd, _> = Inbox::new(Order::OfTasks, VecDeque::new());
        inbox.deliver(1, 4, &framed(&[2, 3, 5, 6]), Vec::new());
        inbox.deliver(0, 1, &framed(&[0]), Vec::new());
        let outcomes: Vec<_> = std::iter::from_fn(|| inbox.take()).collect();
        let numbers = outcomes.iter().map(|outcome| outcome.as_ref().ok().map(|odd| odd.0));
        assert_eq!(numbers.collect::<Vec<_>>(), [None, None, Some(3), Some(5), None]);
        let panicked = |outcome: &&Outcome<Odd>| matches!(outcome, Err(TaskError::Undecodable(_)));
        assert_eq!(outcomes.iter().filter(panicked).count(), 3);
        assert_eq!(inbox.due(), 5);
    }

    #[test]
    fn the_first_error_is_the_answer() {
        let inbox = Inbox::new(Order::OfTasks, Values { values: Vec::new(), error: None });
        inbox.deliver(0, 1, &framed(&[1]), Vec::new());
        inbox.fail(1, 2, &TaskError::Cancelled);
        assert!(matches!(inbox.take_values(), Err::<Vec<u8>, _>(TaskError::Cancelled)));
    }
}
