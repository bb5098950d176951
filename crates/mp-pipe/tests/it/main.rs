//! The integration tests of mp-pipe.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not `#[test]` functions")]
