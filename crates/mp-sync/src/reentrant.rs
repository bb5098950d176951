use std::{
    marker::PhantomData,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
    thread,
};

use mp_os::{Deadline, Result, TimeoutError, TryError};

use crate::{
    error::{LockError, Recover},
    place,
    raw::RawMutex,
};

/// A lock in shared memory that its holder may take again. The lock of a holder that dies is free for the next, who is
/// told.
///
/// # Examples
///
/// ```
/// use mp_sync::ReentrantLock;
/// use std::sync::atomic::AtomicU64;
///
/// let words = [const { AtomicU64::new(0) }; ReentrantLock::WORDS]; // in shared memory, normally
/// let lock = ReentrantLock::attach(&words)?;
/// let outer = lock.lock().unwrap();
/// let inner = lock.lock().unwrap();
/// drop(outer);
/// assert!(lock.is_locked());
/// drop(inner);
/// assert!(!lock.is_locked());
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias = "RLock")]
pub struct ReentrantLock<'m>(&'m RawMutex);

impl<'m> ReentrantLock<'m> {
    /// The number of words that it takes.
    pub const WORDS: usize = place::words_of::<RawMutex>();

    /// The lock in the first of `words`. Zeroes are one that is free.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where there are fewer than [`WORDS`](Self::WORDS).
    #[inline]
    pub fn attach(words: &'m [AtomicU64]) -> Result<Self> {
        place::split(words, 0, "the memory of a reentrant lock").map(|(raw, _)| Self(raw))
    }

    mp_os::family! {
        fails with (
            LockError<ReentrantGuard<'m>>,
            LockError<ReentrantGuard<'m>, TryError>,
            LockError<ReentrantGuard<'m>, TimeoutError>
        ):

        /// Takes the lock, waiting for as long as another thread holds it.
        ///
        /// # Errors
        ///
        /// [`LockError::OwnerDied`] with the guard; what `futex(2)` and `set_robust_list(2)` fail with, where a seccomp
        /// filter denies them.
        #[inline]
        pub fn lock, try_lock, lock_timeout, lock_deadline(self: &Self) -> ReentrantGuard<'m> = lock_until;
    }

    /// [`lock`](Self::lock), giving up when `deadline` has passed: what the others of the family call.
    ///
    /// # Errors
    ///
    /// As for [`lock_timeout`](Self::lock_timeout).
    #[inline(always)]
    pub fn lock_until(
        &self,
        deadline: Deadline,
    ) -> Result<ReentrantGuard<'m>, LockError<ReentrantGuard<'m>, TimeoutError>> {
        let depth = &self.0.depth;
        if self.0.is_mine().map_err(TimeoutError::from)? {
            depth.store(depth.load(Relaxed).wrapping_add(1), Relaxed);
        } else {
            if self.0.lock_until(deadline)? {
                self.0.poison.store(1, Release);
            }
            depth.store(0, Relaxed);
        }
        let guard =
            ReentrantGuard { lock: *self, panicking: thread::panicking(), thread: PhantomData };
        if self.is_poisoned() { Err(LockError::OwnerDied(guard)) } else { Ok(guard) }
    }

    /// Whether anybody holds it, a moment ago.
    pub fn is_locked(&self) -> bool {
        self.0.is_locked()
    }

    /// Whether a holder has died inside, and nobody has said that this does not matter.
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.0.poison.load(Acquire) != 0
    }

    /// Says that it does not matter that a holder has died inside.
    pub fn clear_poison(&self) {
        self.0.poison.store(0, Release);
    }
}

/// The [`ReentrantLock`] is held once; dropping this releases it that once.
///
/// As with [`MutexGuard`](crate::MutexGuard), do not forget it.
#[must_use = "the lock is released when the guard is dropped"]
#[derive(Debug)]
pub struct ReentrantGuard<'m> {
    lock: ReentrantLock<'m>,
    panicking: bool,
    thread: PhantomData<*const ()>,
}

impl ReentrantGuard<'_> {
    /// How often this thread holds the lock: 1 or more.
    pub fn depth(&self) -> u32 {
        self.lock.0.depth.load(Relaxed).wrapping_add(1)
    }
}

impl Recover for ReentrantGuard<'_> {
    fn recover(&self) {
        self.lock.clear_poison();
    }
}

impl Drop for ReentrantGuard<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let raw = self.lock.0;
        if !raw.is_mine().unwrap_or(false) {
            return;
        }
        if !self.panicking && thread::panicking() {
            raw.poison.store(1, Release);
        }
        match raw.depth.load(Relaxed) {
            0 => raw.unlock(),
            depth => raw.depth.store(depth - 1, Relaxed),
        }
    }
}
