use std::{error, fmt};

use mp_os::{Error, TimeoutError, TryError};

/// Why a lock was not taken, or was taken from somebody who died inside.
///
/// `E` is [`Error`] of an operation that waits, [`TryError`] of one that does not, [`TimeoutError`] of one with a deadline.
///
/// # Examples
///
/// ```
/// use mp_sync::{LockError, Mutex};
/// # let words = [const { std::sync::atomic::AtomicU64::new(0) }; Mutex::<u32>::WORDS];
/// # let mutex = Mutex::create(&words, 1_u32)?;
/// let guard = match mutex.lock() {
///     Ok(guard) => guard,
///     Err(LockError::OwnerDied(guard)) => {
///         // The value is the last one that somebody committed. If that is good enough:
///         guard.mark_consistent();
///         guard
///     }
///     Err(LockError::Failed(error)) => return Err(error),
/// };
/// # drop(guard);
/// // Or, for the same:
/// let guard = mutex.lock().or_else(LockError::recover)?;
/// # drop(guard);
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[doc(alias = "PoisonError")]
pub enum LockError<G, E = Error> {
    /// A holder was killed or panicked inside, now or before, and nobody has said that what the lock protects is
    /// consistent. Here is the lock.
    OwnerDied(G),
    /// It was not taken.
    Failed(E),
}

impl<G, E> LockError<G, E> {
    pub(crate) fn map<H>(self, guard: impl FnOnce(G) -> H) -> LockError<H, E> {
        match self {
            Self::OwnerDied(held) => LockError::OwnerDied(guard(held)),
            Self::Failed(error) => LockError::Failed(error),
        }
    }
}

/// A guard that can say that what it protects is consistent.
pub trait Recover {
    /// Says so: later holders are not told of the death.
    fn recover(&self);
}

impl<G: Recover, E> LockError<G, E> {
    /// Takes what a dead holder has left as consistent, and the lock with it.
    ///
    /// # Errors
    ///
    /// What the lock was not taken for.
    pub fn recover(self) -> Result<G, E> {
        match self {
            Self::OwnerDied(guard) => {
                guard.recover();
                Ok(guard)
            }
            Self::Failed(error) => Err(error),
        }
    }
}

/// Without the guard, which need not be printable for `unwrap` to be.
impl<G, E: fmt::Debug> fmt::Debug for LockError<G, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnerDied(_) => f.write_str("OwnerDied(..)"),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

impl<G, E: fmt::Display> fmt::Display for LockError<G, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnerDied(_) => f.write_str("the lock was taken from a holder that died inside"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<G, E: error::Error> error::Error for LockError<G, E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::OwnerDied(_) => None,
            Self::Failed(error) => error.source(),
        }
    }
}

impl<G, E> From<E> for LockError<G, E> {
    fn from(error: E) -> Self {
        Self::Failed(error)
    }
}

/// For a form without a deadline that is the one with [`Deadline::never`](crate::Deadline::never).
impl<G> From<LockError<G, TimeoutError>> for LockError<G, Error> {
    fn from(error: LockError<G, TimeoutError>) -> Self {
        match error {
            LockError::OwnerDied(guard) => Self::OwnerDied(guard),
            LockError::Failed(error) => Self::Failed(error.into()),
        }
    }
}

/// For a `try_` form that is the waiting one with a deadline in the past.
impl<G> From<LockError<G, TimeoutError>> for LockError<G, TryError> {
    fn from(error: LockError<G, TimeoutError>) -> Self {
        match error {
            LockError::OwnerDied(guard) => Self::OwnerDied(guard),
            LockError::Failed(error) => Self::Failed(error.into()),
        }
    }
}
