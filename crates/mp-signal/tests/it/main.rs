//! Signals across threads and processes.

#![allow(clippy::unwrap_used, reason = "tests")]

mod block;
mod disposition;
