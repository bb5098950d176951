//! Access to bytes that other processes may write.
//!
//! # Safety
//!
//! The bytes are reached through raw pointers only: a copy moves them to or from private memory, an atomic is the one
//! kind of reference that tolerates other writers. Each copy ends with a compiler fence, so that the compiler cannot
//! read the shared bytes a second time in place of the private copy: what was validated in the copy stays as it was.
//! `copy_out` of bytes that are being written gives any mixture of old and new ones; every mixture is a valid `[u8]`.

#![allow(unsafe_code, reason = "this type owns access to raw memory")]

use std::{
    error, fmt, io,
    marker::PhantomData,
    ops::Deref,
    ptr, slice,
    sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence},
};

use bytemuck::{AnyBitPattern, NoUninit};

use crate::{Atomic, Error};

/// The range is not inside the memory, or reaches beyond its end. Nothing was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfBounds;

impl fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the range reaches beyond the end of the memory")
    }
}

impl error::Error for OutOfBounds {}

impl From<OutOfBounds> for io::Error {
    fn from(error: OutOfBounds) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

impl From<OutOfBounds> for Error {
    fn from(error: OutOfBounds) -> Self {
        Self::invalid_input("access", "mapped memory", error)
    }
}

/// Bytes that others may write and that we may only read: the part of [`Memory`] that a read-only mapping has too.
///
/// It is borrowed from whoever mapped the memory, which therefore stays mapped.
///
/// # Examples
///
/// ```
/// use mp_mmap::{Mapping, ReadMemory};
///
/// fn sum(memory: &ReadMemory) -> u64 {
///     (0..memory.len() / 8).map_while(|index| memory.read::<u64>(8 * index).ok()).sum()
/// }
///
/// let memory = Mapping::anonymous(4096)?;
/// memory.write(8, 40_u64)?;
/// memory.write(80, 2_u64)?;
/// assert_eq!(sum(&memory), 42);
/// # Ok::<(), mp_mmap::Error>(())
/// ```
#[derive(Debug)]
pub struct ReadMemory {
    ptr: *mut u8,
    len: usize,
}

// SAFETY: the pointer is to memory that any thread may access, in the ways of this module.
unsafe impl Send for ReadMemory {}

// SAFETY: as above.
unsafe impl Sync for ReadMemory {}

impl ReadMemory {
    /// Memory that somebody else mapped, for crates that map it by other means than `mmap(2)`.
    ///
    /// # Safety
    ///
    /// * `len` bytes from `ptr`, at most `isize::MAX`, are mapped readable for as long as the result lives.
    /// * While it lives, nothing in this process forms a reference to them other than to an atomic.
    #[inline]
    pub const unsafe fn from_raw_parts(ptr: *mut u8, len: usize) -> Self {
        Self { ptr, len }
    }

    /// The length in bytes.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the length is zero.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The address of the first byte, which others may be writing.
    #[inline]
    pub const fn as_ptr(&self) -> *const u8 {
        self.ptr
    }

    /// The address of `len` bytes from `offset`.
    #[inline]
    pub(crate) fn at(&self, offset: usize, len: usize) -> Result<*mut u8, OutOfBounds> {
        if offset <= self.len && len <= self.len - offset {
            Ok(self.ptr.wrapping_add(offset))
        } else {
            Err(OutOfBounds)
        }
    }

