//! A worker as the parent sees it.

#[cfg(feature = "fuzzing")]
pub(super) mod bytes;
mod remains;

use std::{
    collections::{HashSet, VecDeque},
    io, mem,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use mp_channel::{Ring, TryPushError};
use mp_os::Deadline;
use mp_process::{Child, Connection, SendError, TaskKey};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    batch::{Batch, Blob, Function, Job},
    bell::Bell,
    builder::Settings,
    journal::{Journal, Watch},
    spares::LARGE,
    state::Intake,
    stats::is_stopped,
    wire::{Control, Failure, ResultHead, TaskHead},
    worker::{self, Setup},
};
use crate::{Error, Result, TaskError};

/// The bytes of either ring: small, so that its memory is soon warm; a larger record goes through memory of its own.
const RING_LEN: usize = 256 << 10;

/// The bytes of a record that goes through the ring itself.
pub(super) const RECORD_LEN: usize = RING_LEN / 4;

/// The records of either ring.
const RING_ITEMS: usize = 1 << 12;

/// How far ahead of a worker batches are queued, in time and in number.
///
/// One that waits hides the way there and back; more are needed only where a batch takes less time than that way.
const AHEAD_NANOS: u64 = 200_000;
const AHEAD_MIN: usize = 2;
const AHEAD_MAX: usize = 128;

/// And how far in bytes: what lies longer in the caches of the two cores, or comes back to where it was, is copied faster.
const AHEAD_LEN: usize = 2 << 20;

/// Why a batch was not sent.
enum Refusal {
    /// There is no room for it now.
    Full,
    /// The worker is dead.
    Gone,
    /// It cannot be sent to any worker.
    Never(Error),
}

impl From<SendError> for Refusal {
    fn from(error: SendError) -> Self {
        match error {
            SendError::TimedOut => Self::Full,
            SendError::Closed => Self::Gone,
            error => Self::Never(error.into()),
        }
    }
}

impl From<TryPushError> for Refusal {
    fn from(error: TryPushError) -> Self {
        match error {
            TryPushError::Full => Self::Full,
            error => Self::Never(ring_error(error)),
        }
    }
}

pub(super) fn ring_error(error: impl Into<io::Error>) -> Error {
    mp_os::Error::new("use", "ring of a pool worker", error.into()).into()
}

/// What every worker runs before its first task, or after its last.
#[derive(Debug)]
pub(super) struct Hook {
    pub(super) key: TaskKey,
    pub(super) args: Blob,
}

impl Hook {
    pub(super) fn new<A>(function: fn(A), args: &A) -> Result<Self>
    where
        A: Serialize + DeserializeOwned + 'static,
    {
        Ok(Self { key: TaskKey::of(function)?, args: Blob::of(args)? })
    }
}

/// How many batches that take `batch_nanos` each (zero while that is unknown) a worker should have.
pub(super) fn ahead(batch_nanos: u64) -> usize {
    let ahead = AHEAD_NANOS.checked_div(batch_nanos).map_or(AHEAD_MIN, |ahead| ahead as usize);
    ahead.clamp(AHEAD_MIN, AHEAD_MAX)
}

/// One worker process, its channels, and the batches it was given and has not finished, oldest first.
pub(super) struct Slot {
    pub(super) id: u64,
    /// Its number among the workers there are: a worker that replaces another has that one's.
    pub(super) place: usize,
    pub(super) child: Child<Result<(), Failure>>,
    tasks: Ring,
    results: Ring,
    control: Connection,
    journal: Journal,
    assigned: VecDeque<Assigned>,
    /// The functions it was told of.
    defined: HashSet<u32>,
    /// Those it need not know any more, and was not told so.
    forgotten: Vec<u32>,
    next_batch: u32,
    is_closed: bool,
    /// How long a batch takes: a running average.
    batch_nanos: u64,
    /// The tasks it has finished, and how long they took.
    pub(super) completed: u64,
    pub(super) busy: Duration,
    /// How many more tasks it may be given.
    quota: u64,
    pub(super) born: Instant,
    /// Why it was killed by us, and what comes of the task that it ran.
    pub(super) sentence: Option<TaskError>,
    /// Where it was seen with no task running, by the number of its oldest batch and its journal, and since when.
    pause: Option<((u32, u64), Instant)>,
}

