use std::mem;

use super::Semaphore;

/// A permit, given back when it is dropped.
///
/// A process that is killed does not drop it: the permit of a POSIX semaphore is then **lost for ever**. Where that
/// matters, use [`sysv::Permit`](crate::sysv::Permit), which the kernel gives back.
///
/// # Examples
///
/// ```
/// use mp_sem::posix::Semaphore;
///
/// let semaphore = Semaphore::unnamed(2)?;
/// let permit = semaphore.acquire()?;
/// semaphore.acquire()?.forget();
/// drop(permit);
/// assert_eq!(semaphore.value()?, 1);
/// # Ok::<(), mp_sem::Error>(())
/// ```
#[must_use = "a permit that is not kept is given back at once"]
#[derive(Debug)]
pub struct Permit<'a>(
    /// Took one permit for this.
    pub(super) &'a Semaphore,
);

impl Permit<'_> {
    /// Consumes the permit without giving it back: one process takes, another one [releases](Semaphore::release).
    pub fn forget(self) {
        mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        // It fails only where others have released so much meanwhile that the counter is full, and then nobody lacks it.
        drop(self.0.release(1));
    }
}
