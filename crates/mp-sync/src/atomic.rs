//! The atomics of the lock and the doorbell, whose sources `tests/models` compiles with others in their place.

#[cfg(target_arch = "x86_64")]
pub(crate) use std::sync::atomic::compiler_fence;
pub(crate) use std::sync::atomic::{AtomicU32, Ordering, fence};
