//! The leaf lock.
//!
//! Its memory order is that of its [`LockWords`]. Between the word and `list_op_pending` only the order of one thread's own
//! stores matters, which the fences of `robust` keep from the compiler.
//!
//! After `linux/futex.h` and `nptl/pthread_mutex_lock.c`; the bug reports named below are glibc's.

use std::{
    fmt,
    time::{Duration, Instant},
};

use mp_os::{Deadline, Error, Result, TimeoutError, TryError};
use nix::errno::Errno;

use crate::{
    process::thread_lives,
    robust::{Held, Holder},
    words::{HOLDER, LockWords, OWNER_DIED, WAITERS},
};

/// The longest sleep before looking whether the holder is still alive.
const SLICE: Duration = Duration::from_millis(100);

/// A lock in shared memory that its holder's death releases, whatever instruction the `SIGKILL` hits.
///
/// It is a *leaf*: inside it a thread takes no other lock, calls no code of a user, allocates nothing and does not fork.
/// (The kernel is told of one lock a thread at a time; a robust pthread mutex taken inside would take that place. A holder
/// that dies then is found out by the next waiter, within 100 ms instead of at once.) It does not poison: whoever finds
/// [`owner_died`](LeafGuard::owner_died) set must assume that the protected data was being changed.
///
/// All processes that share the word must be in one PID namespace: it holds a thread number.
///
/// # Examples
///
/// ```
/// use mp_sync::LeafLock;
/// use std::sync::atomic::AtomicU32;
///
/// let words = [const { AtomicU32::new(0) }; 2]; // in shared memory, normally
/// let lock = LeafLock::from_atomics(&words);
/// let guard = lock.lock()?;
/// assert!(!guard.owner_died());
/// assert!(std::thread::scope(|scope| scope.spawn(|| lock.try_lock().is_err()).join().unwrap()));
/// drop(guard);
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[repr(transparent)]
pub struct LeafLock(LockWords);

impl LeafLock {
    /// A free lock.
    pub const fn new() -> Self {
        Self(LockWords::new())
    }

