//! One binary for all integration tests of this crate.

#![allow(clippy::unwrap_used, reason = "a test that cannot be carried out has failed")]

mod accounting;
mod bytes;
mod conformance;
mod corpus;
mod fairness;
mod hostile;
mod kill;
mod lease;
mod limits;
mod model;
mod pieces;
mod poll;
mod storm;
mod sweep;
#[cfg(feature = "serde")]
mod transfer;
