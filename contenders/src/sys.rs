//! The memory of a segment of `shared_memory`, which is a pointer.
//!
//! # Safety
//!
//! A [`Segment`] is mapped, writable and aligned to a page for as long as it exists. Its first lines hold atomics only, and
//! nothing else is ever read or written there; behind them are bytes, whose readers and writers take turns as the atomics
//! tell them. No reference to those bytes is formed.

#![allow(unsafe_code, reason = "shared_memory has no safe access")]

use std::{
    fmt::{self, Debug, Formatter},
    ptr,
    sync::atomic::AtomicU64,
};

use shared_memory::{Shmem, ShmemConf};

/// A segment: some words with a line of its own each, and bytes.
pub(crate) struct Segment(Shmem);

impl Segment {
    /// Processors fetch cache lines in pairs, so a line of its own has the size of two.
    const LINE: usize = 128;
    const WORDS: usize = 2;
    const BYTES: usize = Self::LINE * Self::WORDS;

    /// A new segment with room for `len` bytes, all zero. Its name is gone with this value.
    pub(crate) fn create(name: &str, len: usize) -> Self {
        let conf = ShmemConf::new().os_id(name).size(Self::BYTES + len);
        Self(conf.create().expect("a segment of a new name"))
    }

    /// The segment that another process has created.
    pub(crate) fn open(name: &str) -> Self {
        let segment = ShmemConf::new().os_id(name).open().expect("a segment that is there");
        assert!(segment.len() >= Self::BYTES, "a segment that `create` has made");
        Self(segment)
    }

    pub(crate) fn word(&self, line: usize) -> &AtomicU64 {
        assert!(line < Self::WORDS);
        let word = self.0.as_ptr().wrapping_add(line * Self::LINE).cast::<u64>();
        // SAFETY: the word is mapped as long as `self` is borrowed, aligned, and never accessed but as an atomic.
        unsafe { AtomicU64::from_ptr(word) }
    }

    /// Where `len` bytes are.
    fn bytes(&self, len: usize) -> *mut u8 {
        assert!(len <= self.0.len() - Self::BYTES, "a message that fits");
        self.0.as_ptr().wrapping_add(Self::BYTES)
    }

    /// Copies `message` in, for which it must be this side's turn.
    pub(crate) fn write(&self, message: &[u8]) {
        let to = self.bytes(message.len());
        // SAFETY: there is room for the message, which is memory of this process only, and the other side waits.
        unsafe { ptr::copy_nonoverlapping(message.as_ptr(), to, message.len()) };
    }

    /// Copies the message out, for which it must be this side's turn.
    pub(crate) fn read(&self, message: &mut [u8]) {
        let from = self.bytes(message.len());
        // SAFETY: there are so many bytes, `message` is memory of this process only, and the other side waits.
        unsafe { ptr::copy_nonoverlapping(from, message.as_mut_ptr(), message.len()) };
    }
}

impl Debug for Segment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Segment").field(&self.0.get_os_id()).finish()
    }
}
