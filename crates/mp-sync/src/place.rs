//! Where the objects of this crate lie: in words of memory that others may write.

use std::sync::atomic::AtomicU64;

use mp_os::{Error, Result};

use crate::sys::{self, Shared};

/// How many words a `T` takes.
pub(crate) const fn words_of<T>() -> usize {
    size_of::<T>().div_ceil(size_of::<AtomicU64>())
}

/// The `T` at the beginning of `words` and the words after it, of which there must be `rest` at least.
#[inline]
pub(crate) fn split<'m, T: Shared>(
    words: &'m [AtomicU64],
    rest: usize,
    object: &'static str,
) -> Result<(&'m T, &'m [AtomicU64])> {
    match sys::split(words) {
        Some((head, after)) if after.len() >= rest => Ok((head, after)),
        _ => Err(too_few(words.len(), words_of::<T>().saturating_add(rest), object)),
    }
}

#[cold]
fn too_few(words: usize, needed: usize, object: &'static str) -> Error {
    let reason = format!("{words} words of 8 bytes are too few: it takes {needed}");
    Error::invalid_input("use", object, reason)
}
