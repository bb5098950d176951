//! What the parent and a worker say to each other.
//!
//! Two rings of a worker's own carry tasks one way and results the other; a socket carries what has descriptors in it.

use std::fmt;

use mp_process::{Panic, TaskKey};
use serde::{Deserialize, Serialize};

use super::journal::Watch;
use crate::{Error, TaskError};

/// The head of a record of the task ring, before the framed arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskHead {
    pub(super) function: u32,
    /// Counts the batches of this worker.
    pub(super) batch: u32,
    /// Zero in a record that says that no later batch runs the function.
    pub(super) count: u32,
    /// Whether descriptors wait on the socket for this batch.
    pub(super) handles: bool,
    pub(super) watch: Watch,
}

/// The head of a record of the result ring, before the framed results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResultHead {
    pub(super) batch: u32,
    pub(super) count: u32,
    /// Whether the worker is through with the batch: all done, or it gives the rest back.
    pub(super) last: bool,
    /// How long these tasks took.
    pub(super) nanos: u64,
}

/// The length of either head in bytes.
pub(super) const HEAD: usize = 16;

/// The bit beside a count that carries a flag.
const FLAG: u32 = 1 << 31;
/// The bits beside a count of tasks that say how they are watched.
const GUARDED: u32 = 1 << 30;
const TIMED: u32 = 1 << 29;

/// Durations travel in units of 16 nanoseconds, up to a minute.
const NANOS_SHIFT: u32 = 4;

impl TaskHead {
    /// The head of a record that says that no later batch runs `function`.
    pub(super) fn forget(function: u32) -> Self {
        Self { function, batch: 0, count: 0, handles: false, watch: Watch::Not }
    }

    pub(super) fn to_bytes(self) -> [u8; HEAD] {
        let watch = match self.watch {
            Watch::Not => 0,
            Watch::Guarded => GUARDED,
            Watch::Timed => TIMED,
        };
        join([self.function, self.batch, flagged(self.count, self.handles) | watch, 0])
    }

    /// The head and what follows it; `None` for a record too short to be one.
    pub(super) fn split(record: &[u8]) -> Option<(Self, &[u8])> {
        let ([function, batch, count, _], rest) = split(record)?;
        let watch = match count & (GUARDED | TIMED) {
            0 => Watch::Not,
            GUARDED => Watch::Guarded,
            _ => Watch::Timed,
        };
        let handles = count & FLAG != 0;
        let count = count & !(FLAG | GUARDED | TIMED);
        Some((Self { function, batch, count, handles, watch }, rest))
    }
}

impl ResultHead {
    pub(super) fn to_bytes(self) -> [u8; HEAD] {
        let time = u32::try_from(self.nanos >> NANOS_SHIFT).unwrap_or(u32::MAX);
        join([self.batch, flagged(self.count, self.last), time, 0])
    }

    /// The head and what follows it; `None` for a record too short to be one.
    pub(super) fn split(record: &[u8]) -> Option<(Self, &[u8])> {
        let ([batch, count, time, _], rest) = split(record)?;
        let nanos = u64::from(time) << NANOS_SHIFT;
        Some((Self { batch, count: count & !FLAG, last: count & FLAG != 0, nanos }, rest))
    }
}

fn flagged(count: u32, flag: bool) -> u32 {
    count | if flag { FLAG } else { 0 }
}

fn join(words: [u32; 4]) -> [u8; HEAD] {
    let mut bytes = [0; HEAD];
    for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn split(record: &[u8]) -> Option<([u32; 4], &[u8])> {
    let (head, rest) = record.split_first_chunk::<HEAD>()?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    Some(([word(0), word(4), word(8), word(12)], rest))
}

/// What comes over the socket. Sent with a reference to a blob, received with the blob.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Control<B> {
    /// What to run before the first task, or after the last.
    Hook { key: TaskKey, args: B },
    /// From now on `id` means this function; no later batch runs those to `forget`.
    Define { id: u32, key: TaskKey, shared: B, forget: Vec<u32> },
    /// The descriptors of a batch whose bytes are in the ring.
    Handles { batch: u32, fds: B },
}

/// Why a task has no result, as the worker tells it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Failure {
    Panicked(Panic),
    Argument(String),
    Result(String),
    Function(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(panic) => panic.fmt(f),
            Self::Argument(reason) | Self::Result(reason) | Self::Function(reason) => {
                f.write_str(reason)
            }
        }
    }
}

impl From<Failure> for TaskError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Panicked(panic) => Self::Panicked(panic),
            Failure::Argument(reason) => Self::Undecodable(reason.into()),
            Failure::Result(reason) => Self::Unencodable(reason.into()),
            Failure::Function(reason) => Self::from(Error::protocol(reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_come_back() {
        for watch in [Watch::Not, Watch::Guarded, Watch::Timed] {
            let head = TaskHead { function: 1, batch: u32::MAX, count: 3, handles: true, watch };
            assert_eq!(TaskHead::split(&head.to_bytes()), Some((head, &[][..])));
        }
        let head = ResultHead { batch: 9, count: 8, last: true, nanos: 1_600 };
        assert_eq!(ResultHead::split(&head.to_bytes()), Some((head, &[][..])));
        assert!(TaskHead::split(&[0; HEAD - 1]).is_none());
    }
}
