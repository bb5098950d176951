use std::time::{Duration, Instant};

use mp_sync::{Condvar, Deadline, LockError, Mutex, MutexGuard, TimeoutError, TryError};

use super::{Object, travels};
use crate::{Error, Result};

/// How many threads can wait at the same time: what fits into a page.
const WAITERS: usize = 240;

/// A lock, and waiting for others to say that what it protects has changed.
///
/// A handle: cloning it or sending it to another process gives another handle of the same condition. Waiting and notifying are
/// methods of the guard, so nobody does it without the lock. Each notification lets one go who waits at that time; if that
/// one is killed before it has gone on, another one goes in its stead. Up to 240 threads can wait at the same time.
///
/// # Examples
///
/// ```
/// use mp_core::{Condition, Process, Value};
///
/// fn count_up((condition, count): (Condition, Value<u32>)) {
///     for _ in 0..4 {
///         let guard = condition.lock().unwrap();
///         count.update(|count| *count += 1).unwrap();
///         guard.notify_all().unwrap();
///     }
/// }
///
/// let (condition, count) = (Condition::new()?, Value::new(0)?);
/// let child = Process::spawn(count_up, (condition.clone(), count.clone()))?;
/// let mut guard = condition.lock()?;
/// guard.wait_for(|| count.get().is_ok_and(|count| count == 4))?;
/// drop(guard);
/// child.join()?;
/// # Ok::<(), mp_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "Condvar")]
pub struct Condition(Object);

impl Condition {
    const KIND: &[u8; 8] = b"mp condi";

    /// A condition whose lock is free.
    ///
    /// # Errors
    ///
    /// An error with a hint where memory or descriptors are short.
    pub fn new() -> Result<Self> {
        let words = Mutex::<()>::WORDS + Condvar::words(WAITERS);
        Object::create(Self::KIND, words, 0).map(Self)
    }

    mp_os::family! {
        fails with (
            LockError<ConditionGuard<'_>>,
            LockError<ConditionGuard<'_>, TryError>,
            LockError<ConditionGuard<'_>, TimeoutError>
        ):

        /// Takes the lock, waiting for as long as another thread has it. Dropping the guard releases it.
        ///
        /// # Errors
        ///
        /// As for [`Lock::lock`](crate::Lock::lock).
        #[doc(alias = "acquire")]
        pub fn lock, try_lock, lock_timeout, lock_deadline(self: &Self) -> ConditionGuard<'_> = lock_until;
    }

    fn lock_until(
        &self,
        deadline: Deadline,
    ) -> Result<ConditionGuard<'_>, LockError<ConditionGuard<'_>, TimeoutError>> {
        let (mutex, _) = self.view().map_err(TimeoutError::from)?;
        let held = |guard| ConditionGuard { condition: self, guard: Some(guard) };
        match mutex.lock_until(deadline) {
            Ok(guard) => Ok(held(guard)),
            Err(LockError::OwnerDied(guard)) => Err(LockError::OwnerDied(held(guard))),
            Err(LockError::Failed(error)) => Err(LockError::Failed(error)),
        }
    }

    fn view(&self) -> Result<(Mutex<'_, ()>, Condvar<'_>), mp_os::Error> {
        let words = self.0.words();
        let (lock, rest) = words.split_at(Mutex::<()>::WORDS.min(words.len()));
        Ok((Mutex::attach(lock)?, Condvar::attach(rest)?))
    }
}

travels!(Condition);

/// The lock of a [`Condition`] is held; dropping this releases it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let condition = mp_core::Condition::new()?;
/// let mut guard = condition.lock()?;
/// assert!(!guard.wait_timeout(Duration::from_millis(1))?, "nobody has notified it");
/// assert!(!guard.notify_one()?, "nobody waits");
/// # Ok::<(), mp_core::Error>(())
/// ```
#[must_use = "the lock is released when the guard is dropped"]
#[derive(Debug)]
pub struct ConditionGuard<'a> {
    condition: &'a Condition,
    /// `None` only while it waits, and where a wait has failed so that the lock could not be taken again.
    guard: Option<MutexGuard<'a, ()>>,
}

