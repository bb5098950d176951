//! The leaf lock.
//!
//! **Memory order.** Taking the word is an `Acquire` exchange and giving it back a `Release` one, so whoever takes the lock
//! sees what every earlier holder did. A holder that was killed gave nothing back: the kernel puts `OWNER_DIED` into the
//! word by an atomic exchange after the thread has stopped, with the full barriers of a task's exit, so the `Acquire` that
//! reads it sees all the stores that the dead thread made. Between the word and `list_op_pending` only the order of one
//! thread's own stores matters, which the fences of `robust` keep from the compiler.
//!
//! After `linux/futex.h` and `nptl/pthread_mutex_lock.c`; the bug reports named below are glibc's.

use std::{
    fmt,
    time::{Duration, Instant},
};

use mp_os::{Deadline, Error, Result, TimeoutError, TryError};
use nix::errno::Errno;

use crate::{
    Doorbell,
    atomic::{
        AtomicU32,
        Ordering::{Acquire, Relaxed, SeqCst},
    },
    process::thread_lives,
    robust::{Holder, Pending},
    spin, sys,
};

/// The holder's thread number; zero while nobody holds the lock.
pub(crate) const HOLDER: u32 = 0x3fff_ffff;
/// The kernel's mark: the previous holder died inside.
pub(crate) const OWNER_DIED: u32 = 0x4000_0000;
/// Somebody sleeps, or has slept and cannot know whether others still do.
pub(crate) const WAITERS: u32 = 0x8000_0000;

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
/// let word = AtomicU32::new(0); // in shared memory, normally
/// let lock = LeafLock::from_atomic(&word);
/// let guard = lock.lock()?;
/// assert!(!guard.owner_died());
/// assert!(std::thread::scope(|scope| scope.spawn(|| lock.try_lock().is_err()).join().unwrap()));
/// drop(guard);
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[repr(transparent)]
pub struct LeafLock(
    /// `HOLDER | OWNER_DIED | WAITERS`, the layout that the kernel's robust futexes know:
    ///
    /// | holder | died | waiters | state |
    /// |---|---|---|---|
    /// | 0 | 0 | any | free |
    /// | TID | 0 | 0 | held |
    /// | TID | 0 | 1 | held, and its release wakes one sleeper |
    /// | 0 | 1 | any | free, its last holder died inside |
    AtomicU32,
);

impl LeafLock {
    /// A free lock.
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
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
        let pending = holder.begin(&self.0);
        let mut state = 0;
        loop {
            match self.take(state, holder.tid | state & WAITERS) {
                Ok(_) => {
                    return Ok(LeafGuard {
                        lock: self,
                        pending,
                        owner_died: state & OWNER_DIED != 0,
                    });
                }
                Err(now) if now & HOLDER == 0 => state = now,
                Err(_) => {
                    pending.end();
                    return Err(TryError::WouldBlock);
                }
            }
        }
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
        let holder = Holder::current()?;
        let pending = holder.begin(&self.0);
        if self.take(0, holder.tid).is_ok() {
            return Ok(LeafGuard { lock: self, pending, owner_died: false });
        }
        match self.lock_contended(holder.tid, deadline) {
            Ok(owner_died) => Ok(LeafGuard { lock: self, pending, owner_died }),
            Err(error) => {
                pending.end();
                Err(error)
            }
        }
    }

    /// The moment at which the lock changes hands.
    #[inline]
    fn take(&self, from: u32, to: u32) -> Result<u32, u32> {
        self.0.compare_exchange(from, to, Acquire, Relaxed)
    }

    /// Takes the lock from whoever holds it now; whether its last holder died inside.
    #[cold]
    fn lock_contended(&self, tid: u32, deadline: Deadline) -> Result<bool, TimeoutError> {
        // Who has slept cannot know whether others still do, and passes the mark on (BZ 20973).
        let mut slept = 0;
        let mut state = self.spin();
        loop {
            if state & HOLDER == 0 {
                match self.take(state, tid | state & WAITERS | slept) {
                    Ok(_) => return Ok(state & OWNER_DIED != 0),
                    Err(now) => state = now,
                }
                continue;
            }
            if state & HOLDER == tid {
                return Err(failed(Errno::EDEADLK.into()).into());
            }
            if state & WAITERS == 0 {
                if let Err(now) = self.0.compare_exchange(state, state | WAITERS, Relaxed, Relaxed)
                {
                    state = now;
                    continue;
                }
                state |= WAITERS;
            }
            slept = WAITERS;
            if deadline.is_past() {
                return Err(TimeoutError::TimedOut);
            }
            let slice = Deadline::after(SLICE);
            sys::futex_wait(&self.0, state, deadline.or_after(SLICE)).map_err(failed)?;
            let now = self.0.load(Relaxed);
            if now == state && slice.is_past() && self.recover(state, tid) {
                return Ok(true);
            }
            state = now;
        }
    }

    /// The state after a moment in which the holder, if it runs on another core, has probably finished.
    fn spin(&self) -> u32 {
        let mut looks = spin::briefly();
        loop {
            let state = self.0.load(Relaxed);
            // Once others sleep, it will not be short.
            if state & HOLDER == 0 || state & WAITERS != 0 || !looks.again() {
                return state;
            }
        }
    }

    /// Takes the lock from a holder that died without the kernel knowing of this lock: it broke the rules of a leaf.
    ///
    /// Should the dead thread's number be given to a new thread right now, which takes this very lock between the look and
    /// the exchange, two would hold it. The number would have to come round (32,768 at least) in that time.
    fn recover(&self, state: u32, tid: u32) -> bool {
        !thread_lives(state & HOLDER) && self.take(state, tid | WAITERS).is_ok()
    }
}

impl Default for LeafLock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LeafLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.load(Relaxed);
        f.debug_struct("LeafLock")
            .field("holder", &(state & HOLDER))
            .field("owner_died", &(state & OWNER_DIED != 0))
            .field("waiters", &(state & WAITERS != 0))
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
    pending: Pending,
    owner_died: bool,
}

impl LeafGuard<'_> {
    /// Whether the previous holder died inside: what the lock protects may be half changed.
    ///
    /// Said to one holder. If that one dies too before it releases the lock, the next is told again.
    #[inline]
    pub fn owner_died(&self) -> bool {
        self.owner_died
    }

    /// Releases the lock, to ring doorbells after it: cheaper than dropping the guard and ringing.
    #[inline]
    pub fn release(self) -> Released {
        drop(self);
        Released(())
    }
}

/// A lock was released just now, and what happened under it is visible to whoever a [`Doorbell`] wakes.
#[derive(Debug)]
pub struct Released(());

impl Released {
    /// Wakes one sleeper at `bell`, if there is one: [`Doorbell::ring`], without the barrier that the release was.
    #[inline]
    pub fn ring(self, bell: &Doorbell) -> Self {
        bell.ring_after_exchange();
        self
    }
}

impl Drop for LeafGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        let word = &self.lock.0;
        // A plain zero: kernels before 5.17 wake a waiter on behalf of a thread that dies right here only if they find that.
        // `SeqCst` is `Release` and, with `Released`, the barrier that a doorbell needs.
        if word.swap(0, SeqCst) & WAITERS != 0 {
            sys::futex_wake(word, 1);
        }
        self.pending.end();
    }
}

#[cold]
fn failed(error: std::io::Error) -> Error {
    Error::new("take", "a leaf lock", error)
}
