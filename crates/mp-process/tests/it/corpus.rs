//! What the fuzzer has found, replayed with the ordinary compiler.

use mp_testkit::{isolated, replay};

use crate::bytes;

#[test]
fn message() {
    isolated(|| replay("message", bytes::message));
}

#[test]
fn frames() {
    isolated(|| replay("frames", bytes::frames));
}
