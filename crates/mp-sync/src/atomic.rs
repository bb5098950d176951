//! The atomics of the lock and the doorbell, whose sources `tests/models` compiles with others in their place.

pub(crate) use std::sync::atomic::{AtomicU32, Ordering};