impl ConditionGuard<'_> {
    /// Releases the lock, waits for a notification, and takes the lock again.
    ///
    /// # Errors
    ///
    /// [`Error::OwnerDied`] where somebody has died with the lock, which is held nevertheless;
    /// [`QuotaExceeded`](std::io::ErrorKind::QuotaExceeded) where 240 threads wait.
    pub fn wait(&mut self) -> Result<()> {
        self.wait_until(Deadline::never()).map(drop)
    }

    /// [`wait`](Self::wait) for at most `timeout`, with the lock in any case: whether there was a notification.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<bool> {
        self.wait_until(Deadline::after(timeout))
    }

    /// [`wait`](Self::wait) until `deadline` at the latest, with the lock in any case: whether there was a notification.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn wait_deadline(&mut self, deadline: Instant) -> Result<bool> {
        self.wait_until(Deadline::at(deadline))
    }

    /// [`wait`](Self::wait)s until `condition` is true, which is asked with the lock held.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn wait_for(&mut self, condition: impl FnMut() -> bool) -> Result<()> {
        self.wait_for_until(Deadline::never(), condition).map(drop)
    }

    /// [`wait_for`](Self::wait_for) for at most `timeout`: what `condition` was at last.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn wait_for_timeout(
        &mut self,
        timeout: Duration,
        condition: impl FnMut() -> bool,
    ) -> Result<bool> {
        self.wait_for_until(Deadline::after(timeout), condition)
    }

    /// [`wait_for`](Self::wait_for) until `deadline` at the latest: what `condition` was at last.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn wait_for_deadline(
        &mut self,
        deadline: Instant,
        condition: impl FnMut() -> bool,
    ) -> Result<bool> {
        self.wait_for_until(Deadline::at(deadline), condition)
    }

    /// Lets the one go on who has waited longest: whether there was one.
    ///
    /// # Errors
    ///
    /// Where a seccomp filter denies `futex(2)`.
    #[doc(alias = "notify")]
    pub fn notify_one(&self) -> Result<bool> {
        Ok(self.condition.view()?.1.notify_one()?)
    }

    /// Lets the `count` go on who have waited longest: how many there were.
    ///
    /// # Errors
    ///
    /// As for [`notify_one`](Self::notify_one).
    pub fn notify(&self, count: usize) -> Result<usize> {
        Ok(self.condition.view()?.1.notify(count)?)
    }

    /// Lets all go on who wait: how many there were.
    ///
    /// # Errors
    ///
    /// As for [`notify_one`](Self::notify_one).
    pub fn notify_all(&self) -> Result<usize> {
        Ok(self.condition.view()?.1.notify_all()?)
    }

    fn wait_for_until(
        &mut self,
        deadline: Deadline,
        mut condition: impl FnMut() -> bool,
    ) -> Result<bool> {
        while !condition() {
            if deadline.is_past() {
                return Ok(false);
            }
            self.wait_until(deadline)?;
        }
        Ok(true)
    }

    fn wait_until(&mut self, deadline: Deadline) -> Result<bool> {
        let (mutex, condvar) = self.condition.view()?;
        let guard = match self.guard.take() {
            Some(guard) => guard,
            None => mutex.lock()?,
        };
        match condvar.wait_until(guard, deadline) {
            Ok((guard, notified)) => {
                self.guard = Some(guard);
                Ok(notified)
            }
            Err(LockError::OwnerDied((guard, _))) => {
                self.guard = Some(guard);
                Err(Error::OwnerDied)
            }
            Err(LockError::Failed(error)) => {
                self.guard = Some(mutex.lock()?);
                Err(error.into())
            }
        }
    }
}

/// Says that it does not matter that somebody has died with the lock.
impl mp_sync::Recover for ConditionGuard<'_> {
    fn recover(&self) {
        if let Ok((mutex, _)) = self.condition.view() {
            mutex.clear_poison();
        }
    }
}
