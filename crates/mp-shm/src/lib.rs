//! Memory that several processes share.
//!
//! ```
//! use mp_shm::Segment;
//!
//! let ours = Segment::create("greeting", 4096)?;
//! // The descriptor goes to another process: inherited, over a Unix socket, or inside a serde message.
//! let theirs = Segment::from_fd(ours.try_clone_fd()?)?;
//!
//! ours.mapping().copy_in(0, b"hello")?;
//! let mut text = [0; 5];
//! theirs.mapping().copy_out(0, &mut text)?;
//! assert_eq!(&text, b"hello");
//! # Ok::<(), mp_shm::Error>(())
//! ```
//!
//! | type | what it is |
//! |---|---|
//! | [`Segment`] | anonymous memory of a fixed size, reserved and mapped, passed on as a file descriptor |
//! | [`SparseSegment`] | the same without a mapping: pages appear when written and can be given back |

#![deny(unsafe_code)]

#[cfg(feature = "shared_memory")]
pub mod flink;
mod growable;
mod layout;
mod memfd;
pub mod posix;
mod read_segment;
mod segment;
mod seq_cell;
#[cfg(feature = "serde")]
mod serde;
mod sparse;
mod sys;
pub mod sysv;
mod watch;

pub use crate::{
    growable::GrowableSegment,
    layout::{Layout, LayoutError},
    read_segment::ReadSegment,
    segment::Segment,
    seq_cell::SeqCell,
    sparse::SparseSegment,
};
pub use mp_mmap::{
    Advice, Atomic, GuardedError, Mapping, Memory, OutOfBounds, Part, ReadMapping, ReadMemory,
    Slice,
};
pub use mp_os::{Error, ObjectName, Result, TimeoutError};
