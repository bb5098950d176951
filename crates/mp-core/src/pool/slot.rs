//! A worker as the parent sees it.

#[cfg(feature = "fuzzing")]
pub(super) mod bytes;
mod condemned;
mod given;
mod remains;
mod taken;

use std::{
    collections::{HashSet, VecDeque},
    io, mem,
    time::{Duration, Instant},
};

use mp_channel::Ring;
use mp_os::Deadline;
use mp_process::{Child, Connection, TaskKey};
use serde::{Serialize, de::DeserializeOwned};

pub(super) use self::{condemned::Check, taken::Delivery};
use super::{
    batch::{Batch, Blob},
    bell::Bell,
    builder::Settings,
    journal::Journal,
    wire::{Control, Failure},
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
}
