use std::{fmt, marker::PhantomData};

use mp_sync::{Deadline, LockError, Mutex, MutexGuard, Pod, TimeoutError, TryError};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Result, sync::Object};

/// A small value that processes share, and the lock that it belongs to.
///
/// A handle: cloning it or sending it in the arguments of a [`Process`](crate::Process) gives another handle of the same
/// value. `T` is plain data ([`Pod`]): a number, an array of them of any length, or a `#[repr(C)]` structure that derives
/// `Pod` and `Zeroable` of the crate `bytemuck`. Each change happens whole or not at all, whoever is killed at whichever moment. For rows of numbers
/// there is [`Array`](crate::Array).
///
/// # Examples
///
/// ```
/// use mp_core::{Process, Value};
///
/// let count = Value::new(0_u64)?;
/// let children: Vec<_> = (0..4)
///     .map(|_| Process::spawn(|count: Value<u64>| count.update(|n| *n += 1).unwrap(), count.clone()))
///     .collect::<Result<_, _>>()?;
/// for child in children {
///     child.join()?;
/// }
/// assert_eq!(count.get()?, 4);
/// # Ok::<(), mp_core::Error>(())
/// ```
pub struct Value<T> {
    object: Object,
    value: PhantomData<fn(T) -> T>,
}

impl<T> Value<T> {
    const KIND: &[u8; 8] = b"mp value";

    #[inline]
    fn view(&self) -> Result<Mutex<'_, T>, mp_os::Error> {
        Mutex::attach(self.object.words())
    }

    fn from_object(object: Object) -> Self {
        Self { object, value: PhantomData }
    }
}

impl<T: Pod> Value<T> {
    /// A value that is `value` now.
    ///
    /// # Errors
    ///
    /// An error with a hint where memory or descriptors are short.
    pub fn new(value: T) -> Result<Self> {
        let object = Object::create(Self::KIND, Mutex::<T>::WORDS, size_of::<T>() as u64)?;
        Mutex::create(object.words(), value)?;
        Ok(Self::from_object(object))
    }

    /// What it is now: the last that was committed. Waits while another thread holds the lock.
    ///
    /// # Errors
    ///
    /// [`Deadlock`](std::io::ErrorKind::Deadlock) where this thread holds the lock.
    #[inline]
    pub fn get(&self) -> Result<T> {
        self.update(|value| *value)
    }

    /// Makes it `value`.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get).
    pub fn set(&self, value: T) -> Result<()> {
        self.update(|old| *old = value)
    }

    /// Changes it, with the lock held. A panic inside changes nothing.
    ///
    /// # Errors
    ///
    /// As for [`get`](Self::get).
    #[inline]
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R> {
        let mut guard = match self.lock() {
            // Whoever died with the lock has left a whole value, and it is a whole change that is asked for.
            Ok(guard) | Err(LockError::OwnerDied(guard)) => guard,
            Err(LockError::Failed(error)) => return Err(error.into()),
        };
        Ok(change(&mut guard))
    }

    mp_os::family! {
        fails with (
            LockError<MutexGuard<'_, T>>,
            LockError<MutexGuard<'_, T>, TryError>,
            LockError<MutexGuard<'_, T>, TimeoutError>
        ):

        /// Takes the lock, for changes in several steps; the guard has the value, and commits it when it is dropped.
        ///
        /// # Errors
        ///
        /// [`LockError::OwnerDied`] with the guard, where somebody died or panicked with the lock;
        /// [`Deadlock`](std::io::ErrorKind::Deadlock) where this thread has it already.
        #[doc(alias = "get_lock")]
        #[inline(always)]
        pub fn lock, try_lock, lock_timeout, lock_deadline(self: &Self) -> MutexGuard<'_, T> = lock_until;
    }

    #[inline(always)]
    fn lock_until(
        &self,
        deadline: Deadline,
    ) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>, TimeoutError>> {
        self.view().map_err(TimeoutError::from)?.lock_until(deadline)
    }
}

impl<T> Clone for Value<T> {
    fn clone(&self) -> Self {
        Self::from_object(self.object.clone())
    }
}

impl<T> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("lock", &self.view().ok()).finish_non_exhaustive()
    }
}

/// A handle travels in process arguments and connection messages.
impl<T> Serialize for Value<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.object.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Self::from_object(Object::deserialize(deserializer, Self::KIND)?);
        if value.object.parameter() != size_of::<T>() as u64 || value.view().is_err() {
            return Err(de::Error::custom("the shared value is of another type"));
        }
        Ok(value)
    }
}
