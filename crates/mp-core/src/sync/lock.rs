use mp_sync::{LockError, Mutex, MutexGuard, TimeoutError, TryError};

use super::{Object, travels};
use crate::Result;

/// A lock between any number of processes and threads.
///
/// A handle: cloning it or sending it in the arguments of a [`Process`](crate::Process) gives another handle of the same
/// lock. Who dies while holding it leaves it free for the next, who is told by [`LockError::OwnerDied`], until somebody
/// says by [`recover`](LockError::recover) that this does not matter.
///
/// It is released by the thread that took it; what is to be released by another process is a
/// [`Semaphore`](crate::Semaphore). Data that belongs to the lock can live in it: see [`Value`](crate::Value).
///
/// # Examples
///
/// ```
/// use mp_core::{Lock, Process};
///
/// fn print((lock, text): (Lock, String)) {
///     let _guard = lock.lock().unwrap();
///     println!("{text}");
/// }
///
/// let lock = Lock::new()?;
/// let guard = lock.lock()?;
/// let child = Process::spawn(print, (lock.clone(), "after us".to_owned()))?;
/// drop(guard);
/// child.join()?;
/// # Ok::<(), mp_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Lock(Object);

impl Lock {
    const KIND: &[u8; 8] = b"mp lock\0";

    /// A free lock.
    ///
    /// # Errors
    ///
    /// An error with a hint where memory or descriptors are short.
    pub fn new() -> Result<Self> {
        Object::create(Self::KIND, Mutex::<()>::WORDS, 0).map(Self)
    }

    mp_os::family! {
        fails with (
            LockError<MutexGuard<'_, ()>>,
            LockError<MutexGuard<'_, ()>, TryError>,
            LockError<MutexGuard<'_, ()>, TimeoutError>
        ):

        /// Takes the lock, waiting for as long as another thread has it. Dropping the guard releases it.
        ///
        /// # Errors
        ///
        /// [`LockError::OwnerDied`] with the guard; [`Deadlock`](std::io::ErrorKind::Deadlock) where this thread has it
        /// already.
        #[doc(alias = "acquire")]
        #[inline(always)]
        pub fn lock, try_lock, lock_timeout, lock_deadline(self: &Self) -> MutexGuard<'_, ()> = lock_until;
    }

    /// Whether anybody has the lock, a moment ago.
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.view().is_ok_and(|mutex| mutex.is_locked())
    }

    #[inline(always)]
    fn lock_until(
        &self,
        deadline: mp_sync::Deadline,
    ) -> Result<MutexGuard<'_, ()>, LockError<MutexGuard<'_, ()>, TimeoutError>> {
        self.view().map_err(TimeoutError::from)?.lock_until(deadline)
    }

    #[inline(always)]
    fn view(&self) -> Result<Mutex<'_, ()>, mp_os::Error> {
        Mutex::attach(self.0.words())
    }
}

travels!(Lock);
