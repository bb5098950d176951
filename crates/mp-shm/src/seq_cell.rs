use std::{
    hint,
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering, fence},
};

use bytemuck::Pod;

use crate::{Memory, OutOfBounds, ReadMemory};

/// The size in bytes of a word.
const WORD: usize = size_of::<u64>();

/// A value of which readers always get the latest whole one, and never wait: a sequence lock with two slots.
///
/// The writer fills the slot that nobody reads and then publishes it, so a writer killed at any instruction leaves the
/// last whole value, and a stopped one delays nobody. A reader looks again only where the writer published meanwhile. One
/// writer at a time: who writes is up to the programs, by a lock if there are several. Source: `seqcount_latch_t` of the
/// Linux kernel.
///
/// Takes [`SIZE`](Self::SIZE) bytes, aligned to 8; zeroes are a valid one, holding zeroes.
///
/// # Examples
///
/// ```
/// use mp_shm::{ReadSegment, Segment, SeqCell};
/// use mp_shm::ReadMemory;
///
/// #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
/// #[repr(C)]
/// struct Price { bid: f64, ask: f64 }
///
/// let segment = Segment::create_for_readers("price", SeqCell::<Price>::SIZE)?;
/// let writer = SeqCell::<Price>::new(segment.memory(), 0)?;
/// writer.store(Price { bid: 1.0, ask: 1.5 });
///
/// // In another process:
/// let segment = ReadSegment::from_fd(segment.try_clone_fd()?)?;
/// let reader = SeqCell::<Price, ReadMemory>::new(segment.memory(), 0)?;
/// assert_eq!(reader.load().ask, 1.5);
/// # Ok::<(), mp_shm::Error>(())
/// ```
#[doc(alias = "seqlock")]
#[derive(Debug)]
pub struct SeqCell<'m, T, M = Memory> {
    /// The sequence number, and two slots of whole words: the lowest bit of the number tells which holds the value.
    memory: &'m M,
    offset: usize,
    value: PhantomData<T>,
}

impl<T, M> SeqCell<'_, T, M> {
    /// The size of a slot in bytes.
    const SLOT: usize = size_of::<T>().next_multiple_of(WORD);

    /// The bytes of memory that a cell takes.
    pub const SIZE: usize = WORD + 2 * Self::SLOT;
}

impl<'m, T: Pod, M: AsRef<ReadMemory>> SeqCell<'m, T, M> {
    /// The cell at byte `offset` of `memory`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] where it is not inside, or its address is not aligned to 8 bytes.
    pub fn new(memory: &'m M, offset: usize) -> Result<Self, OutOfBounds> {
        let end = offset.checked_add(Self::SIZE - WORD);
        let is_inside = |word| memory.as_ref().load::<AtomicU64>(word).is_some();
        if is_inside(offset) && end.is_some_and(is_inside) {
            Ok(Self { memory, offset, value: PhantomData })
        } else {
            Err(OutOfBounds)
        }
    }

    /// The latest value.
    pub fn load(&self) -> T {
        loop {
            if let Some(value) = self.try_load() {
                return value;
            }
            hint::spin_loop();
        }
    }

    /// The latest value; `None` where the writer overtook us while we copied it.
    fn try_load(&self) -> Option<T> {
        let before = self.word(self.offset);
        let mut value = T::zeroed();
        let words = (self.slot(before)..).step_by(WORD);
        for (bytes, offset) in bytemuck::bytes_of_mut(&mut value).chunks_mut(WORD).zip(words) {
            bytes.copy_from_slice(&self.word(offset).to_ne_bytes()[..bytes.len()]);
        }
        // Each word was loaded with acquire, so a word of a later value brings a later number with it.
        (self.word(self.offset) == before).then_some(value)
    }

    /// The offset of the slot that holds the value of `sequence`.
    fn slot(&self, sequence: u64) -> usize {
        self.offset + WORD + if sequence & 1 == 0 { 0 } else { Self::SLOT }
    }

    /// `new` has checked that all words of the cell are there.
    fn word(&self, offset: usize) -> u64 {
        self.memory.as_ref().load::<AtomicU64>(offset).unwrap_or(0)
    }
}

impl<T: Pod> SeqCell<'_, T> {
    /// Replaces the value.
    pub fn store(&self, value: T) {
        let Some(sequence) = self.memory.atomic_u64(self.offset) else { return };
        let next = sequence.load(Ordering::Relaxed).wrapping_add(1);
        // Whoever sees a word of this value also sees the number of the one before.
        fence(Ordering::Release);
        let words = (self.slot(next)..).step_by(WORD);
        for (bytes, offset) in bytemuck::bytes_of(&value).chunks(WORD).zip(words) {
            let mut word = [0; WORD];
            word[..bytes.len()].copy_from_slice(bytes);
            if let Some(place) = self.memory.atomic_u64(offset) {
                place.store(u64::from_ne_bytes(word), Ordering::Relaxed);
            }
        }
        sequence.store(next, Ordering::Release);
    }
}
