//! What the fuzzer has found, replayed with the ordinary compiler.

use mp_testkit::{isolated, replay};

use crate::bytes;

#[test]
fn list() {
    isolated(|| replay("list", bytes::list));
}

#[cfg(feature = "fuzzing")]
#[test]
fn pool() {
    isolated(|| {
        mp_core::fuzz_pool(&[]);
        // The worker that it keeps, and the thread that watches it.
        mp_testkit::accept_existing();
        replay("pool", mp_core::fuzz_pool);
    });
}
