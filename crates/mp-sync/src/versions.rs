//! A value of which there is always one whole version, whoever is killed while he writes the next.

use std::{
    marker::PhantomData,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use bytemuck::Pod;

use crate::place;

const WORD: usize = size_of::<u64>();

/// Two copies of a `T` in words of shared memory, after a word that says which of them counts.
///
/// Used under a lock. The words are atomics, so that even a process that breaks the rules makes no more than a wrong value.
#[derive(Debug)]
pub(crate) struct Versions<'m, T> {
    /// The number of the current version, whose lowest bit is which copy that is; and the copies. `WORDS` of them.
    words: &'m [AtomicU64],
    value: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Versions<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Versions<'_, T> {}

impl<'m, T> Versions<'m, T> {
    const COPY: usize = place::words_of::<T>();
    pub(crate) const WORDS: usize = 1 + 2 * Self::COPY;

    /// The value in the first of `words`; `None` where they are too few.
    #[inline]
    pub(crate) fn attach(words: &'m [AtomicU64]) -> Option<Self> {
        Some(Self { words: words.get(..Self::WORDS)?, value: PhantomData })
    }

    #[inline]
    fn current(&self) -> &'m AtomicU64 {
        &self.words[0]
    }

    /// The words of the copy for this version.
    #[inline]
    fn copy(&self, version: u64) -> &'m [AtomicU64] {
        let start = if version & 1 == 0 { 1 } else { 1 + Self::COPY };
        &self.words[start..start + Self::COPY]
    }
}

impl<T: Pod> Versions<'_, T> {
    /// The current version. Zeroes until there has been one.
    #[inline]
    pub(crate) fn load(&self) -> T {
        let mut value = T::zeroed();
        let current = self.copy(self.current().load(Acquire));
        let bytes = bytemuck::bytes_of_mut(&mut value).chunks_mut(WORD);
        for (bytes, word) in bytes.zip(current) {
            bytes.copy_from_slice(&word.load(Relaxed).to_ne_bytes()[..bytes.len()]);
        }
        value
    }

    /// Writes the next version, which counts from one store on.
    #[inline]
    pub(crate) fn store(&self, value: &T) {
        let next = self.current().load(Relaxed).wrapping_add(1);
        let bytes = bytemuck::bytes_of(value).chunks(WORD);
        for (bytes, word) in bytes.zip(self.copy(next)) {
            let mut whole = [0; WORD];
            whole[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(whole), Relaxed);
        }
        self.current().store(next, Release);
    }
}
