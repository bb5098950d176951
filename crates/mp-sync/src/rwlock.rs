use std::{
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    sync::atomic::{
        AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
    thread,
};

use bytemuck::Pod;
use mp_os::{Deadline, Error, Result, TimeoutError, TryError};

use crate::{
    Doorbell,
    error::{LockError, Recover},
    ledger::{Holding, Ledger},
    place,
    process::ProcessId,
    raw::RawMutex,
    versions::Versions,
    wait,
};

/// The beginning of a read-write lock; the value and a [`Ledger`] of the readers follow.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Head {
    /// Held while writing, while waiting to write, and while entering to read.
    gate: RawMutex,
    /// Rung by readers that leave.
    bell: Doorbell,
    /// The holder of the gate is not just waiting to write.
    writing: AtomicU32,
}

/// A value in shared memory that many read at a time, or one changes. Read locks of dead processes are taken back, and the
/// lock of a writer that dies is free for the next, who is told.
///
/// A writer that waits keeps new readers out. As with [`Mutex`](crate::Mutex), guards have a copy of the value, and what a
/// writer has written is committed by one store when its guard is dropped.
///
/// # Examples
///
/// ```
/// use mp_sync::RwLock;
/// use std::sync::atomic::AtomicU64;
///
/// let words = [const { AtomicU64::new(0) }; RwLock::<u32>::words(8)]; // in shared memory, normally
/// let lock = RwLock::create(&words, 1_u32)?;
/// {
///     let (one, two) = (lock.read().unwrap(), lock.read().unwrap());
///     assert_eq!(*one + *two, 2);
///     assert!(lock.try_write().is_err());
/// }
/// *lock.write().unwrap() = 5;
/// assert_eq!(*lock.read().unwrap(), 5);
/// # Ok::<(), mp_sync::Error>(())
/// ```
pub struct RwLock<'m, T> {
    head: &'m Head,
    value: Versions<'m, T>,
    readers: Ledger<'m>,
}

impl<T> Clone for RwLock<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for RwLock<'_, T> {}

impl<'m, T> RwLock<'m, T> {
    /// The number of words for a lock that at most `processes` processes hold for reading at the same time.
    pub const fn words(processes: usize) -> usize {
        place::words_of::<Head>() + Versions::<T>::WORDS + processes * place::words_of::<Holding>()
    }

    /// The lock that somebody has made in `words`. Zeroes are one that is free and holds zeroes.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where there are fewer words than for one process.
    pub fn attach(words: &'m [AtomicU64]) -> Result<Self> {
        const OBJECT: &str = "the memory of a read-write lock";
        let rest = Versions::<T>::WORDS + place::words_of::<Holding>();
        let (head, rest) = place::split(words, rest, OBJECT)?;
        // `split` has made sure that there are enough.
        let value = Versions::attach(rest)
            .ok_or_else(|| Error::invalid_input("use", OBJECT, "it is too short"))?;
        let readers = Ledger::new(rest.get(Versions::<T>::WORDS..).unwrap_or_default());
        Ok(Self { head, value, readers })
    }

    /// Whether a writer has died while it wrote, and nobody has said that this does not matter.
    pub fn is_poisoned(&self) -> bool {
        self.head.gate.poison.load(Acquire) != 0
    }

    /// Says that it does not matter that a writer has died.
    pub fn clear_poison(&self) {
        self.head.gate.poison.store(0, Release);
    }

    fn enter(&self, deadline: Deadline) -> Result<(), TimeoutError> {
        if self.head.gate.lock_until(deadline)? && self.head.writing.swap(0, Relaxed) != 0 {
            self.head.gate.poison.store(1, Release);
        }
        Ok(())
    }

    /// Counts a reader, inside the gate.
    fn join(&self) -> Result<&'m Holding, TimeoutError> {
        let process = ProcessId::current();
        let mut place = self.readers.place(process);
        if place.is_none() {
            self.readers.strike(&self.readers.dead());
            place = self.readers.place(process);
        }
        let Some(place) = place else {
            let reason = "as many processes read as it has places for";
            let reason = std::io::Error::new(std::io::ErrorKind::QuotaExceeded, reason);
            let error = Error::new("take", "a read-write lock", reason);
            return Err(error.with_hint("make it in more words").into());
        };
        place.add(process);
        Ok(place)
    }

    /// Waits inside the gate until nobody reads.
    fn wait_alone(&self, deadline: Deadline) -> Result<(), TimeoutError> {
        let alone = || Ok((self.readers.sum() == 0).then_some(()));
        let reap = || Ok(self.readers.strike(&self.readers.dead()) > 0);
        wait::wait_for(&self.head.bell, deadline, alone, reap)
    }
}

impl<'m, T: Pod> RwLock<'m, T> {
    /// Makes a lock that holds `value` in `words`, before anybody else uses them.
    ///
    /// # Errors
    ///
    /// As for [`attach`](Self::attach).
    pub fn create(words: &'m [AtomicU64], value: T) -> Result<Self> {
        let lock = Self::attach(words)?;
        lock.value.store(&value);
        Ok(lock)
    }

