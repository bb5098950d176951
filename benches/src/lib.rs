//! What the benches share: a peer process, where both run, the measurement, contenders, and ratios.
//!
//! | item | what it is |
//! |---|---|
//! | [`run()`] | the `main` of a bench: criterion with this workspace's settings, then the ratios |
//! | [`Ratio`] | what one figure is compared with |
//! | [`Peer`], [`Rounds`] | a process that works in step with this one, and its side of it |
//! | [`Cores`] | where the two run |
//! | [`Crew`] | producers and consumers of one ring, a process each |
//! | [`Lock`] | locks in shared memory, by one trait |
//! | [`Link`] | ways to send a message to another process, by one trait |
//! | [`there_and_back`], [`wake_and_be_woken`], [`stream`] | what they cost |
//! | [`Words`] | atomics in shared memory, each with a cache line of its own |
//! | [`Python`] | the same work done by `multiprocessing`, measured inside Python |
//! | [`fork_and_wait`] | the least that a new process costs |

#![deny(unsafe_code)]

mod conversation;
mod cores;
mod crew;
pub mod link;
pub mod lock;
mod peer;
mod python;
mod ratio;
mod run;
mod sys;
mod words;

pub use crate::{
    conversation::{stream, there_and_back, wake_and_be_woken},
    cores::{Cores, pin_to, unpin},
    crew::Crew,
    link::Link,
    lock::Lock,
    peer::{Peer, Rounds},
    python::Python,
    ratio::Ratio,
    run::run,
    sys::fork_and_wait,
    words::Words,
};