struct Assigned {
    number: u32,
    /// How many of its first tasks have been heard of.
    done: u32,
    batch: Batch,
}

/// Results on their way to their job.
pub(super) struct Delivery {
    pub(super) job: Arc<dyn Job>,
    pub(super) first: u64,
    pub(super) count: u32,
    pub(super) nanos: u64,
    /// Where the framed results stand in the buffer they were received into,
    pub(super) range: Range<usize>,
    /// and the end of the last one, where that is a large piece of bytes.
    pub(super) tail: Vec<u8>,
}

/// What came of a look at the time that a task has taken.
pub(super) enum Check {
    /// Nothing that it has been given has a limit.
    Unlimited,
    /// It is to be looked at again after this time.
    Again(Duration),
    /// The worker must be killed.
    Condemned,
}

impl Slot {
    /// Starts a worker process.
    pub(super) fn start(
        id: u64,
        place: usize,
        (settings, bell): (&Settings, &Bell),
        deadline: Deadline,
    ) -> Result<Self> {
        let ring = || Ring::builder().items(RING_ITEMS).bytes(RING_LEN).create();
        let (tasks, results, journal) = (ring()?, ring()?, Journal::create()?);
        let (control, theirs) = Connection::pair()?;
        let setup = Setup {
            tasks: tasks.clone(),
            results: results.clone(),
            bell: bell.clone(),
            journal: journal.clone(),
            control: theirs,
            place,
            has_initializer: settings.initializer.is_some(),
            has_exit_hook: settings.exit_hook.is_some(),
            max_memory: settings.max_memory.map_or(u64::MAX, Into::into),
        };
        let child = settings.worker(id).spawn_until(worker::serve, setup, deadline)?;
        for Hook { key, args } in settings.initializer.iter().chain(&settings.exit_hook) {
            control.send(&Control::Hook { key: *key, args })?;
        }
        Ok(Self {
            id,
            place,
            child,
            tasks,
            results,
            control,
            journal,
            assigned: VecDeque::new(),
            defined: HashSet::new(),
            forgotten: Vec::new(),
            next_batch: 0,
            is_closed: false,
            batch_nanos: 0,
            completed: 0,
            busy: Duration::ZERO,
            quota: settings.max_tasks.map_or(u64::MAX, Into::into),
            born: Instant::now(),
            sentence: None,
            pause: None,
        })
    }

    pub(super) fn is_ready(&self) -> bool {
        self.journal.is_ready()
    }

    /// Whether it may be given batches.
    pub(super) fn is_open(&self) -> bool {
        !self.is_closed
    }

    pub(super) fn assigned(&self) -> usize {
        self.assigned.len()
    }

    /// The tasks it was given and whose outcomes are not known.
    pub(super) fn queued(&self) -> u64 {
        self.assigned.iter().map(|assigned| u64::from(assigned.batch.count - assigned.done)).sum()
    }

    /// How many more tasks it may be given.
    pub(super) fn quota(&self) -> u32 {
        u32::try_from(self.quota).unwrap_or(u32::MAX)
    }

    /// How many more batches it should have.
    pub(super) fn room(&self) -> usize {
        if self.is_closed {
            return 0;
        }
        let batch_len = self.assigned.back().map_or(0, |newest| newest.batch.len());
        let fit = AHEAD_LEN.checked_div(batch_len).map_or(AHEAD_MAX, |fit| fit.max(AHEAD_MIN));
        ahead(self.batch_nanos).min(fit).saturating_sub(self.assigned.len())
    }

    /// Tells the worker to end once it has done what it was given.
    pub(super) fn close(&mut self) {
        if !mem::replace(&mut self.is_closed, true) {
            self.tasks.close();
        }
    }

