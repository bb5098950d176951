//! Locks in shared memory.

mod leaf;
mod mutex;
mod plain;
mod sys;

use crate::Words;

pub use self::{
    leaf::Leaf,
    mutex::Robust,
    plain::Plain,
    sys::{Pthread, PthreadRobust, Semaphore},
};

/// A lock in the first line of some [`Words`].
pub trait Lock: Sized {
    /// What criterion calls it.
    const NAME: &'static str;

    /// Makes a free lock. Once, before anybody attaches to it.
    fn create(words: &Words);

    /// The lock that is in `words`.
    fn attach(words: &Words) -> Self;

    /// Runs `section` while this thread holds the lock.
    fn with<R>(&self, section: impl FnOnce() -> R) -> R;
}
