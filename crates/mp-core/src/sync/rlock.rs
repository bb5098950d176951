use mp_sync::{LockError, ReentrantGuard, ReentrantLock, TimeoutError, TryError};

use super::{Object, travels};
use crate::Result;

/// A [`Lock`](crate::Lock) that the thread that has it may take again.
///
/// # Examples
///
/// ```
/// use mp_core::RLock;
///
/// let lock = RLock::new()?;
/// let outer = lock.lock()?;
/// let inner = lock.lock()?;
/// assert_eq!(inner.depth(), 2);
/// # Ok::<(), mp_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "ReentrantLock")]
pub struct RLock(Object);

impl RLock {
    const KIND: &[u8; 8] = b"mp rlock";

    /// A free lock.
    ///
    /// # Errors
    ///
    /// An error with a hint where memory or descriptors are short.
    pub fn new() -> Result<Self> {
        Object::create(Self::KIND, ReentrantLock::WORDS, 0).map(Self)
    }

    mp_os::family! {
        fails with (
            LockError<ReentrantGuard<'_>>,
            LockError<ReentrantGuard<'_>, TryError>,
            LockError<ReentrantGuard<'_>, TimeoutError>
        ):

        /// Takes the lock, waiting for as long as another thread has it. The last of its guards releases it.
        ///
        /// # Errors
        ///
        /// [`LockError::OwnerDied`] with the guard.
        #[doc(alias = "acquire")]
        #[inline]
        pub fn lock, try_lock, lock_timeout, lock_deadline(self: &Self) -> ReentrantGuard<'_> = lock_until;
    }

    /// Whether anybody has the lock, a moment ago.
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.view().is_ok_and(|lock| lock.is_locked())
    }

    #[inline]
    fn lock_until(
        &self,
        deadline: mp_sync::Deadline,
    ) -> Result<ReentrantGuard<'_>, LockError<ReentrantGuard<'_>, TimeoutError>> {
        self.view().map_err(TimeoutError::from)?.lock_until(deadline)
    }

    #[inline]
    fn view(&self) -> Result<ReentrantLock<'_>, mp_os::Error> {
        ReentrantLock::attach(self.0.words())
    }
}

travels!(RLock);