    /// Ends the worker at once. That it is dead already is no error.
    ///
    /// # Errors
    ///
    /// Where the operating system refuses, as it does once a worker has become another user.
    pub(super) fn kill(&self) -> Result<()> {
        match self.child.kill() {
            Err(error) if self.child.is_alive() => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Gives the worker `batch`, or gives it back where it cannot take it in now, or is dead.
    ///
    /// # Errors
    ///
    /// The batch with why no worker can be given it.
    pub(super) fn assign(&mut self, batch: Batch) -> Result<Option<Batch>, Box<(Batch, Error)>> {
        match self.send(&batch) {
            Ok(()) => {
                self.quota = self.quota.saturating_sub(batch.count.into());
                self.assigned.push_back(Assigned { number: self.next_batch, done: 0, batch });
                self.next_batch = self.next_batch.wrapping_add(1);
                if self.quota == 0 {
                    self.close();
                }
                Ok(None)
            }
            Err(Refusal::Full) => {
                // Its number is used up: descriptors may have been sent with it.
                self.next_batch = self.next_batch.wrapping_add(1);
                Ok(Some(batch))
            }
            Err(Refusal::Gone) => {
                self.is_closed = true;
                Ok(Some(batch))
            }
            Err(Refusal::Never(error)) => Err(Box::new((batch, error))),
        }
    }

    /// Sends what the batch needs over the socket, and then the batch, so that the worker finds all it needs. Never
    /// waits: the worker may be waiting for us to take in its results.
    fn send(&mut self, batch: &Batch) -> Result<(), Refusal> {
        let Function { id, key, shared } = &*batch.function;
        if !self.defined.contains(id) {
            let forget = self.forgotten.clone();
            self.control.try_send(&Control::Define { id: *id, key: *key, shared, forget })?;
            self.defined.insert(*id);
            self.forgotten.clear();
        }
        if let Some(fds) = &batch.handles {
            self.control.try_send(&Control::Handles { batch: self.next_batch, fds: &**fds })?;
        }
        let head = TaskHead {
            function: *id,
            batch: self.next_batch,
            count: batch.count,
            handles: batch.handles.is_some(),
            watch: batch.watch,
        };
        Ok(self.tasks.try_push_parts(&[&head.to_bytes(), &batch.args, &batch.tail])?)
    }

    /// No later batch runs the function `id`: the worker drops it, and the value it shares, when it comes to that.
    pub(super) fn forget(&mut self, id: u32) {
        if self.defined.remove(&id)
            && self.tasks.try_push(&TaskHead::forget(id).to_bytes()).is_err()
        {
            // It hears of it with the next definition.
            self.forgotten.push(id);
        }
    }

    /// Whether it has, or had and was not heard of yet, tasks of the job at this address.
    pub(super) fn has(&self, job: *const ()) -> bool {
        self.assigned.iter().any(|assigned| assigned.batch.is_of(job))
    }

    /// Whether it runs a task of this job right now.
    pub(super) fn runs(&self, job: *const ()) -> bool {
        let mut its = self.assigned.iter().filter(|assigned| assigned.batch.is_of(job));
        its.any(|assigned| self.journal.is_running(assigned.number))
    }

    /// Takes back the batches that the worker has not taken, oldest first. What is left is at most the one it works on,
    /// and those of which it has sent results.
    pub(super) fn recall(&mut self) -> VecDeque<Batch> {
        let (mut record, mut count) = (Vec::new(), 0);
        let mut forgotten = Vec::new();
        // Not more than there can be, so that a worker which writes over the ring does not hold us up.
        for _ in 0..RING_ITEMS {
            if self.tasks.try_pop(&mut record).is_err() {
                break;
            }
            match TaskHead::split(&record) {
                Some((head, _)) if head.count == 0 => forgotten.push(head.function),
                _ => count += 1,
            }
        }
        self.defined.extend(&forgotten);
        forgotten.into_iter().for_each(|id| self.forget(id));
        let kept = self.assigned.len().saturating_sub(count);
        // Of one that was never taken there are no results, unless the worker lies: no task has two outcomes.
        let rest = |Assigned { done, batch, .. }: Assigned| batch.after(done);
        let recalled: VecDeque<_> =
            self.assigned.split_off(kept).into_iter().filter_map(rest).collect();
        let tasks: u64 = recalled.iter().map(|batch| u64::from(batch.count)).sum();
        self.quota = self.quota.saturating_add(tasks);
        recalled
    }

    /// Condemns the task of this job that the worker runs or is about to: false where it has finished it, or runs none.
    ///
    /// To be called after [`recall`](Self::recall) and then [`collect`](Self::collect).
    pub(super) fn condemn(&mut self, job: *const (), sentence: TaskError) -> bool {
        let Some(front) = self.assigned.front() else { return false };
        let condemned = front.batch.is_of(job)
            && front.batch.watch != Watch::Not
            && self.journal.condemn(front.number);
        if condemned {
            // If it has not begun, nobody else begins it either.
            front.batch.job.abandon();
            self.sentence = Some(sentence);
            self.is_closed = true;
        }
        condemned
    }

    /// Condemns the running task if it has taken too long: when to look again, or that it must be killed.
    pub(super) fn check_limit(&mut self) -> Check {
        let Some(limit) = self.assigned.iter().find_map(|assigned| assigned.batch.limit) else {
            return Check::Unlimited;
        };
        if self.sentence.is_some() {
            return Check::Unlimited;
        }
        let front = self.assigned.front();
        let Some((number, limit)) =
            front.and_then(|front| Some((front.number, front.batch.limit?)))
        else {
            return Check::Again(limit);
        };
        if self.stands_still(number, limit) {
            // No task has run: the one that would be next is begun by another worker.
            self.sentence = Some(TaskError::TimedOut(limit));
            self.is_closed = true;
            return Check::Condemned;
        }
        match self.journal.condemn_after(number, limit) {
            Some(left) => Check::Again(left),
            None => {
                self.sentence = Some(TaskError::TimedOut(limit));
                self.is_closed = true;
                Check::Condemned
            }
        }
    }

    /// Whether it has been stopped (`SIGSTOP`) where no task runs, and was seen there for `limit`; it begins none then.
    ///
    /// One that is only slow, to take in what tasks share for example, is waited for.
    fn stands_still(&mut self, number: u32, limit: Duration) -> bool {
        let pause = self.journal.pause(number).map(|word| (number, word));
        match (self.pause, pause) {
            (Some((seen, since)), Some(now)) if seen == now => {
                since.elapsed() >= limit
                    && is_stopped(self.child.pid())
                    && self.journal.condemn_pause(now.1)
            }
            _ => {
                self.pause = pause.map(|pause| (pause, Instant::now()));
                false
            }
        }
    }

    /// Receives what results there are, and says in `intake` whose they are.
    ///
    /// # Errors
    ///
    /// Where the worker breaks the protocol: it must be killed, its tasks are then handled as for any death.
    pub(super) fn collect(&mut self, intake: &mut Intake) -> Result<()> {
        let Intake { record, bytes, deliveries, unstarted, spent, .. } = intake;
        let mut tail = Vec::new();
        while self.results.try_pop_parts(record, &mut tail).is_ok() {
            let (head, results) = ResultHead::split(record)
                .ok_or_else(|| Error::protocol("a result record is too short"))?;
            deliveries.push(self.accept(head, (results, mem::take(&mut tail)), bytes)?);
            if head.last
                && let Some(Assigned { done, mut batch, .. }) = self.assigned.pop_front()
            {
                if done >= batch.count {
                    let bytes = [mem::take(&mut batch.args), mem::take(&mut batch.tail)];
                    spent.extend(bytes.into_iter().filter(|bytes| bytes.capacity() >= LARGE));
                }
                unstarted.extend(batch.after(done));
            }
        }
        Ok(())
    }

    /// Books results of the oldest batch.
    fn accept(
        &mut self,
        head: ResultHead,
        (results, tail): (&[u8], Vec<u8>),
        bytes: &mut Vec<u8>,
    ) -> Result<Delivery> {
        let front = self.assigned.front_mut().filter(|front| front.number == head.batch);
        let front = front
            .ok_or_else(|| Error::protocol("results came of a batch that is not the oldest"))?;
        // Before anything is booked: the tasks of a worker that lies are still to have their outcomes.
        if head.count == 0 || head.count > front.batch.count - front.done {
            return Err(Error::protocol("no results came, or more than the batch has tasks"));
        }
        let first = front.batch.first + u64::from(front.done);
        front.done += head.count;
        let start = bytes.len();
        bytes.extend_from_slice(results);
        self.completed += u64::from(head.count);
        self.busy += Duration::from_nanos(head.nanos);
        // Half of the average is the newest batch: it follows a change within a few.
        self.batch_nanos = self.batch_nanos.midpoint(head.nanos).max(1);
        Ok(Delivery {
            job: Arc::clone(&front.batch.job),
            first,
            count: head.count,
            nanos: head.nanos,
            range: start..bytes.len(),
            tail,
        })
    }
}