    mp_os::family! {
        fails with (
            LockError<ReadGuard<'m, T>>,
            LockError<ReadGuard<'m, T>, TryError>,
            LockError<ReadGuard<'m, T>, TimeoutError>
        ):

        /// Takes the lock for reading, waiting for as long as somebody writes or waits to write.
        ///
        /// A thread that reads already may wait for ever for a writer that waits for it.
        ///
        /// # Errors
        ///
        /// [`LockError::OwnerDied`] with the guard; [`QuotaExceeded`](std::io::ErrorKind::QuotaExceeded) where as many
        /// processes read as there are places; what `futex(2)` fails with where a seccomp filter denies it.
        pub fn read, try_read, read_timeout, read_deadline(self: &Self) -> ReadGuard<'m, T> = read_until;
    }

    mp_os::family! {
        fails with (
            LockError<WriteGuard<'m, T>>,
            LockError<WriteGuard<'m, T>, TryError>,
            LockError<WriteGuard<'m, T>, TimeoutError>
        ):

        /// Takes the lock for writing, waiting for as long as others have it.
        ///
        /// # Errors
        ///
        /// As for [`read`](Self::read).
        pub fn write, try_write, write_timeout, write_deadline(self: &Self) -> WriteGuard<'m, T> = write_until;
    }

    /// [`read`](Self::read), giving up when `deadline` has passed.
    ///
    /// # Errors
    ///
    /// As for [`read_timeout`](Self::read_timeout).
    pub fn read_until(
        &self,
        deadline: Deadline,
    ) -> Result<ReadGuard<'m, T>, LockError<ReadGuard<'m, T>, TimeoutError>> {
        self.enter(deadline)?;
        let joined = self.join();
        self.head.gate.unlock();
        let guard = ReadGuard {
            lock: *self,
            place: joined?,
            value: self.value.load(),
            thread: PhantomData,
        };
        if self.is_poisoned() { Err(LockError::OwnerDied(guard)) } else { Ok(guard) }
    }

    /// [`write`](Self::write), giving up when `deadline` has passed.
    ///
    /// # Errors
    ///
    /// As for [`write_timeout`](Self::write_timeout).
    pub fn write_until(
        &self,
        deadline: Deadline,
    ) -> Result<WriteGuard<'m, T>, LockError<WriteGuard<'m, T>, TimeoutError>> {
        self.enter(deadline)?;
        if let Err(error) = self.wait_alone(deadline) {
            self.head.gate.unlock();
            return Err(error.into());
        }
        self.head.writing.store(1, Release);
        let guard = WriteGuard {
            lock: *self,
            value: self.value.load(),
            changed: false,
            panicking: thread::panicking(),
            thread: PhantomData,
        };
        if self.is_poisoned() { Err(LockError::OwnerDied(guard)) } else { Ok(guard) }
    }
}

impl<T> fmt::Debug for RwLock<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLock")
            .field("readers", &self.readers.sum())
            .field("poisoned", &self.is_poisoned())
            .finish_non_exhaustive()
    }
}

/// The [`RwLock`] is held for reading; dropping this releases it.
#[must_use = "the lock is released when the guard is dropped"]
#[doc(alias = "RwLockReadGuard")]
pub struct ReadGuard<'m, T: Pod> {
    lock: RwLock<'m, T>,
    place: &'m Holding,
    value: T,
    thread: PhantomData<*const ()>,
}

impl<T: Pod> Recover for ReadGuard<'_, T> {
    fn recover(&self) {
        self.lock.clear_poison();
    }
}

impl<T: Pod> Deref for ReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Pod> Drop for ReadGuard<'_, T> {
    fn drop(&mut self) {
        if self.place.remove() {
            self.lock.head.bell.ring();
        }
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for ReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// The [`RwLock`] is held for writing; dropping this commits the value and releases the lock.
///
/// As with [`MutexGuard`](crate::MutexGuard), do not forget it.
#[must_use = "the lock is released when the guard is dropped"]
#[doc(alias = "RwLockWriteGuard")]
pub struct WriteGuard<'m, T: Pod> {
    lock: RwLock<'m, T>,
    value: T,
    changed: bool,
    panicking: bool,
    thread: PhantomData<*const ()>,
}

impl<T: Pod> Recover for WriteGuard<'_, T> {
    fn recover(&self) {
        self.lock.clear_poison();
    }
}

impl<T: Pod> Deref for WriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Pod> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.changed = true;
        &mut self.value
    }
}

impl<T: Pod> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        let Head { gate, writing, .. } = self.lock.head;
        if !gate.is_mine().unwrap_or(false) {
            return;
        }
        if !self.panicking && thread::panicking() {
            gate.poison.store(1, Release);
        } else if self.changed {
            self.lock.value.store(&self.value);
        }
        writing.store(0, Release);
        gate.unlock();
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for WriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