    /// Takes the lock, for as long as it takes.
    ///
    /// # Errors
    ///
    /// [`Deadlock`](std::io::ErrorKind::Deadlock) where this thread holds it already; what `futex(2)` and
    /// `set_robust_list(2)` fail with, where a seccomp filter denies them.
    #[inline]
    pub fn lock(&self) -> Result<LeafGuard<'_>> {
        match self.lock_until(Deadline::never()) {
            Ok(guard) => Ok(guard),
            Err(TimeoutError::Os(error)) => Err(error),
            Err(_) => Err(failed(Errno::ETIMEDOUT.into())),
        }
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    ///
    /// [`TryError::WouldBlock`] where it is not; [`TryError::Os`] as for [`lock`](Self::lock).
    #[inline]
    pub fn try_lock(&self) -> Result<LeafGuard<'_>, TryError> {
        let holder = Holder::current()?;
        let pending = holder.begin(self.0.word());
        if self.0.take(0, holder.tid, false).is_ok() {
            return Ok(LeafGuard { lock: self, held: Held::new(pending, false) });
        }
        match self.try_lock_left(holder.tid) {
            Some(owner_died) => Ok(LeafGuard { lock: self, held: Held::new(pending, owner_died) }),
            None => {
                pending.end();
                Err(TryError::WouldBlock)
            }
        }
    }

    /// Takes the lock if a holder died and left it, or it has just become free; whether its last holder died inside.
    #[cold]
    fn try_lock_left(&self, tid: u32) -> Option<bool> {
        let mut state = self.0.state();
        while state & HOLDER == 0 {
            match self.0.take(state, tid, false) {
                Ok(()) => return Some(state & OWNER_DIED != 0),
                Err(now) => state = now,
            }
        }
        None
    }

    /// [`lock`](Self::lock), giving up after `timeout`.
    ///
    /// # Errors
    ///
    /// [`TimeoutError::TimedOut`]; [`TimeoutError::Os`] as for [`lock`](Self::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> Result<LeafGuard<'_>, TimeoutError> {
        self.lock_until(Deadline::after(timeout))
    }

    /// [`lock`](Self::lock), giving up at `deadline`.
    ///
    /// # Errors
    ///
    /// As for [`lock_timeout`](Self::lock_timeout).
    pub fn lock_deadline(&self, deadline: Instant) -> Result<LeafGuard<'_>, TimeoutError> {
        self.lock_until(Deadline::at(deadline))
    }

    /// [`lock`](Self::lock), giving up when `deadline` has passed: what the others of the family call.
    ///
    /// A holder that is stopped, not dead, keeps the lock for as long as it likes.
    ///
    /// # Errors
    ///
    /// As for [`lock_timeout`](Self::lock_timeout).
    #[inline]
    pub fn lock_until(&self, deadline: Deadline) -> Result<LeafGuard<'_>, TimeoutError> {
        self.lock_until_with(|| deadline)
    }

    /// [`lock_until`](Self::lock_until), with a deadline that is found out only where somebody holds the lock: that takes a
    /// look at the clock, which costs more than the lock.
    ///
    /// # Errors
    ///
    /// As for [`lock_timeout`](Self::lock_timeout).
    #[inline(always)]
    pub fn lock_until_with(
        &self,
        deadline: impl FnOnce() -> Deadline,
    ) -> Result<LeafGuard<'_>, TimeoutError> {
        let holder = Holder::current()?;
        let pending = holder.begin(self.0.word());
        if self.0.take(0, holder.tid, false).is_ok() {
            return Ok(LeafGuard { lock: self, held: Held::new(pending, false) });
        }
        match self.lock_contended(holder.tid, deadline()) {
            Ok(owner_died) => Ok(LeafGuard { lock: self, held: Held::new(pending, owner_died) }),
            Err(error) => {
                pending.end();
                Err(error)
            }
        }
    }

    /// Takes the lock from whoever holds it now; whether its last holder died inside.
    #[cold]
    fn lock_contended(&self, tid: u32, deadline: Deadline) -> Result<bool, TimeoutError> {
        let mut slept = false;
        let mut state = self.0.spin();
        loop {
            if state & HOLDER == 0 {
                match self.0.take(state, tid, slept) {
                    Ok(()) => return Ok(state & OWNER_DIED != 0),
                    Err(now) => state = now,
                }
                continue;
            }
            if state & HOLDER == tid {
                return Err(failed(Errno::EDEADLK.into()).into());
            }
            if !deadline.is_past() {
                let slice = Deadline::after(SLICE);
                slept |= self.0.sleep(state, deadline, SLICE)?;
                let now = self.0.state();
                if now == state | WAITERS && slice.is_past() && self.recover(now, tid) {
                    return Ok(true);
                }
            } else if !slept || self.0.give_up() {
                return Err(TimeoutError::TimedOut);
            }
            state = self.0.state();
        }
    }

    /// Takes the lock from a holder that died without the kernel knowing of this lock: it broke the rules of a leaf.
    ///
    /// Should the dead thread's number be given to a new thread right now, which takes this very lock between the look and
    /// the exchange, two would hold it. The number would have to come round (32,768 at least) in that time.
    fn recover(&self, state: u32, tid: u32) -> bool {
        !thread_lives(state & HOLDER) && self.0.take(state, tid, true).is_ok()
    }
}

impl Default for LeafLock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LeafLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state();
        f.debug_struct("LeafLock")
            .field("holder", &(state & HOLDER))
            .field("owner_died", &(state & OWNER_DIED != 0))
            .field("waiters", &self.0.has_sleepers())
            .finish()
    }
}

/// The [`LeafLock`] is held; dropping this releases it.
///
/// It belongs to its thread (it is not `Send`), and it borrows the lock: so the memory with the word stays mapped until
/// the kernel has been told that this thread is done with it. Were the page unmapped, and another mapped in its place,
/// between the release and that moment, the kernel would at the thread's death take a word of the new page for the lock
/// (BZ 14485). For the same reason do not [`forget`](std::mem::forget) it: the lock then stays held, and the kernel is told
/// of it, until this thread takes another lock or ends.
#[must_use = "the lock is released when the guard is dropped"]
#[derive(Debug)]
pub struct LeafGuard<'a> {
    lock: &'a LeafLock,
    held: Held,
}

impl LeafGuard<'_> {
    /// Whether the previous holder died inside: what the lock protects may be half changed.
    ///
    /// Said to one holder. If that one dies too before it releases the lock, the next is told again.
    #[inline]
    pub fn owner_died(&self) -> bool {
        self.held.owner_died()
    }
}

impl Drop for LeafGuard<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.lock.0.release();
        self.held.end();
    }
}

#[cold]
fn failed(error: std::io::Error) -> Error {
    Error::new("take", "a leaf lock", error)
}
