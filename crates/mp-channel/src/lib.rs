//! A bounded queue of byte records in shared memory: any number of producers and consumers, any of which may be killed.
//!
//! ```
//! use mp_channel::Ring;
//!
//! let ring = Ring::builder().items(100).create()?;
//! ring.push(b"a record").unwrap();
//! let mut record = Vec::new();
//! ring.pop(&mut record).unwrap();
//! assert_eq!(record, b"a record");
//! # Ok::<(), mp_channel::Error>(())
//! ```
#![deny(unsafe_code)]

mod batch;
mod builder;
mod error;
mod inner;
mod layout;
mod outside;
mod pace;
mod pop;
mod position;
mod push;
mod record;
mod ring;
#[cfg(feature = "serde")]
mod serde;
mod sys;

pub use mp_os::{Deadline, Error, Result};
pub use mp_shm::{Segment, SparseSegment};

pub use crate::{
    batch::{Batch, BatchIter},
    builder::RingBuilder,
    error::{
        PopError, PopTimeoutError, PushError, PushManyError, PushTimeoutError, TryPopError,
        TryPushError,
    },
    ring::Ring,
};
