//! Tasks as data: what the pool hands to a worker, and where the outcomes go.

use std::{io, os::fd::OwnedFd, sync::Arc, time::Duration};

use mp_os::transfer::{self, Fd};
use mp_process::{EncodeError, TaskKey, encode, encode_parts};
use serde::{Deserialize, Serialize};

use super::{frame, job::Options, journal::Watch};
use crate::TaskError;

/// An encoded value with the descriptors of the handles in it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Blob {
    bytes: Vec<u8>,
    fds: Vec<Fd<OwnedFd>>,
}

impl Blob {
    pub(super) fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, EncodeError> {
        let mut bytes = Vec::new();
        let (encoded, fds) = transfer::collect(|| encode(value, &mut bytes));
        encoded?;
        Ok(Self { bytes, fds: fds.into_iter().map(Fd::new).collect() })
    }

    /// The descriptors alone, of handles whose bytes travel elsewhere.
    fn of_fds(fds: Vec<OwnedFd>) -> Self {
        Self { bytes: Vec::new(), fds: fds.into_iter().map(Fd::new).collect() }
    }

    /// A copy, with duplicates of the descriptors.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        let duplicates = self.fds.iter().map(|fd| fd.try_clone().map(Fd::new));
        Ok(Self { bytes: self.bytes.clone(), fds: duplicates.collect::<io::Result<_>>()? })
    }

    /// Runs `read` on the bytes, in which handles take their descriptors.
    pub(super) fn open<R>(self, read: impl FnOnce(&[u8]) -> R) -> R {
        let fds = self.fds.into_iter().map(Fd::into_inner).collect();
        transfer::provide(fds, || read(&self.bytes))
    }
}

/// A function that workers can be told to run: its key, and what its tasks share.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) id: u32,
    pub(super) key: TaskKey,
    pub(super) shared: Blob,
}

/// Where the outcomes of a job's tasks go, by the task's index in the job. Each index is heard of once.
pub(super) trait Job: Send + Sync {
    /// Takes in the framed results of the `count` tasks from `first` on, of which the last one ends with `tail`.
    fn deliver(&self, first: u64, count: u32, results: &[u8], tail: Vec<u8>);

    /// Takes in that the `count` tasks from `first` on ended without a result.
    fn fail(&self, first: u64, count: u32, error: &TaskError);

    /// Learns how long a worker took for `count` tasks.
    fn timed(&self, nanos: u64, count: u32);

    /// Says that nobody wants the results any more.
    fn abandon(&self);

    /// Whether nobody wants the results any more, so that tasks that have not begun need not.
    fn is_abandoned(&self) -> bool;
}

/// Consecutive tasks of one job.
pub(super) struct Batch {
    pub(super) job: Arc<dyn Job>,
    pub(super) function: Arc<Function>,
    /// The index of the first task in its job.
    pub(super) first: u64,
    pub(super) count: u32,
    /// The framed arguments,
    pub(super) args: Vec<u8>,
    /// and the end of the last one, where that is a large piece of bytes.
    pub(super) tail: Vec<u8>,
    /// The descriptors of the handles in the last task's argument; the others have none.
    pub(super) handles: Option<Arc<Blob>>,
    /// How many workers have died of the first task, and how many may before it fails.
    pub(super) deaths: u32,
    pub(super) retries: u32,
    /// How many workers have ended that were to begin it next, or had, and said nothing of it.
    pub(super) losses: u32,
    /// How long each task may run.
    pub(super) limit: Option<Duration>,
    pub(super) watch: Watch,
}

impl Batch {
    /// An empty batch of `job` whose first task will have the index `first`.
    pub(super) fn new(
        job: Arc<dyn Job>,
        function: Arc<Function>,
        first: u64,
        options: Options,
    ) -> Self {
        let Options { retries, timeout: limit, .. } = options;
        let watch = limit.map_or(Watch::Not, |_| Watch::Timed);
        Self {
            job,
            function,
            first,
            count: 0,
            args: Vec::new(),
            tail: Vec::new(),
            handles: None,
            deaths: 0,
            retries,
            losses: 0,
            limit,
            watch,
        }
    }

    /// Lets its running tasks be cancelled.
    pub(super) fn guard(&mut self) {
        if self.watch == Watch::Not {
            self.watch = Watch::Guarded;
        }
    }

    /// Whether it is of the job at this address.
    pub(super) fn is_of(&self, job: *const ()) -> bool {
        Arc::as_ptr(&self.job).cast() == job
    }

    /// Appends tasks for as long as `next` gives arguments and `wants` more, by the count and bytes so far.
    ///
    /// An argument with handles or a large tail ends the batch, and so does one that cannot be encoded, which is left out.
    pub(super) fn fill<A: Serialize>(
        &mut self,
        mut next: impl FnMut() -> Option<A>,
        wants: impl Fn(u32, usize) -> bool,
    ) -> Result<(), String> {
        let (filled, fds) = transfer::collect(|| {
            while wants(self.count, self.args.len())
                && self.tail.is_empty()
                && transfer::collected() == 0
                && let Some(argument) = next()
            {
                self.tail = frame::push(&mut self.args, |out| encode_parts(argument, out))?;
                self.count += 1;
            }
            Ok(())
        });
        if !fds.is_empty() {
            self.handles = Some(Arc::new(Blob::of_fds(fds)));
        }
        filled
    }

    /// The length of its arguments in bytes.
    pub(super) fn len(&self) -> usize {
        self.args.len() + self.tail.len()
    }

    /// Gives up the first `done` tasks; `None` where no other is left.
    pub(super) fn after(mut self, done: u32) -> Option<Self> {
        if done >= self.count {
            return None;
        }
        if done > 0 {
            self.args.drain(..self.args_len(done));
            self.first += u64::from(done);
            self.count -= done;
            (self.deaths, self.losses) = (0, 0);
        }
        Some(self)
    }

    /// The first `count` tasks, at least one, and the others.
    pub(super) fn split(self, count: u32) -> (Self, Option<Self>) {
        if count >= self.count {
            return (self, None);
        }
        let first = Self {
            job: Arc::clone(&self.job),
            function: Arc::clone(&self.function),
            count,
            args: self.args[..self.args_len(count)].to_vec(),
            // They are those of the last task.
            tail: Vec::new(),
            handles: None,
            ..self
        };
        (first, self.after(count))
    }

    /// The length of the first `count` framed arguments in bytes, the last one not among them.
    fn args_len(&self, count: u32) -> usize {
        let mut rest = &self.args[..];
        frame::skip(&mut rest, count);
        self.args.len() - rest.len()
    }

    /// All tasks of the batch end with `error`.
    pub(super) fn fail(&self, error: &TaskError) {
        self.job.fail(self.first, self.count, error);
    }
}
