use std::{ops::Deref, sync::atomic::AtomicU64};

use mp_os::Result;

use crate::Semaphore;

/// A [`Semaphore`] that never has more permits than at its beginning: a release too many is an error.
///
/// # Examples
///
/// ```
/// use mp_sync::BoundedSemaphore;
/// use std::sync::atomic::AtomicU64;
///
/// let words = [const { AtomicU64::new(0) }; BoundedSemaphore::words(8)]; // in shared memory, normally
/// let semaphore = BoundedSemaphore::create(&words, 1)?;
/// semaphore.acquire()?.forget();
/// semaphore.release()?;
/// assert!(semaphore.release().is_err());
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BoundedSemaphore<'m>(Semaphore<'m>);

impl<'m> BoundedSemaphore<'m> {
    /// As [`Semaphore::words`].
    pub const fn words(processes: usize) -> usize {
        Semaphore::words(processes)
    }

    /// Makes a semaphore of `permits` permits in `words`, before anybody else uses them.
    ///
    /// # Errors
    ///
    /// As for [`Semaphore::create`].
    pub fn create(words: &'m [AtomicU64], permits: u64) -> Result<Self> {
        Semaphore::create_bounded(words, permits, permits).map(Self)
    }

    /// The semaphore that somebody has made in `words`.
    ///
    /// # Errors
    ///
    /// As for [`Semaphore::create`].
    pub fn attach(words: &'m [AtomicU64]) -> Result<Self> {
        Semaphore::attach(words).map(Self)
    }
}

/// All that a semaphore can do.
impl<'m> Deref for BoundedSemaphore<'m> {
    type Target = Semaphore<'m>;

    fn deref(&self) -> &Semaphore<'m> {
        &self.0
    }
}