    /// Copies the bytes from `offset` into `bytes`.
    ///
    /// Bytes that another thread or process is writing come out as any mixture of old and new ones.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] where the memory ends before `bytes` is full.
    #[inline]
    pub fn copy_out(&self, offset: usize, bytes: &mut [u8]) -> Result<(), OutOfBounds> {
        let from = self.at(offset, bytes.len())?;
        // SAFETY: `at` checked the source; `bytes` is private to us, so they do not overlap.
        unsafe { ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
        compiler_fence(Ordering::SeqCst);
        Ok(())
    }

    /// Appends `len` bytes from `offset` to `bytes`, which need not be zeroed first.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] where the memory ends before; `bytes` is unchanged then.
    #[inline]
    pub fn copy_out_vec(
        &self,
        offset: usize,
        len: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), OutOfBounds> {
        let from = self.at(offset, len)?;
        bytes.reserve(len);
        let to = bytes.spare_capacity_mut().as_mut_ptr().cast();
        // SAFETY: `at` checked the source; the target is the spare capacity of a vector, at least `len` bytes.
        unsafe { ptr::copy_nonoverlapping(from, to, len) };
        compiler_fence(Ordering::SeqCst);
        // SAFETY: the copy has initialized `len` bytes of the capacity beyond the old length.
        unsafe { bytes.set_len(bytes.len() + len) };
        Ok(())
    }

    /// A copy of the value at `offset`, which need not be aligned.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] where it is not inside the memory.
    #[inline]
    pub fn read<T: AnyBitPattern>(&self, offset: usize) -> Result<T, OutOfBounds> {
        let at = self.at(offset, size_of::<T>())?.cast::<T>();
        // SAFETY: `at` checked the bounds, and any bytes are a valid `T`.
        let value = unsafe { at.read_unaligned() };
        compiler_fence(Ordering::SeqCst);
        Ok(value)
    }

    /// What the atomic at `offset` holds, with [`Ordering::Acquire`]; works in memory that may only be read.
    ///
    /// `None` where it is not aligned to its size or not inside the memory.
    #[inline]
    pub fn load<A: Atomic>(&self, offset: usize) -> Option<A::Value> {
        self.atomic_ptr::<A>(offset, 1).map(|at| {
            // SAFETY: `atomic_ptr` checked bounds and alignment. A relaxed load of at most 8 bytes is a plain load, which
            // read-only pages permit too.
            let value = unsafe { &*at }.load(Ordering::Relaxed);
            std::sync::atomic::fence(Ordering::Acquire);
            value
        })
    }

    /// The address of `count` atomics at `offset`, if they are inside and aligned.
    #[inline]
    fn atomic_ptr<A: Atomic>(&self, offset: usize, count: usize) -> Option<*mut A> {
        let at = self.at(offset, size_of::<A>().checked_mul(count)?).ok()?.cast::<A>();
        at.is_aligned().then_some(at)
    }

    /// The `len` bytes from `offset` as memory of their own.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] where they are not inside.
    #[inline]
    pub fn part(&self, offset: usize, len: usize) -> Result<Part<'_, ReadMemory>, OutOfBounds> {
        let memory = Self { ptr: self.at(offset, len)?, len };
        Ok(Part { memory, whole: PhantomData })
    }
}

/// Bytes that we and others may write.
///
/// It is borrowed from whoever mapped the memory, such as a [`Mapping`](crate::Mapping), which therefore stays mapped.
/// Everything that reads is a method of [`ReadMemory`], which this dereferences to.
///
/// # Examples
///
/// ```
/// use mp_mmap::{Memory, OutOfBounds};
///
/// fn greet(memory: &Memory) -> Result<(), OutOfBounds> {
///     memory.copy_in(0, b"hello")
/// }
/// ```
#[derive(Debug)]
pub struct Memory(ReadMemory);

impl Memory {
    /// Memory that somebody else mapped, for crates that map it by other means than `mmap(2)`.
    ///
    /// # Safety
    ///
    /// * `len` bytes from `ptr`, at most `isize::MAX`, are mapped readable and writable for as long as the result lives.
    /// * While it lives, nothing in this process forms a reference to them other than to an atomic.
    #[inline]
    pub const unsafe fn from_raw_parts(ptr: *mut u8, len: usize) -> Self {
        // SAFETY: the caller's promise is the stronger one.
        Self(unsafe { ReadMemory::from_raw_parts(ptr, len) })
    }

    /// The address of the first byte, which others may be reading and writing.
    #[inline]
    pub const fn as_ptr(&self) -> *mut u8 {
        self.0.ptr
    }

    /// Copies `bytes` to `offset`.
    ///
    /// Whoever reads them meanwhile sees any mixture of old and new bytes.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] where they do not fit; nothing was copied then.
    #[inline]
    pub fn copy_in(&self, offset: usize, bytes: &[u8]) -> Result<(), OutOfBounds> {
        let to = self.at(offset, bytes.len())?;
        // SAFETY: `at` checked the target; no reference to it exists, so `bytes` does not overlap it.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        compiler_fence(Ordering::SeqCst);
        Ok(())
    }

    /// Copies `value` to `offset`, which need not be aligned.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] where it does not fit; nothing was copied then.
    #[inline]
    pub fn write<T: NoUninit>(&self, offset: usize, value: T) -> Result<(), OutOfBounds> {
        let at = self.at(offset, size_of::<T>())?.cast::<T>();
        // SAFETY: `at` checked the bounds.
        unsafe { at.write_unaligned(value) };
        compiler_fence(Ordering::SeqCst);
        Ok(())
    }

    /// The atomic at `offset`, native endian; `None` where it is not aligned to its size or not inside the memory.
    ///
    /// Give each atomic a place of its own: mixing it with copies of the same bytes has no defined outcome.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_mmap::Mapping;
    /// use std::sync::atomic::{AtomicU16, Ordering};
    ///
    /// let shared = Mapping::anonymous(4096)?;
    /// let port = shared.atomic::<AtomicU16>(2).expect("aligned");
    /// port.store(8080, Ordering::Release);
    /// assert!(shared.atomic::<AtomicU16>(3).is_none(), "not aligned");
    /// # Ok::<(), mp_mmap::Error>(())
    /// ```
    #[inline]
    pub fn atomic<A: Atomic>(&self, offset: usize) -> Option<&A> {
        // SAFETY: `atomic_ptr` checked bounds and alignment; the memory outlives the borrow of `self`; `Atomic` promises
        // that any bytes are valid and that others may write them meanwhile.
        self.atomic_ptr::<A>(offset, 1).map(|at| unsafe { &*at })
    }

