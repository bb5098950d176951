//! What a worker has done of its current batch, in shared memory that outlives it.
//!
//! After each task the worker appends the framed result and commits it with one store, so a worker killed at any moment
//! takes with it the one task that it was running: results before it are read from here, tasks after it have not begun.
//! Only the worker writes, and the parent reads once the worker is dead, so no lock is needed, and the death of the
//! writer, seen through its pidfd, comes after all of its stores.
//!
//! One word both of them write: where a batch is [watched](Watch), the parent may condemn its running task, because it was
//! cancelled or takes too long. Worker and parent change the word by compare-and-exchange, so a task is either finished or
//! condemned, and a worker whose task is condemned begins no other: the kill that follows hits nobody else.

use std::{
    sync::atomic::{
        AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
    time::Duration,
};

use mp_os::{Deadline, Error, Result};
use mp_shm::{OutOfBounds, Segment};
use serde::{Deserialize, Serialize};

/// The length of the results part in bytes. A result that does not fit goes through the ring at once.
const RESULTS_LEN: usize = 64 << 10;

/// `batch << 32 | index`: which batch the saved results belong to, and the index of the first of them in it.
const ORIGIN: usize = 0;
/// `count << 32 | bytes`: how many results are saved, and their length. The commit word.
const SAVED: usize = 8;
/// The two flags below, the lower 30 bits of the batch's number, and in the lower half the index in the batch of the
/// running task, plus one; zero while none runs.
const RUNNING: usize = 16;
/// One once the worker is ready for tasks.
const READY: usize = 24;
/// When the running task began, in nanoseconds of the monotonic clock; kept where [`Watch::Timed`].
const STARTED: usize = 32;
const RESULTS: usize = 64;

/// In `RUNNING`: the task has finished, and its result is on its way. Kept where batches are watched.
const FINISHED: u64 = 1 << 62;
/// In `RUNNING`: the parent has condemned the task, or whichever would be the next.
const CONDEMNED: u64 = 1 << 63;
/// The bits of a batch's number that are kept in `RUNNING`.
const NUMBER: u32 = (1 << 30) - 1;

/// What the parent may do to the running tasks of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    /// Nothing: two plain stores a task.
    Not,
    /// Condemn them.
    Guarded,
    /// Condemn them by the time they have taken.
    Timed,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Journal(pub(super) Segment);

/// What a dead worker had done of `batch` since it last sent results.
#[derive(Debug)]
pub(super) struct Salvage {
    pub(super) batch: u32,
    /// The index in the batch of the first saved result.
    pub(super) first: u32,
    pub(super) count: u32,
    /// The framed results.
    pub(super) results: Vec<u8>,
    /// The index in the batch of the task it died of.
    pub(super) running: Option<u32>,
}

impl Journal {
    pub(super) fn create() -> Result<Self> {
        Segment::create("mp-pool-journal", RESULTS + RESULTS_LEN).map(Self)
    }

    fn word(&self, at: usize) -> Result<&AtomicU64> {
        let too_short =
            || Error::invalid_input("use", "journal of a pool worker", "the segment is too short");
        self.0.mapping().atomic_u64(at).ok_or_else(too_short)
    }

    /// A word of a journal that we have made ourselves, so that it is long enough; zero would be one that is not.
    fn load(&self, at: usize) -> u64 {
        self.word(at).map_or(0, |word| word.load(Acquire))
    }

    pub(super) fn writer(&self) -> Result<Writer<'_>> {
        Ok(Writer {
            journal: self,
            origin: self.word(ORIGIN)?,
            saved: self.word(SAVED)?,
            running: self.word(RUNNING)?,
            started: self.word(STARTED)?,
            watch: Watch::Not,
            batch: 0,
            count: 0,
            bytes: 0,
        })
    }

    pub(super) fn set_ready(&self) -> Result<()> {
        self.word(READY)?.store(1, Release);
        Ok(())
    }

    pub(super) fn is_ready(&self) -> bool {
        self.load(READY) == 1
    }

    /// Whether the worker runs a task of `batch`.
    pub(super) fn is_running(&self, batch: u32) -> bool {
        let word = self.load(RUNNING);
        let (number, index) = halves(word);
        word & FINISHED == 0 && number & NUMBER == batch & NUMBER && index > 0
    }

    /// Condemns the task of `batch` that the worker runs or is about to begin: false where it has finished it.
    ///
    /// To be called for a watched batch that the worker has taken and not sent all results of; followed by a kill.
    pub(super) fn condemn(&self, batch: u32) -> bool {
        let condemn = |word: u64| {
            let is_its =
                word == 0 || word & FINISHED == 0 && halves(word).0 & NUMBER == batch & NUMBER;
            is_its.then_some(word | CONDEMNED)
        };
        self.word(RUNNING).is_ok_and(|word| word.fetch_update(AcqRel, Acquire, condemn).is_ok())
    }

    /// Condemns the running task of `batch` if it has taken `limit`: `None` once that is done, otherwise how long it has left.
    ///
    /// To be called for a [timed](Watch::Timed) batch; followed by a kill where it condemns.
    pub(super) fn condemn_after(&self, batch: u32, limit: Duration) -> Option<Duration> {
        let Ok(word) = self.word(RUNNING) else { return Some(limit) };
        let running = word.load(Acquire);
        let is_its = halves(running).0 == batch & NUMBER;
        if running == 0 || !is_its {
            return Some(limit);
        }
        // Stored before the word: of this task or of a later one, so that nothing is ever taken for older than it is.
        let started = Duration::from_nanos(self.load(STARTED));
        let left = limit.saturating_sub(monotonic_now().saturating_sub(started));
        if !left.is_zero() {
            return Some(left);
        }
        let condemned = word.compare_exchange(running, running | CONDEMNED, AcqRel, Relaxed);
        condemned.is_err().then_some(limit)
    }

    /// What the journal says where no task of `batch` runs: the worker is before, between or behind them.
    pub(super) fn pause(&self, batch: u32) -> Option<u64> {
        let word = self.load(RUNNING);
        let runs = word & (FINISHED | CONDEMNED) == 0 && word != 0;
        (!runs || halves(word).0 & NUMBER != batch & NUMBER).then_some(word)
    }

    /// Keeps a worker that has come no further than this [pause](Self::pause) from beginning another task; followed by a
    /// kill.
    pub(super) fn condemn_pause(&self, pause: u64) -> bool {
        let condemn =
            |word: &AtomicU64| word.compare_exchange(pause, pause | CONDEMNED, AcqRel, Relaxed);
        self.word(RUNNING).is_ok_and(|word| condemn(word).is_ok())
    }

    /// What the worker, which must be dead, had done.
    pub(super) fn salvage(&self) -> Salvage {
        let (batch, first) = halves(self.load(ORIGIN));
        let (mut count, bytes) = halves(self.load(SAVED));
        let (_, running) = halves(self.load(RUNNING));
        let mut results = Vec::new();
        if self.0.mapping().copy_out_vec(RESULTS, bytes as usize, &mut results).is_err() {
            // The worker wrote over its journal: nothing in it counts.
            count = 0;
        }
        Salvage { batch, first, count, results, running: running.checked_sub(1) }
    }
}

