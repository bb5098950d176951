use std::marker::PhantomData;

use bytemuck::Pod;

use crate::{Memory, OutOfBounds, ReadMemory};

/// Plain values in a row, read and written as copies.
///
/// `Slice<T, ReadMemory>` only reads. A value that another process is writing comes out as any mixture of old and new bytes. The place need not be aligned.
///
/// # Examples
///
/// ```
/// use mp_mmap::{Mapping, Slice};
///
/// #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
/// #[repr(C)]
/// struct Point { x: f32, y: f32 }
///
/// let memory = Mapping::anonymous(4096)?;
/// let points = Slice::<Point>::new(&memory, 16, 100)?;
/// points.set(99, Point { x: 1.0, y: 2.0 })?;
/// assert_eq!(points.at(99).unwrap().y, 2.0);
/// assert!(points.at(100).is_none());
/// assert_eq!(points.iter().map(|point| point.x).sum::<f32>(), 1.0);
/// # Ok::<(), mp_mmap::Error>(())
/// ```
#[derive(Debug)]
pub struct Slice<'m, T, M = Memory> {
    memory: &'m M,
    /// Of the first value, in bytes.
    offset: usize,
    len: usize,
    values: PhantomData<T>,
}

impl<'m, T: Pod, M: AsRef<ReadMemory>> Slice<'m, T, M> {
    /// The `len` values from byte `offset` of `memory`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] where they are not inside.
    pub fn new(memory: &'m M, offset: usize, len: usize) -> Result<Self, OutOfBounds> {
        let bytes = size_of::<T>().checked_mul(len).ok_or(OutOfBounds)?;
        memory.as_ref().at(offset, bytes)?;
        Ok(Self { memory, offset, len, values: PhantomData })
    }

    /// The number of values.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A copy of the value at `index`; `None` beyond the end.
    #[inline]
    pub fn at(&self, index: usize) -> Option<T> {
        let offset = self.place(index, 1).ok()?;
        self.memory.as_ref().read(offset).ok()
    }

    /// Copies of all values, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        (0..self.len).map_while(|index| self.at(index))
    }

    /// Copies the values from `index` into `values`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] where the slice ends before `values` is full.
    pub fn copy_out(&self, index: usize, values: &mut [T]) -> Result<(), OutOfBounds> {
        let offset = self.place(index, values.len())?;
        self.memory.as_ref().copy_out(offset, bytemuck::cast_slice_mut(values))
    }

    /// The offset of `count` values from `index`, which must be inside.
    #[inline]
    fn place(&self, index: usize, count: usize) -> Result<usize, OutOfBounds> {
        if index <= self.len && count <= self.len - index {
            // Does not overflow: `new` checked the offset of the end.
            Ok(self.offset + index * size_of::<T>())
        } else {
            Err(OutOfBounds)
        }
    }
}

impl<T: Pod> Slice<'_, T> {
    /// Copies `value` to `index`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] beyond the end.
    #[inline]
    pub fn set(&self, index: usize, value: T) -> Result<(), OutOfBounds> {
        self.memory.write(self.place(index, 1)?, value)
    }

    /// Copies `values` to `index` and the following ones.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`] where they do not fit; nothing was copied then.
    pub fn copy_in(&self, index: usize, values: &[T]) -> Result<(), OutOfBounds> {
        self.memory.copy_in(self.place(index, values.len())?, bytemuck::cast_slice(values))
    }
}