    /// `count` atomics at `offset`; `None` where they are not aligned to their size or not inside the memory.
    #[inline]
    pub fn atomics<A: Atomic>(&self, offset: usize, count: usize) -> Option<&[A]> {
        // SAFETY: as in `atomic`, and `atomic_ptr` checked all of `count`.
        self.atomic_ptr::<A>(offset, count).map(|at| unsafe { slice::from_raw_parts(at, count) })
    }

    /// [`atomic`](Self::atomic) of 32 bits.
    #[inline]
    pub fn atomic_u32(&self, offset: usize) -> Option<&AtomicU32> {
        self.atomic(offset)
    }

    /// [`atomic`](Self::atomic) of 64 bits.
    #[inline]
    pub fn atomic_u64(&self, offset: usize) -> Option<&AtomicU64> {
        self.atomic(offset)
    }

    /// The `len` bytes from `offset` as memory of their own.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] where they are not inside.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_mmap::Mapping;
    ///
    /// let shared = Mapping::anonymous(4096)?;
    /// let second = shared.part(1024, 1024)?;
    /// second.copy_in(0, b"here")?;
    /// assert_eq!(shared.read::<[u8; 4]>(1024)?, *b"here");
    /// # Ok::<(), mp_mmap::Error>(())
    /// ```
    #[inline]
    pub fn part(&self, offset: usize, len: usize) -> Result<Part<'_>, OutOfBounds> {
        let memory = Self(ReadMemory { ptr: self.at(offset, len)?, len });
        Ok(Part { memory, whole: PhantomData })
    }
}

impl Deref for Memory {
    type Target = ReadMemory;

    #[inline]
    fn deref(&self) -> &ReadMemory {
        &self.0
    }
}

/// A part of some memory, borrowed from the whole.
///
/// # Examples
///
/// ```
/// let memory = mp_mmap::Mapping::anonymous(4096)?;
/// let part = memory.part(1024, 16)?;
/// part.copy_in(0, b"in the middle")?;
/// assert_eq!(memory.read::<[u8; 13]>(1024)?, *b"in the middle");
/// assert!(part.copy_in(10, b"too long").is_err(), "it ends after 16 bytes");
/// # Ok::<(), mp_mmap::Error>(())
/// ```
#[derive(Debug)]
pub struct Part<'m, M = Memory> {
    memory: M,
    whole: PhantomData<&'m M>,
}

impl<M> Deref for Part<'_, M> {
    type Target = M;

    #[inline]
    fn deref(&self) -> &M {
        &self.memory
    }
}

/// So that what only reads takes either.
impl AsRef<Self> for ReadMemory {
    #[inline]
    fn as_ref(&self) -> &Self {
        self
    }
}

impl AsRef<ReadMemory> for Memory {
    #[inline]
    fn as_ref(&self) -> &ReadMemory {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `test` on 64 bytes that nothing else refers to.
    fn with_memory(test: impl FnOnce(&Memory)) {
        let mut words = vec![0_u64; 8];
        // SAFETY: the vector outlives the memory and is used by nobody else until then.
        test(&unsafe { Memory::from_raw_parts(words.as_mut_ptr().cast(), 64) });
    }

    #[test]
    fn copies_stay_inside() {
        with_memory(|memory| {
            memory.copy_in(60, b"tail").unwrap();
            assert_eq!(memory.copy_in(61, b"tail"), Err(OutOfBounds));
            assert_eq!(memory.copy_in(usize::MAX, b"x"), Err(OutOfBounds));
            assert_eq!(memory.copy_in(64, b""), Ok(()));
            assert_eq!(memory.copy_in(65, b""), Err(OutOfBounds));

            let mut four = [0; 4];
            memory.copy_out(60, &mut four).unwrap();
            assert_eq!(&four, b"tail");
            assert_eq!(memory.copy_out(61, &mut four), Err(OutOfBounds));
        });
    }

    #[test]
    fn a_vector_is_appended_to() {
        with_memory(|memory| {
            memory.copy_in(0, b"world").unwrap();
            let mut bytes = b"hello ".to_vec();
            memory.copy_out_vec(0, 5, &mut bytes).unwrap();
            assert_eq!(memory.copy_out_vec(1, 64, &mut bytes), Err(OutOfBounds));
            assert_eq!(memory.copy_out_vec(1, usize::MAX, &mut bytes), Err(OutOfBounds));
            assert_eq!(bytes, b"hello world");
        });
    }

    #[test]
    fn atomics_are_aligned_and_inside() {
        with_memory(|memory| {
            assert!(memory.atomic_u32(60).is_some());
            assert!(memory.atomic_u32(61).is_none() && memory.atomic_u32(64).is_none());
            assert!(memory.atomic_u64(56).is_some());
            assert!(memory.atomic_u64(60).is_none() && memory.atomic_u64(usize::MAX - 7).is_none());
            memory.atomic_u32(8).unwrap().store(7, Ordering::Relaxed);
            let mut bytes = [0; 4];
            memory.copy_out(8, &mut bytes).unwrap();
            assert_eq!(u32::from_ne_bytes(bytes), 7);
        });
    }
}
