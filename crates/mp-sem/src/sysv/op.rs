use mp_os::{Deadline, Error, Result};
use nix::libc::{self, sembuf};

use super::{Limits, MAX_VALUE, SemaphoreSet, TimeoutError, TryError, WaitError, sys};

/// One part of an atomic operation on a set: `struct sembuf`.
///
/// # Examples
///
/// ```
/// use mp_sem::sysv::{Key, Op, SemaphoreSet};
///
/// let set = SemaphoreSet::create_new(Key::PRIVATE, &[0, 5])?;
/// // Semaphore 0 as a lock: wait until it is zero and raise it, in one step.
/// set.op(&[Op::wait_zero(0), Op::release(0, 1).undo()])?;
/// assert!(set.try_op(&[Op::wait_zero(0), Op::release(0, 1).undo()]).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "sembuf")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    index: u16,
    change: Change,
    undo: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Acquire(u16),
    Release(u16),
    WaitZero,
}

impl Op {
    /// Takes `permits` of semaphore `index`, and waits while there are fewer.
    pub const fn acquire(index: u16, permits: u16) -> Self {
        Self { index, change: Change::Acquire(permits), undo: false }
    }

    /// Adds `permits` to semaphore `index`.
    pub const fn release(index: u16, permits: u16) -> Self {
        Self { index, change: Change::Release(permits), undo: false }
    }

    /// Waits until semaphore `index` is zero.
    pub const fn wait_zero(index: u16) -> Self {
        Self { index, change: Change::WaitZero, undo: false }
    }

    /// Has the kernel take it back when this process ends, however it ends (`SEM_UNDO`).
    ///
    /// The kernel adds up what it has to take back per process, not per thread; a forked child starts with nothing.
    #[doc(alias = "SEM_UNDO")]
    #[must_use]
    pub const fn undo(mut self) -> Self {
        self.undo = true;
        self
    }

    /// As the kernel takes it, or why it would be refused or mean something else.
    fn to_raw(self, len: usize) -> Result<sembuf, String> {
        if usize::from(self.index) >= len {
            return Err(format!("it has {len} semaphores, and none of index {}", self.index));
        }
        let (permits, sign) = match self.change {
            Change::Acquire(permits) => (permits, -1),
            Change::Release(permits) => (permits, 1),
            Change::WaitZero => return Ok(self.with_change(0)),
        };
        match i16::try_from(permits) {
            Ok(0) => {
                Err("zero permits mean to wait for zero, for which there is `wait_zero`".to_owned())
            }
            Ok(permits) => Ok(self.with_change(sign * permits)),
            Err(_) => Err(format!("{permits} permits are more than {MAX_VALUE}")),
        }
    }

    const fn with_change(self, sem_op: i16) -> sembuf {
        let sem_flg = if self.undo { libc::SEM_UNDO as i16 } else { 0 };
        sembuf { sem_num: self.index, sem_op, sem_flg }
    }
}

/// How many operations need no allocation.
const INLINE: usize = 16;

impl SemaphoreSet {
    mp_os::family! {
        fails with (WaitError, TryError, TimeoutError):

        /// `semop(2)`—Does all of `ops` in one step, and waits while one of them cannot be done.
        ///
        /// Nothing is taken while it waits, so nobody can deadlock over parts of a set.
        ///
        /// # Errors
        ///
        /// [`Removed`](WaitError::Removed); [`InvalidInput`](std::io::ErrorKind::InvalidInput) for no `ops`, an index that
        /// the set does not have, or a number of permits that is zero or above [`MAX_VALUE`]; `E2BIG` for too many
        /// `ops` and `ERANGE` where a value would exceed [`MAX_VALUE`], both with a hint; permission denied.
        #[doc(alias = "semop", alias = "semtimedop")]
        pub fn op, try_op, op_timeout, op_deadline(self: &Self, ops: &[Op]) -> () = op_until;

        /// `semop(2)`—Waits until semaphore `index` is zero.
        ///
        /// # Errors
        ///
        /// As for [`op`](Self::op).
        pub fn wait_zero, try_wait_zero, wait_zero_timeout, wait_zero_deadline(
            self: &Self, index: u16
        ) -> () = wait_zero_until;
    }

    /// Adds `permits` to semaphore `index`, or gives them back; it never waits.
    ///
    /// # Errors
    ///
    /// As for [`op`](Self::op).
    pub fn release(&self, index: u16, permits: u16) -> Result<(), WaitError> {
        self.op(&[Op::release(index, permits)])
    }

    fn wait_zero_until(&self, index: u16, deadline: Deadline) -> Result<(), TimeoutError> {
        self.op_until(&[Op::wait_zero(index)], deadline)
    }

    #[inline]
    pub(super) fn op_until(&self, ops: &[Op], deadline: Deadline) -> Result<(), TimeoutError> {
        let mut inline = [sembuf { sem_num: 0, sem_op: 0, sem_flg: 0 }; INLINE];
        let mut many = Vec::new();
        let raw = match inline.get_mut(..ops.len()) {
            Some(raw) => raw,
            None => {
                many.resize(ops.len(), inline[0]);
                &mut many
            }
        };
        for (raw, op) in raw.iter_mut().zip(ops) {
            *raw = op.to_raw(self.len()).map_err(|reason| self.refused(reason))?;
        }
        match raw {
            [] => Err(self.refused("there is no operation".to_owned()).into()),
            raw => self.op_raw(raw, deadline),
        }
    }

    #[inline]
    fn op_raw(&self, ops: &mut [sembuf], deadline: Deadline) -> Result<(), TimeoutError> {
        loop {
            // Looked at first: the last attempt is one made when the deadline has passed.
            let last = deadline.is_past();
            if last {
                ops.iter_mut().for_each(|op| op.sem_flg |= libc::IPC_NOWAIT as i16);
            }
            let timeout = if last { None } else { deadline.to_relative() };
            let result = sys::op(self.id(), ops, timeout);
            match result.as_ref().map_err(std::io::Error::raw_os_error) {
                Err(Some(libc::EINTR)) => {}
                Err(Some(libc::EAGAIN)) if last => return Err(TimeoutError::TimedOut),
                Err(Some(libc::EAGAIN)) => {}
                _ => return result.map_err(|error| self.op_failed(ops.len(), error).into()),
            }
        }
    }

    #[cold]
    fn refused(&self, reason: String) -> Error {
        Error::invalid_input("operate on", self.object(), reason)
    }

    #[cold]
    fn op_failed(&self, count: usize, error: std::io::Error) -> WaitError {
        let errno = error.raw_os_error();
        match self.failed("operate on", error) {
            WaitError::Os(error) => WaitError::Os(match errno {
                Some(libc::E2BIG) => error.with_hint_from(Limits::read(), |limits| {
                    format!("{count} operations, of which `kernel.sem` (SEMOPM) allows {}", limits.semopm)
                }),
                Some(libc::ERANGE) => error.with_hint(format!(
                    "a System V semaphore counts to {MAX_VALUE} (SEMVMX), and so does what a process has to undo"
                )),
                _ => error,
            }),
            outcome => outcome,
        }
    }
}
