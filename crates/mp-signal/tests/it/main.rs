//! Signals across threads and processes.

#![allow(clippy::unwrap_used, reason = "tests")]

mod allocations;
mod block;
mod cause;
mod disposition;
mod handler;
mod interop;
mod kill;
mod queue;
mod receivers;
mod send;
mod signalfd;
