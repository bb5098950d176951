//! Memory that several processes share, without references to what others may write.
//!
//! ```
//! use mp_shm::Segment;
//!
//! let ours = Segment::create("greeting", 4096)?;
//! // The descriptor goes to another process: inherited, over a Unix socket, or inside a serde message.
//! let theirs = Segment::from_fd(ours.try_clone_fd()?)?;
//!
//! ours.memory().copy_in(0, b"hello")?;
//! assert_eq!(theirs.memory().read::<[u8; 5]>(0)?, *b"hello");
//! # Ok::<(), mp_shm::Error>(())
//! ```
//!
//! | type | what it is | others find it by |
//! |---|---|---|
//! | [`Segment`] | anonymous memory of a fixed size: a sealed memfd | its descriptor |
//! | [`ReadSegment`] | the same, which only its creator may write | its descriptor |
//! | [`GrowableSegment`] | a memfd that can grow | its descriptor |
//! | [`SparseSegment`] | a memfd that is read and written by calls, with holes | its descriptor |
//! | [`posix::SharedMemory`] | a POSIX object | a name |
//! | [`sysv::SharedMemory`] | a System V segment | a key or a number |
//! | `flink::LinkedMemory` (feature `shared_memory`) | a POSIX object, for the crate `shared_memory` | a file |
//!
//! Take a [`Segment`] where one process starts or knows the other; a name where they come separately; System V where the other
//! program does.
//!
//! | views of any of them | |
//! |---|---|
//! | [`Memory`], [`ReadMemory`] | bounds-checked copies of bytes and plain values, atomics, guarded copies |
//! | [`Slice`] | plain values in a row |
//! | [`SeqCell`] | a value of which readers always get the last whole one |
//! | [`Layout`] | a header that tells whether the memory is initialized, by whom, and as what |
//!
//! # What it promises
//!
//! * **No `SIGBUS`.** The memory is reserved when it is created, and a lack of it is an error with a hint. The size of a memfd
//!   is sealed and the receiver verifies it. A POSIX object cannot be sealed: where its peers are not trusted, use
//!   [guarded copies](ReadMemory::copy_out_guarded).
//! * **Nothing half-made is found.** A POSIX object gets its name when it is reserved and
//!   [initialized](posix::CreateOptions::create_new_with); a [`Layout`] tells for all others.
//! * **Owners clean up, openers never do**; a forked child is no owner, and neither is who was made one by a name that means
//!   something else by now.
//!
//! # What it does not do
//!
//! * No locks: see the crate `mp-sync`. A copy of bytes that somebody writes meanwhile is any mixture of old and new ones.
//! * No allocator, no pointers: processes map the memory at different addresses.
//! * Whoever may write memory may write anything into it. Contents that come from a process that is not trusted are to be
//!   checked in the copy. A peer may also punch holes into a memfd, which then reads as zeroes.
//! * The kernel bounds no wait for memory: more than is available is refused, but others may take it at the same time, and then
//!   the kernel kills.
//!
//! # What is left when a process is killed
//!
//! | killed by `SIGKILL` | memfd | POSIX | System V |
//! |---|---|---|---|
//! | while creating | nothing | nothing | an initialized-to-zero segment |
//! | while initializing | the header tells | nothing with `create_new_with`, else the header tells | the header tells |
//! | the owner | nothing, once nobody has it | the object | the segment, unless it was removed already |
//! | an opener | nothing changes | nothing changes | nothing changes; its attachment is gone |
//! | the last who has it, after removal | nothing | nothing | nothing |
//! | while writing | any part of the copy; a [`SeqCell`] keeps its last value | the same | the same |
//!
//! What has stayed can be [opened](posix::SharedMemory::open) and [taken over](Layout::initialize), or
//! [unlinked](posix::unlink) and [removed](sysv::remove).

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