/// The worker's side.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    journal: &'a Journal,
    origin: &'a AtomicU64,
    saved: &'a AtomicU64,
    running: &'a AtomicU64,
    started: &'a AtomicU64,
    watch: Watch,
    /// The lower bits of its number, where `RUNNING` has them.
    batch: u64,
    /// What is saved since [`start`](Self::start): the worker's own copy.
    count: u32,
    bytes: u32,
}

impl Writer<'_> {
    /// Begins anew: what is saved from now on are results of `batch` from index `first` on.
    ///
    /// Called when everything before has been sent. The saved results are dropped before the origin changes, so that a
    /// death in between leaves nothing rather than something wrong.
    pub(super) fn start(&mut self, batch: u32, first: u32) {
        self.saved.store(0, Release);
        self.origin.store(whole(batch, first), Release);
        (self.count, self.bytes) = (0, 0);
        self.batch = whole(batch & NUMBER, 0);
    }

    /// What the parent may do to the tasks that follow.
    pub(super) fn watch(&mut self, watch: Watch) {
        self.watch = watch;
    }

    /// The task at `index` begins: false where it is condemned already.
    #[inline]
    pub(super) fn begin(&self, index: u32) -> bool {
        let running = self.batch | (u64::from(index) + 1);
        if self.watch == Watch::Timed {
            self.started.store(monotonic_now().as_nanos() as u64, Relaxed);
        }
        if self.watch == Watch::Not {
            self.running.store(running, Release);
            return true;
        }
        let before = self.running.load(Relaxed);
        before & CONDEMNED == 0
            && self.running.compare_exchange(before, running, AcqRel, Relaxed).is_ok()
    }

    /// The task at `index` has ended: false where it was condemned before.
    #[inline]
    pub(super) fn finish(&self, index: u32) -> bool {
        let running = self.batch | (u64::from(index) + 1);
        self.watch == Watch::Not
            || self.running.compare_exchange(running, running | FINISHED, AcqRel, Relaxed).is_ok()
    }

    /// The running task has ended with `result`, one frame: true once it is saved, false where there is no room.
    #[inline]
    pub(super) fn save(&mut self, result: &[u8]) -> bool {
        let room = RESULTS_LEN - self.bytes as usize;
        let at = RESULTS + self.bytes as usize;
        let fits = result.len() <= room && self.copy(at, result).is_ok();
        if fits {
            self.bytes += result.len() as u32;
            self.count += 1;
            self.saved.store(whole(self.count, self.bytes), Release);
            if self.watch == Watch::Not {
                self.end();
            }
        }
        fits
    }

    /// Copies a result to `at`: one of a number or two by two stores, which may overlap, because a copy of a length that is
    /// not known costs as much as all else here.
    #[inline]
    fn copy(&self, at: usize, result: &[u8]) -> Result<(), OutOfBounds> {
        let memory = self.journal.0.mapping();
        match (result.first_chunk::<8>(), result.last_chunk::<8>()) {
            (Some(first), Some(last)) if result.len() <= 16 => {
                memory.write(at, *first)?;
                memory.write(at + result.len() - 8, *last)
            }
            _ => memory.copy_in(at, result),
        }
    }

    /// No task runs: the result of the last one is saved or sent.
    pub(super) fn end(&self) {
        self.running.store(0, Release);
    }
}

