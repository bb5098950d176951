//! What the fuzzer has found, replayed with the ordinary compiler.

use mp_testkit::{isolated, replay};

use crate::bytes;

#[test]
fn ring() {
    isolated(|| replay("ring", bytes::ring));
}

#[test]
fn attach() {
    isolated(|| replay("attach", bytes::attach));
}
