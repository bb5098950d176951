use std::{
    sync::atomic::{
        AtomicU32, AtomicU64,
        Ordering::{Acquire, Release},
    },
    time::{Duration, Instant},
};

use mp_os::{Deadline, Result, TimeoutError, TryError};

use crate::{place, raw::RawMutex};

/// A lock for whoever does it, and whether it is done.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Head {
    lock: RawMutex,
    done: AtomicU32,
    _unused: AtomicU32,
}

/// Something that is done once by one of several processes, and for which the others wait.
///
/// If the process that does it is killed, or it panics, the next one does it. So it must be possible to do it again.
///
/// # Examples
///
/// ```
/// use mp_sync::Once;
/// use std::sync::atomic::AtomicU64;
///
/// let words = [const { AtomicU64::new(0) }; Once::WORDS]; // in shared memory, normally
/// let once = Once::attach(&words)?;
/// let mut times = 0;
/// for _ in 0..3 {
///     once.call_once(|| times += 1)?;
/// }
/// assert!(times == 1 && once.is_completed());
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Once<'m>(&'m Head);

impl<'m> Once<'m> {
    /// The number of words that it takes.
    pub const WORDS: usize = place::words_of::<Head>();

    /// The state in the first of `words`. Zeroes are what has not been done.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where they are too few.
    pub fn attach(words: &'m [AtomicU64]) -> Result<Self> {
        place::split(words, 0, "the memory of a once").map(|(head, _)| Self(head))
    }

    /// Whether it is done, and visible.
    pub fn is_completed(&self) -> bool {
        self.0.done.load(Acquire) != 0
    }

    /// Calls `work` unless that was done, and waits for another one who does it.
    ///
    /// # Errors
    ///
    /// [`Deadlock`](std::io::ErrorKind::Deadlock) from inside `work`; what `futex(2)` and `set_robust_list(2)` fail with,
    /// where a seccomp filter denies them.
    pub fn call_once(&self, work: impl FnOnce()) -> Result<()> {
        Ok(self.call_once_until(Deadline::never(), work)?)
    }

    /// [`call_once`](Self::call_once) without waiting for another one.
    ///
    /// # Errors
    ///
    /// [`TryError::WouldBlock`] where another one does it; as for [`call_once`](Self::call_once).
    pub fn try_call_once(&self, work: impl FnOnce()) -> Result<(), TryError> {
        Ok(self.call_once_until(Deadline::after(Duration::ZERO), work)?)
    }

    /// [`call_once`](Self::call_once), waiting for another one for at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`TimeoutError::TimedOut`]; as for [`call_once`](Self::call_once).
    pub fn call_once_timeout(
        &self,
        timeout: Duration,
        work: impl FnOnce(),
    ) -> Result<(), TimeoutError> {
        self.call_once_until(Deadline::after(timeout), work)
    }

    /// [`call_once`](Self::call_once), waiting for another one until `deadline` at the latest.
    ///
    /// # Errors
    ///
    /// As for [`call_once_timeout`](Self::call_once_timeout).
    pub fn call_once_deadline(
        &self,
        deadline: Instant,
        work: impl FnOnce(),
    ) -> Result<(), TimeoutError> {
        self.call_once_until(Deadline::at(deadline), work)
    }

    fn call_once_until(&self, deadline: Deadline, work: impl FnOnce()) -> Result<(), TimeoutError> {
        if self.is_completed() {
            return Ok(());
        }
        let Head { lock, done, .. } = self.0;
        // That the last one died inside is no news: it is not done.
        lock.lock_until(deadline)?;
        let _unlock = Unlock(lock);
        if !self.is_completed() {
            work();
            done.store(1, Release);
        }
        Ok(())
    }
}

/// Also when the work panics.
struct Unlock<'m>(&'m RawMutex);

impl Drop for Unlock<'_> {
    fn drop(&mut self) {
        self.0.unlock();
    }
}
