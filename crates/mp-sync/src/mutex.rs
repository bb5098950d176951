use std::{
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Release},
    },
    thread,
};

use bytemuck::Pod;
use mp_os::{Deadline, Error, Result, TimeoutError, TryError};

use crate::{
    error::{LockError, Recover},
    place,
    raw::RawMutex,
    versions::Versions,
};

/// A value in shared memory that one thread of one process changes at a time. The lock of a holder that dies is free for
/// the next, who is told.
///
/// The guard has a copy of the value, and commits it, if it was changed, when it is dropped: by one store, so that a
/// holder that is killed at whichever instruction leaves the value before or the value after, whole. A panic inside commits
/// nothing. So it is for small values; larger data lies beside a `Mutex<()>`.
///
/// A thread may hold several at a time and do anything meanwhile. The guard stays in its thread.
///
/// # Examples
///
/// ```
/// use mp_sync::Mutex;
/// use std::sync::atomic::AtomicU64;
///
/// let words = [const { AtomicU64::new(0) }; Mutex::<u32>::WORDS]; // in shared memory, normally
/// let mutex = Mutex::create(&words, 1_u32)?;
/// *mutex.lock().unwrap() += 1;
/// assert_eq!(*Mutex::<u32>::attach(&words)?.lock().unwrap(), 2);
/// # Ok::<(), mp_sync::Error>(())
/// ```
pub struct Mutex<'m, T> {
    raw: &'m RawMutex,
    value: Versions<'m, T>,
}

impl<T> Clone for Mutex<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Mutex<'_, T> {}

impl<'m, T> Mutex<'m, T> {
    /// The number of words that it takes.
    pub const WORDS: usize = place::words_of::<RawMutex>() + Versions::<T>::WORDS;

    /// The mutex in the first of `words`. Zeroes are one that is free and holds zeroes.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where there are fewer than [`WORDS`](Self::WORDS).
    #[inline]
    pub fn attach(words: &'m [AtomicU64]) -> Result<Self> {
        const OBJECT: &str = "the memory of a mutex";
        let (raw, rest) = place::split(words, Versions::<T>::WORDS, OBJECT)?;
        // `split` has made sure that there are enough.
        let value = Versions::attach(rest)
            .ok_or_else(|| Error::invalid_input("use", OBJECT, "it is too short"))?;
        Ok(Self { raw, value })
    }

    /// Whether a holder has died inside, and nobody has said that this does not matter.
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.raw.poison.load(Acquire) != 0
    }

    /// Says that it does not matter that a holder has died inside.
    pub fn clear_poison(&self) {
        self.raw.poison.store(0, Release);
    }

    /// Whether anybody holds it, a moment ago.
    pub fn is_locked(&self) -> bool {
        self.raw.is_locked()
    }
}

impl<'m, T: Pod> Mutex<'m, T> {
    /// Makes a mutex that holds `value` in the first of `words`, before anybody else uses them.
    ///
    /// # Errors
    ///
    /// As for [`attach`](Self::attach).
    pub fn create(words: &'m [AtomicU64], value: T) -> Result<Self> {
        let mutex = Self::attach(words)?;
        mutex.value.store(&value);
        Ok(mutex)
    }

    mp_os::family! {
        fails with (
            LockError<MutexGuard<'m, T>>,
            LockError<MutexGuard<'m, T>, TryError>,
            LockError<MutexGuard<'m, T>, TimeoutError>
        ):

        /// Takes the lock, waiting for as long as another thread holds it.
        ///
        /// # Errors
        ///
        /// [`LockError::OwnerDied`] with the guard; [`Deadlock`](std::io::ErrorKind::Deadlock) where this thread holds it
        /// already; what `futex(2)` and `set_robust_list(2)` fail with, where a seccomp filter denies them.
        #[inline(always)]
        pub fn lock, try_lock, lock_timeout, lock_deadline(self: &Self) -> MutexGuard<'m, T> = lock_until;
    }

    /// [`lock`](Self::lock), giving up when `deadline` has passed: what the others of the family call.
    ///
    /// A holder that is stopped, not dead, keeps the lock for as long as it likes.
    ///
    /// # Errors
    ///
    /// As for [`lock_timeout`](Self::lock_timeout).
    #[inline(always)]
    pub fn lock_until(
        &self,
        deadline: Deadline,
    ) -> Result<MutexGuard<'m, T>, LockError<MutexGuard<'m, T>, TimeoutError>> {
        if self.raw.lock_until(deadline)? {
            self.raw.poison.store(1, Release);
        }
        let guard = MutexGuard {
            mutex: *self,
            value: self.value.load(),
            changed: false,
            panicking: thread::panicking(),
            thread: PhantomData,
        };
        if self.is_poisoned() { Err(LockError::OwnerDied(guard)) } else { Ok(guard) }
    }
}

impl<T> fmt::Debug for Mutex<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex")
            .field("locked", &self.is_locked())
            .field("poisoned", &self.is_poisoned())
            .finish_non_exhaustive()
    }
}

/// The [`Mutex`] is held; dropping this commits the value and releases the lock.
///
/// It borrows the memory, which therefore stays mapped until the kernel has been told that this thread is done with it: so
/// do not [`forget`](std::mem::forget) it. A process forked meanwhile has a copy of this and not the lock.
#[must_use = "the lock is released when the guard is dropped"]
pub struct MutexGuard<'m, T: Pod> {
    mutex: Mutex<'m, T>,
    value: T,
    changed: bool,
    /// Whether the thread was panicking already when it took the lock.
    panicking: bool,
    /// The kernel knows of one thread's lock.
    thread: PhantomData<*const ()>,
}

impl<'m, T: Pod> MutexGuard<'m, T> {
    /// Says that what the lock protects is consistent: later holders are not told of a death.
    pub fn mark_consistent(&self) {
        self.mutex.clear_poison();
    }

    /// Makes the value what it is now for all who come later, even if this process is killed before it releases the lock.
    pub fn commit(&mut self) {
        if std::mem::take(&mut self.changed) && self.mutex.raw.is_mine().unwrap_or(false) {
            self.mutex.value.store(&self.value);
        }
    }

    pub(crate) fn mutex(&self) -> Mutex<'m, T> {
        self.mutex
    }
}

impl<T: Pod> Recover for MutexGuard<'_, T> {
    fn recover(&self) {
        self.mark_consistent();
    }
}

impl<T: Pod> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Pod> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.changed = true;
        &mut self.value
    }
}

impl<T: Pod> Drop for MutexGuard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        let raw = self.mutex.raw;
        // In a forked child this is a copy, whatever is done with it.
        let Some(thread) = raw.mine() else { return };
        if !self.panicking && thread::panicking() {
            raw.poison.store(1, Release);
        } else if self.changed {
            self.mutex.value.store(&self.value);
        }
        raw.unlock_as(thread);
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
