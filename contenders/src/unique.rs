use std::{
    process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// A name that nobody else has.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("mp-contender-{}-{}", process::id(), NEXT.fetch_add(1, Relaxed))
}
