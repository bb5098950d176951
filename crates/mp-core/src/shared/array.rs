use std::{fmt, marker::PhantomData, ops::Range};

use mp_shm::Slice;
use mp_sync::{Deadline, LockError, Mutex, MutexGuard, Pod, TimeoutError, TryError};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Result, sync::Object};

/// Where the values begin, in words: apart from the lock, and aligned for all types.
const VALUES: usize = 24;

/// How many bytes at a time [`Array::update`] works on: less than the innermost cache.
const BLOCK: usize = 16 << 10;

/// Plain values in a row that processes share, and a lock for those who want one.
///
/// A handle: cloning it or sending it in the arguments of a [`Process`](crate::Process) gives another handle of the same
/// memory, whatever its size: nothing is copied. Values are read and written as copies, because others may write at the same
/// time: no reference to shared memory is ever formed.
///
/// Reading and writing takes no lock. Take [`lock`](Self::lock) around what belongs together; a value that somebody writes
/// meanwhile without it may be any mixture of old and new bytes, except for integers and floats of up to 8 bytes on the
/// platforms of this crate, which are aligned. The killed leave what they had written by then.
///
/// # Examples
///
/// ```
/// use mp_core::{Array, Process};
///
/// let numbers = Array::from_slice(&[1.0, 2.0, 3.0])?;
/// let double = |numbers: Array<f64>| numbers.update(.., |number| *number *= 2.0).unwrap();
/// Process::spawn(double, numbers.clone())?.join()?;
/// assert_eq!(numbers.to_vec(), [2.0, 4.0, 6.0]);
/// # Ok::<(), mp_core::Error>(())
/// ```
pub struct Array<T> {
    object: Object,
    /// Of this handle, and not in the memory, where a peer may write another one.
    len: usize,
    values: PhantomData<fn(T) -> T>,
}

impl<T> Array<T> {
    const KIND: &[u8; 8] = b"mp array";

    /// The number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn mutex(&self) -> Result<Mutex<'_, ()>, mp_os::Error> {
        Mutex::attach(self.object.words())
    }
}

impl<T: Pod> Array<T> {
    /// How many words of memory so many values take.
    fn words(len: usize) -> usize {
        let bytes = size_of::<T>().saturating_mul(len);
        bytes.div_ceil(size_of::<u64>()).saturating_add(VALUES)
    }

    /// `len` zeroes.
    ///
    /// # Errors
    ///
    /// An error with a hint where there is not so much memory, or descriptors are short.
    pub fn new(len: usize) -> Result<Self> {
        let object = Object::create(Self::KIND, Self::words(len), len as u64)?;
        Ok(Self { object, len, values: PhantomData })
    }

    /// A copy of `values`.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn from_slice(values: &[T]) -> Result<Self> {
        let array = Self::new(values.len())?;
        array.write(0, values)?;
        Ok(array)
    }

    /// The value at `index`; `None` beyond the end.
    pub fn at(&self, index: usize) -> Option<T> {
        self.view().ok()?.at(index)
    }

    /// Makes the value at `index` `value`.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) beyond the end.
    pub fn set(&self, index: usize, value: T) -> Result<()> {
        Ok(self.view()?.set(index, value).map_err(mp_os::Error::from)?)
    }

    /// Copies the values from `index` on into `values`.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where there are not so many.
    pub fn read(&self, index: usize, values: &mut [T]) -> Result<()> {
        Ok(self.view()?.copy_out(index, values).map_err(mp_os::Error::from)?)
    }

    /// Copies `values` to `index` and the following ones.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where they do not fit; nothing was copied then.
    pub fn write(&self, index: usize, values: &[T]) -> Result<()> {
        Ok(self.view()?.copy_in(index, values).map_err(mp_os::Error::from)?)
    }

    /// Copies of all values.
    pub fn to_vec(&self) -> Vec<T> {
        let mut values = vec![T::zeroed(); self.len()];
        match self.read(0, &mut values) {
            Ok(()) => values,
            // Neither the handle's length nor the sealed memory's changes.
            Err(_) => Vec::new(),
        }
    }

    /// Changes each of the values in `range`, some KiB at a time.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where the range is not inside; nothing was changed then.
    pub fn update(
        &self,
        range: impl std::ops::RangeBounds<usize>,
        mut change: impl FnMut(&mut T),
    ) -> Result<()> {
        let range = self.check(range)?;
        let step = (BLOCK / size_of::<T>().max(1)).max(1);
        let mut block = vec![T::zeroed(); step.min(range.len())];
        for start in range.clone().step_by(step) {
            let part = &mut block[..step.min(range.end - start)];
            self.read(start, part)?;
            part.iter_mut().for_each(&mut change);
            self.write(start, part)?;
        }
        Ok(())
    }

    mp_os::family! {
        fails with (
            LockError<MutexGuard<'_, ()>>,
            LockError<MutexGuard<'_, ()>, TryError>,
            LockError<MutexGuard<'_, ()>, TimeoutError>
        ):

        /// Takes the lock that belongs to the array, which keeps out others who take it.
        ///
        /// # Errors
        ///
        /// As for [`Lock::lock`](crate::Lock::lock).
        #[doc(alias = "get_lock")]
        pub fn lock, try_lock, lock_timeout, lock_deadline(self: &Self) -> MutexGuard<'_, ()> = lock_until;
    }

    fn lock_until(
        &self,
        deadline: Deadline,
    ) -> Result<MutexGuard<'_, ()>, LockError<MutexGuard<'_, ()>, TimeoutError>> {
        self.mutex().map_err(TimeoutError::from)?.lock_until(deadline)
    }

    fn view(&self) -> Result<Slice<'_, T>, mp_os::Error> {
        let (memory, offset) = self.object.memory(VALUES);
        Ok(Slice::new(memory, offset, self.len())?)
    }

    fn check(&self, range: impl std::ops::RangeBounds<usize>) -> Result<Range<usize>> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let start = match range.start_bound() {
            Included(&start) => start,
            Excluded(&before) => before.saturating_add(1),
            Unbounded => 0,
        };
        let end = match range.end_bound() {
            Included(&last) => last.saturating_add(1),
            Excluded(&end) => end,
            Unbounded => self.len(),
        };
        if start <= end && end <= self.len() {
            return Ok(start..end);
        }
        let reason = format!("{start}..{end} is not inside of {} values", self.len());
        Err(mp_os::Error::invalid_input("change", "a shared array", reason).into())
    }
}

impl<T> Clone for Array<T> {
    fn clone(&self) -> Self {
        Self { object: self.object.clone(), len: self.len, values: PhantomData }
    }
}

impl<T> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// A handle travels in process arguments and connection messages, the values stay where they are.
impl<T> Serialize for Array<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.object.serialize(serializer)
    }
}

impl<'de, T: Pod> Deserialize<'de> for Array<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Object::deserialize(deserializer, Self::KIND)?;
        let len = usize::try_from(object.parameter()).map_err(de::Error::custom)?;
        let array = Self { object, len, values: PhantomData };
        // The words are those of the creator's type: a smaller one would leave some, a larger one needs more.
        if array.object.words().len() != Self::words(len) || array.mutex().is_err() {
            return Err(de::Error::custom("the shared array is of another type"));
        }
        Ok(array)
    }
}
