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

mod memfd;
mod segment;
#[cfg(feature = "serde")]
mod serde;
mod sparse;

pub use crate::{segment::Segment, sparse::SparseSegment};
pub use mp_mmap::{Mapping, Memory, OutOfBounds, ReadMemory};
pub use mp_os::{Error, Result};
