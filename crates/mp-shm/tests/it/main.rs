//! One binary for all integration tests of this crate.

mod memfd;
#[cfg(feature = "serde")]
mod transfer;
