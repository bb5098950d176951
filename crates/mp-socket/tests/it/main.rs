//! The integration tests of mp-socket.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not `#[test]` functions")]

mod seqpacket;
