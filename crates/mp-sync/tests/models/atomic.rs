//! Words that loom watches, and that a dead thread does not change any more.

pub(crate) use std::sync::atomic::Ordering;
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

pub(crate) use loom::sync::atomic::fence;

use crate::robust;

/// A word as loom knows it. It is shared with the kernel, which looks at it when its holder is dead.
pub(crate) type Word = Arc<loom::sync::atomic::AtomicU32>;

/// `std::sync::atomic::AtomicU32`, as far as the library needs it. Loom makes its words at run time only.
pub(crate) struct AtomicU32 {
    word: OnceLock<Word>,
    initial: u32,
}

impl AtomicU32 {
    pub(crate) const fn new(initial: u32) -> Self {
        Self { word: OnceLock::new(), initial }
    }

    pub(crate) fn word(&self) -> &Word {
        self.word.get_or_init(|| Arc::new(loom::sync::atomic::AtomicU32::new(self.initial)))
    }

    pub(crate) fn load(&self, order: Ordering) -> u32 {
        if robust::step() { self.word().load(order) } else { 0 }
    }

    /// An exchange, to loom: it would let a store that comes after an exchange by somebody else count as one before it.
    pub(crate) fn store(&self, value: u32, order: Ordering) {
        if robust::step() {
            self.word().swap(value, order);
        }
    }

    /// Succeeds for the dead, so that they come to their end.
    pub(crate) fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        if robust::step() {
            self.word().compare_exchange(current, new, success, failure)
        } else {
            Ok(current)
        }
    }

    pub(crate) fn fetch_or(&self, value: u32, order: Ordering) -> u32 {
        if robust::step() { self.word().fetch_or(value, order) } else { 0 }
    }

    pub(crate) fn fetch_update(
        &self,
        set: Ordering,
        fetch: Ordering,
        update: impl FnMut(u32) -> Option<u32>,
    ) -> Result<u32, u32> {
        if robust::step() { self.word().fetch_update(set, fetch, update) } else { Ok(0) }
    }
}

impl fmt::Debug for AtomicU32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load(Ordering::Relaxed).fmt(f)
    }
}
