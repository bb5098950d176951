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

/// Two copies of a `T` in words of shared memory, and a word that says which one counts.
///
/// Used under a lock. The words are atomics, so that even a process that breaks the rules makes no more than a wrong value.
#[derive(Debug)]
pub(crate) struct Versions<'m, T> {
    /// The number of the current version; its lowest bit is which copy that is.
    current: &'m AtomicU64,
    copies: [&'m [AtomicU64]; 2],
    value: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Versions<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Versions<'_, T> {}

impl<'m, T> Versions<'m, T> {
    pub(crate) const WORDS: usize = 1 + 2 * place::words_of::<T>();

    /// The value in the first of `words`; `None` where they are too few.
    #[inline]
    pub(crate) fn attach(words: &'m [AtomicU64]) -> Option<Self> {
        let (current, copies) = words.split_first()?;
        let (first, rest) = copies.split_at_checked(place::words_of::<T>())?;
        let second = rest.get(..place::words_of::<T>())?;
        Some(Self { current, copies: [first, second], value: PhantomData })
    }
}

impl<T: Pod> Versions<'_, T> {
    /// The current version. Zeroes until there has been one.
    #[inline]
    pub(crate) fn load(&self) -> T {
        let mut value = T::zeroed();
        let current = (self.current.load(Acquire) & 1) as usize;
        let bytes = bytemuck::bytes_of_mut(&mut value).chunks_mut(WORD);
        for (bytes, word) in bytes.zip(self.copies[current]) {
            bytes.copy_from_slice(&word.load(Relaxed).to_ne_bytes()[..bytes.len()]);
        }
        value
    }

    /// Writes the next version, which counts from one store on.
    #[inline]
    pub(crate) fn store(&self, value: &T) {
        let next = self.current.load(Relaxed).wrapping_add(1);
        let bytes = bytemuck::bytes_of(value).chunks(WORD);
        for (bytes, word) in bytes.zip(self.copies[(next & 1) as usize]) {
            let mut whole = [0; WORD];
            whole[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(whole), Relaxed);
        }
        self.current.store(next, Release);
    }
}
