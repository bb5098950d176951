//! What a worker has done of its current batch, in shared memory that outlives it.
//!
//! After each task the worker appends the framed result and commits it with one store, so a worker killed at any moment
//! takes with it the one task that it was running: results before it are read from here, tasks after it have not begun.
//! Only the worker writes, and the parent reads once the worker is dead, so no lock is needed, and the death of the
//! writer, seen through its pidfd, comes after all of its stores.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};

use mp_os::{Error, Result};
use mp_shm::Segment;
use serde::{Deserialize, Serialize};

/// The length of the results part in bytes. A result that does not fit goes through the ring at once.
const RESULTS_LEN: usize = 64 << 10;

/// `batch << 32 | index`: which batch the saved results belong to, and the index of the first of them in it.
const ORIGIN: usize = 0;
/// `count << 32 | bytes`: how many results are saved, and their length. The commit word.
const SAVED: usize = 8;
/// The index in the batch of the running task, plus one; zero while none runs.
const RUNNING: usize = 16;
/// One once the worker is ready for tasks.
const READY: usize = 24;
const RESULTS: usize = 64;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Journal(Segment);

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
    }

    /// The task at `index` begins.
    pub(super) fn begin(&self, index: u32) {
        self.running.store(u64::from(index) + 1, Release);
    }

    /// The running task has ended with `result`, one frame: true once it is saved, false where there is no room.
    pub(super) fn save(&mut self, result: &[u8]) -> bool {
        let room = RESULTS_LEN - self.bytes as usize;
        let at = RESULTS + self.bytes as usize;
        let fits = result.len() <= room && self.journal.0.mapping().copy_in(at, result).is_ok();
        if fits {
            self.bytes += result.len() as u32;
            self.count += 1;
            self.saved.store(whole(self.count, self.bytes), Release);
            self.end();
        }
        fits
    }

    /// No task runs: the result of the last one is saved or sent.
    pub(super) fn end(&self) {
        self.running.store(0, Release);
    }
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
        writer.begin(40);
        assert!(writer.save(b"forty"));
        writer.begin(41);
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
    fn readiness_is_seen() {
        let journal = Journal::create().unwrap();
        assert!(!journal.is_ready());
        journal.set_ready().unwrap();
        assert!(journal.is_ready());
    }
}
