//! One binary for all integration tests of this crate.

#![allow(clippy::unwrap_used, reason = "tests")]

mod conformance;
#[cfg(feature = "shared_memory")]
mod flink;
mod layout;
mod limits;
mod memfd;
mod peers;
mod posix;
mod seq_cell;
mod sysv;
#[cfg(feature = "serde")]
mod transfer;
