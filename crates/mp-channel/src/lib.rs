//! A bounded queue of byte records in shared memory: any number of producers and consumers, any of which may be killed.
//!
//! ```
//! use mp_channel::{PopError, Ring};
//!
//! let ring = Ring::builder().items(100).create()?;
//! ring.push(b"a record")?;
//! ring.push_parts(&[b"header", b" and payload"])?;
//! ring.close();
//!
//! let mut record = Vec::new(); // its memory is used again
//! ring.pop(&mut record)?;
//! assert_eq!(record, b"a record");
//! ring.pop(&mut record)?;
//! assert_eq!(record, b"header and payload");
//! assert!(matches!(ring.pop(&mut record), Err(PopError::Closed)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | type | what it is |
//! |---|---|
//! | [`Ring`], [`RingBuilder`] | the queue; clones share it, and with the feature `serde` it travels to other processes |
//! | [`Batch`] | records that were taken out together |
//! | [`PushError`], [`TryPushError`], [`PushTimeoutError`], [`PushManyError`] | why a record did not go in |
//! | [`PopError`], [`TryPopError`], [`PopTimeoutError`] | why none came out |
//! | [`select`], [`Source`] | wait for several rings, and whatever else has a descriptor, at once |
//! | [`Lease`], [`Leased`] | a record that comes back unless somebody says that it is done |
//! | [`RingStats`] | what has gone through, and who was killed on the way |
//! | [`RingParts`], [`Event`], [`LeaseParts`] | what a ring is made of |
//!
//! **When somebody is killed.** A producer: the record is in the ring if the push had committed, and has left no trace if
//! not. A consumer: the record is still there for others if the pop had not committed, and is lost with it if it had,
//! unless it was taken on [lease](Ring::lease). Either one while it waits or has just been woken: another is woken in its place, at
//! the latest after 25 ms. Pollers of the descriptor: they are told before a record is committed, and need no repair. A process that is *stopped* in the middle of a push holds up other producers, and in the middle
//! of a pop other consumers: nothing is ever taken from the living, and every wait has a deadline form.
//!
//! **How large.** A ring has a bound in items, which is exact, and a length in bytes, of which each record takes its own
//! length rounded up to 8 and 8 more. Records longer than a quarter of it lie in a sparse file beside the ring: up to 16 MiB
//! of them in memory that is used again and again, a longer one alone.
//!
//! **Who gets a record.** Whoever finds it first: consumers that are awake have no order among them, those that sleep are woken in
//! turn. So with records that take a microsecond or more each of many consumers gets a share; a stream that one consumer can keep up
//! with goes mostly to one that is awake already. The same holds for room and producers.
//!
//! **What can be polled.** Records, by the ring's [descriptor](Ring::arm). Room cannot: it would take a second descriptor for
//! each ring, and with it every consumer a system call for each poller of room. Who must not block has the `try_` forms and the
//! deadlines.
//!
//! What this crate does *not* do: types (`mp_core::Queue<T>` does), priorities, use across PID namespaces, where thread numbers differ and which [`Ring::attach`] refuses. Differences from
//! `std::sync::mpsc`: between processes; any number of consumers; nobody is told that the last peer has gone, close it.
//! Differences from Python's `multiprocessing.Queue`: a record is visible when `push` returns, there is no feeder thread.

#![deny(unsafe_code)]

mod batch;
mod builder;
mod error;
mod event;
mod inner;
mod layout;
mod lease;
mod newest;
mod outside;
mod pace;
mod parts;
mod pieces;
mod poll;
mod pop;
mod position;
mod push;
mod record;
mod records;
mod ring;
#[cfg(feature = "serde")]
mod serde;
mod stats;
mod sys;
mod window;

pub use mp_os::{
    Deadline, Error, Result, TimeoutError, TryError,
    poll::{Source, select},
};
pub use mp_shm::{Segment, SparseSegment};

pub use crate::{
    batch::{Batch, BatchIter},
    builder::RingBuilder,
    error::{
        PopError, PopTimeoutError, PushError, PushManyError, PushTimeoutError, TryPopError,
        TryPushError,
    },
    event::Event,
    lease::{Lease, LeaseParts, Leased},
    parts::RingParts,
    ring::Ring,
    stats::RingStats,
};
