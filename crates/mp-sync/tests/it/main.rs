//! One binary for all integration tests of this crate.

#![allow(clippy::unwrap_used, reason = "a test that cannot be carried out has failed")]

mod doorbell;
mod fork;
mod lock;
mod shared;
mod sweep;
