use std::sync::atomic::{AtomicU32, AtomicU64};

use mp_shm::Segment;
use serde::{Deserialize, Serialize};

/// Atomics in shared memory, zero at first. They travel to a peer in its argument.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Words(Segment);

impl Words {
    /// Processors fetch cache lines in pairs, so a line of its own has the size of two.
    const LINE: usize = 128;

    /// As many lines as fit into a page.
    ///
    /// # Panics
    ///
    /// Where a page of shared memory cannot be had.
    pub fn create() -> Self {
        Self(Segment::create("mp-bench", 4096).expect("a page of shared memory"))
    }

    /// The first 32 bits of a line.
    ///
    /// # Panics
    ///
    /// Where there is no such line.
    pub fn u32(&self, line: usize) -> &AtomicU32 {
        self.0.mapping().atomic_u32(line * Self::LINE).expect("there are 32 lines")
    }

    /// The first two 32 bits of a line.
    ///
    /// # Panics
    ///
    /// Where there is no such line.
    pub fn pair(&self, line: usize) -> &[AtomicU32; 2] {
        let words = self.0.mapping().atomics(line * Self::LINE, 2).expect("there are 32 lines");
        words.try_into().expect("two")
    }

    /// The second 64 bits of a line.
    ///
    /// # Panics
    ///
    /// Where there is no such line.
    pub fn u64(&self, line: usize) -> &AtomicU64 {
        self.0.mapping().atomic_u64(line * Self::LINE + 8).expect("there are 32 lines")
    }

    /// So many words from the beginning of a line.
    ///
    /// # Panics
    ///
    /// Where there are not so many.
    pub fn row(&self, line: usize, count: usize) -> &[AtomicU64] {
        self.0.mapping().atomics(line * Self::LINE, count).expect("there are 32 lines of 16 words")
    }

    /// The address of a line, for what is not an atomic of Rust.
    pub(crate) fn address(&self, line: usize) -> *mut u8 {
        self.0.mapping().as_ptr().wrapping_add(line * Self::LINE)
    }
}