/// The clock that worker and parent share.
fn monotonic_now() -> Duration {
    let now = Deadline::after(Duration::ZERO).to_monotonic();
    now.map_or(Duration::ZERO, |now| Duration::new(now.tv_sec as u64, now.tv_nsec as u32))
}

fn whole(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// The two halves, high and low.
fn halves(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_salvaged() {
        let journal = Journal::create().unwrap();
        let mut writer = journal.writer().unwrap();
        writer.start(7, 40);
        assert!(writer.begin(40));
        assert!(writer.save(b"forty"));
        assert!(writer.begin(41));
        let salvage = journal.salvage();
        assert_eq!((salvage.batch, salvage.first, salvage.count), (7, 40, 1));
        assert_eq!((&salvage.results[..], salvage.running), (&b"forty"[..], Some(41)));

        assert!(!writer.save(&vec![0; RESULTS_LEN]), "no room is said, nothing is cut");
        writer.start(8, 0);
        writer.end();
        let salvage = journal.salvage();
        assert_eq!((salvage.batch, salvage.count, salvage.running), (8, 0, None));
    }

    #[test]
    fn a_task_is_finished_or_condemned() {
        let journal = Journal::create().unwrap();
        let mut writer = journal.writer().unwrap();
        writer.watch(Watch::Guarded);
        writer.start(1, 0);
        assert!(writer.begin(0) && writer.finish(0));
        assert!(!journal.condemn(1), "it has finished");
        assert!(writer.save(b"one"));
        assert!(!journal.condemn(1), "its result is not sent yet");
        assert!(writer.begin(1));
        assert!(!journal.condemn(2), "another one");
        assert!(journal.condemn(1));
        assert!(!writer.finish(1));
        let salvage = journal.salvage();
        assert_eq!((salvage.count, salvage.running), (1, Some(1)));

        writer.end();
        assert!(journal.condemn(2), "before it begins");
        assert!(!writer.begin(0));
        assert_eq!(journal.salvage().running, None);
    }

    #[test]
    fn a_task_is_condemned_when_its_time_has_passed() {
        let journal = Journal::create().unwrap();
        let mut writer = journal.writer().unwrap();
        writer.watch(Watch::Timed);
        writer.start(3, 0);
        let (short, long) = (Duration::from_nanos(1), Duration::from_secs(3_600));
        assert_eq!(journal.condemn_after(3, short), Some(short), "nothing runs");
        assert!(writer.begin(0));
        assert!(journal.condemn_after(3, long).unwrap() < long);
        assert_eq!(journal.condemn_after(4, short), Some(short), "another one");
        assert_eq!(journal.condemn_after(3, short), None);
        assert!(!writer.finish(0));
    }

    #[test]
    fn a_worker_that_stands_still_begins_nothing() {
        let journal = Journal::create().unwrap();
        let mut writer = journal.writer().unwrap();
        writer.watch(Watch::Timed);
        writer.start(3, 0);
        let before = journal.pause(3).unwrap();
        assert!(writer.begin(0));
        assert_eq!(journal.pause(3), None, "it runs");
        assert!(!journal.condemn_pause(before), "it has come further");
        assert!(writer.finish(0));
        let between = journal.pause(3).unwrap();
        assert!(journal.condemn_pause(between));
        assert!(!writer.begin(1));
    }

    #[test]
    fn readiness_is_seen() {
        let journal = Journal::create().unwrap();
        assert!(!journal.is_ready());
        journal.set_ready().unwrap();
        assert!(journal.is_ready());
    }
}
