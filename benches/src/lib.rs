//! What the benches share: a peer process, where both run, the measurement, contenders, and ratios.
//!
//! | item | what it is |
//! |---|---|
//! | [`run()`] | the `main` of a bench: criterion with this workspace's settings, then the ratios |
//! | [`Ratio`] | what one figure is compared with |
//! | [`Peer`], [`Rounds`] | a process that works in step with this one, and its side of it |
//! | [`in_rounds`] | what criterion is given to measure by such rounds |
//! | [`Cores`] | where the two run |
//! | [`Crew`] | producers and consumers of one link, a process each |
//! | [`Forker`] | a process that forks, because this one has threads |
//! | [`Lock`] | locks in shared memory, by one trait |
//! | [`Link`] | ways to send a message to another process, by one trait |
//! | [`there_and_back`], [`wake_and_be_woken`], [`stream`] | what they cost, by [`sizes`], which criterion is told by [`moves`] |
//! | [`hand_over`] | a file lock that two processes hand over to each other |
//! | [`Words`] | atomics in shared memory, each with a cache line of its own |
//! | [`Python`] | the same work done by `multiprocessing`, measured inside Python |
//! | [`raw`] | the system calls that the crates of primitives wrap |
//! | [`system_call`], [`memcpy`], [`fork_and_wait`] | the least that those cost |

#![deny(unsafe_code)]

mod conversation;
mod cores;
mod crew;
mod forker;
mod in_rounds;
pub mod link;
pub mod lock;
mod memcpy;
mod peer;
mod python;
mod ratio;
pub mod raw;
mod relay;
mod run;
mod sizes;
mod sys;
mod words;

pub use crate::{
    conversation::{Group, ping_pong, stream, there_and_back, wake_and_be_woken, wake_up},
    cores::{Cores, pin_to, unpin},
    crew::Crew,
    forker::{Forker, use_much_memory},
    in_rounds::in_rounds,
    link::Link,
    lock::Lock,
    memcpy::memcpy,
    peer::{Peer, Rounds},
    python::Python,
    ratio::Ratio,
    relay::{FileLock, hand_over, open_file},
    run::run,
    sizes::{few_sizes, moves, sizes},
    sys::{fork_and_wait, system_call},
    words::Words,
};
