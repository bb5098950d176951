use std::mem;

use mp_os::Deadline;

use super::{Op, SemaphoreSet, TimeoutError, TryError, WaitError};

/// A permit, given back when it is dropped, and by the kernel when the process ends, however it ends (`SEM_UNDO`).
///
/// It belongs to the process that took it: drop it there, not in a fork.
///
/// # Examples
///
/// ```
/// use mp_sem::sysv::{Key, SemaphoreSet};
///
/// let set = SemaphoreSet::create_new(Key::PRIVATE, &[2])?;
/// let permit = set.acquire(0)?;
/// set.acquire(0)?.forget()?;
/// drop(permit);
/// assert_eq!(set.value(0)?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a permit that is not kept is given back at once"]
#[derive(Debug)]
pub struct Permit<'a> {
    set: &'a SemaphoreSet,
    index: u16,
}

impl SemaphoreSet {
    mp_os::family! {
        fails with (WaitError, TryError, TimeoutError):

        /// `semop(2)` with `SEM_UNDO`—Takes a permit of semaphore `index`, and waits while there is none.
        ///
        /// # Errors
        ///
        /// As for [`op`](Self::op).
        #[doc(alias = "semop", alias = "SEM_UNDO")]
        pub fn acquire, try_acquire, acquire_timeout, acquire_deadline(
            self: &Self, index: u16
        ) -> Permit<'_> = acquire_until;
    }

    fn acquire_until(&self, index: u16, deadline: Deadline) -> Result<Permit<'_>, TimeoutError> {
        self.op_until(&[Op::acquire(index, 1).undo()], deadline)?;
        Ok(Permit { set: self, index })
    }
}

impl Permit<'_> {
    /// Which semaphore of its set it is of.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// Consumes the permit without giving it back, now or when the process ends: one process takes, another one
    /// [releases](SemaphoreSet::release).
    ///
    /// # Errors
    ///
    /// As for [`op`](SemaphoreSet::op). Then the permit has been dropped.
    pub fn forget(self) -> Result<(), WaitError> {
        // In one step: the undo of the first cancels what the kernel would give back, the second takes without.
        self.set.op(&[Op::release(self.index, 1).undo(), Op::acquire(self.index, 1)])?;
        mem::forget(self);
        Ok(())
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // It fails where the set is gone or full; then nobody lacks the permit.
        drop(self.set.op(&[Op::release(self.index, 1).undo()]));
    }
}
