//! The integration tests of mp-socket.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not `#[test]` functions")]

mod activation;
mod allocations;
mod backends;
mod conformance;
mod descriptors;
mod frames;
mod internet;
mod interop;
mod kills;
mod listeners;
mod peers;
#[cfg(feature = "serde")]
mod travels;

use std::time::Duration;

/// Long enough for anything that is going to happen.
const PATIENCE: Duration = Duration::from_secs(30);
