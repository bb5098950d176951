//! A lock that is held while code of a user runs: the leaf lock's word, and beside it who holds it.
//!
//! The kernel is told of one word a thread. While a thread holds one lock of this kind and no leaf, that is this lock's, and
//! a death is seen at once, as with the leaf lock. A thread that holds several, or a leaf inside, is known by its
//! process: waiters look every 25 ms whether that is dead.
//!
//! **Who may judge.** `holder` is the holder's process, or zero in the first instants and the last ones, in which the kernel
//! knows of the word. A free word without `OWNER_DIED` always comes with a zero, so whoever takes that by one exchange needs
//! no more than to write its own process afterwards: until then nobody judges it. A dead holder's lock changes hands under
//! `recovery`, a leaf lock: the new holder writes its process *first* and then takes the word. So a process found in `holder`
//! under `recovery`, with a thread number in the word, is the one that holds the lock or is about to, and if it is dead,
//! nobody does.
//!
//! **Memory order.** As for the leaf lock; `holder` is written by the one who has, or is about to have, the lock, and only the
//! order in one thread matters where that thread is killed.

use std::{
    sync::atomic::{
        AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
        fence,
    },
    time::Duration,
};

use mp_os::{Deadline, Error, Result, TimeoutError};
use nix::errno::Errno;

use crate::{
    LeafLock,
    process::ProcessId,
    robust::{Holder, Pending},
    words::{HOLDER, LockWords, OWNER_DIED, WAITERS},
};

/// The longest sleep before looking whether the holder is still alive.
pub(crate) const SLICE: Duration = Duration::from_millis(25);

/// A robust mutex without a value. All zeroes are a free one.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct RawMutex {
    words: LockWords,
    /// The bits of the holder's [`ProcessId`], or zero.
    holder: AtomicU64,
    /// For those who take the mutex from a dead holder.
    recovery: LeafLock,
    /// How often the holder has locked a reentrant lock, beyond the first time.
    pub(crate) depth: AtomicU32,
    /// A holder died or panicked, and nobody has cleared that.
    pub(crate) poison: AtomicU32,
}

/// What a thread that wants the lock is.
#[derive(Clone, Copy)]
struct Taker {
    tid: u32,
    process: ProcessId,
}

impl RawMutex {
    /// Takes the lock; whether its last holder died inside.
    ///
    /// What is inlined here and in [`unlock`](Self::unlock) is the way without contention, and always is: a guard that goes
    /// through memory on its way to the caller is read before its parts, of other sizes, have been written, which costs as
    /// much as the lock.
    #[inline(always)]
    pub(crate) fn lock_until(&self, deadline: Deadline) -> Result<bool, TimeoutError> {
        let thread = Holder::current()?;
        let taker = Taker { tid: thread.tid, process: ProcessId::of_thread(thread) };
        let pending = thread.begin(self.words.word());
        if self.words.take(0, taker.tid, false).is_ok() {
            self.holder.store(taker.process.to_bits(), Relaxed);
            pending.stay();
            return Ok(false);
        }
        self.lock_pending(taker, pending, deadline)
    }

    #[cold]
    fn lock_pending(
        &self,
        taker: Taker,
        pending: Pending,
        deadline: Deadline,
    ) -> Result<bool, TimeoutError> {
        let died = self.lock_contended(taker, deadline);
        match died {
            Ok(_) => pending.stay(),
            Err(_) => pending.end(),
        }
        died
    }

    /// The calling thread, if it holds the lock. In a child of the holder, which has a copy of its guard, it does not.
    #[inline(always)]
    pub(crate) fn mine(&self) -> Option<Holder> {
        let thread = Holder::current().ok()?;
        (self.words.state() & HOLDER == thread.tid).then_some(thread)
    }

    /// Gives the lock back that `thread` holds.
    #[inline(always)]
    pub(crate) fn unlock_as(&self, thread: Holder) {
        let pending = thread.begin(self.words.word());
        self.holder.store(0, Relaxed);
        self.words.release();
        pending.end();
    }

    /// Gives the lock back, if the calling thread holds it.
    #[inline]
    pub(crate) fn unlock(&self) {
        if let Some(thread) = self.mine() {
            self.unlock_as(thread);
        }
    }

    /// Whether the calling thread holds the lock.
    #[inline]
    pub(crate) fn is_mine(&self) -> Result<bool> {
        let thread = Holder::current()?;
        let is_thread = self.words.state() & HOLDER == thread.tid;
        Ok(is_thread && self.is_of(ProcessId::of_thread(thread)))
    }

    /// Whether anybody holds it.
    pub(crate) fn is_locked(&self) -> bool {
        self.words.state() & HOLDER != 0
    }

    #[inline]
    fn is_of(&self, process: ProcessId) -> bool {
        self.holder.load(Relaxed) == process.to_bits()
    }

    fn lock_contended(&self, taker: Taker, deadline: Deadline) -> Result<bool, TimeoutError> {
        let mut slept = false;
        let mut state = self.words.spin();
        loop {
            if state & OWNER_DIED != 0 && self.take_over(taker, |now| now & OWNER_DIED != 0)? {
                return Ok(true);
            }
            if state & (HOLDER | OWNER_DIED) == 0 {
                if self.words.take(state, taker.tid, slept).is_ok() {
                    self.holder.store(taker.process.to_bits(), Relaxed);
                    return Ok(false);
                }
            } else if state & HOLDER == taker.tid && self.is_of(taker.process) {
                let waits = !deadline.is_past();
                return Err(if waits { deadlock() } else { TimeoutError::TimedOut });
            } else if !deadline.is_past() {
                let slice = Deadline::after(SLICE);
                slept |= self.words.sleep(state, deadline, SLICE)?;
                let is_late = slice.is_past() && self.words.state() == state | WAITERS;
                if is_late && self.take_over_from_dead(taker)? {
                    return Ok(true);
                }
            } else if self.take_over_from_dead(taker)? {
                return Ok(true);
            } else if !slept || self.words.give_up() {
                return Err(TimeoutError::TimedOut);
            }
            state = self.words.state();
        }
    }

    /// Takes the lock from a holder that died without the kernel knowing of this lock.
    fn take_over_from_dead(&self, taker: Taker) -> Result<bool> {
        let Some(holder) = ProcessId::from_bits(self.holder.load(Acquire)) else {
            return Ok(false);
        };
        // Asked outside of the leaf lock: it is a system call, or several.
        Ok(holder.is_dead() && self.take_over(taker, |_| self.is_of(holder))?)
    }

    /// Takes the lock, if the last holder is dead, which `judge` knows of the word: see above.
    fn take_over(&self, taker: Taker, judge: impl Fn(u32) -> bool) -> Result<bool> {
        let _one_at_a_time = self.recovery.lock()?;
        let mut state = self.words.state();
        // A word that is free without the mark is for everybody, at any time.
        if state & (HOLDER | OWNER_DIED) == 0 || !judge(state) {
            return Ok(false);
        }
        self.holder.store(taker.process.to_bits(), Relaxed);
        fence(Release);
        while let Err(now) = self.words.take(state, taker.tid, true) {
            // Another waiter has announced itself.
            state = now;
        }
        Ok(true)
    }
}

/// Who waits for itself waits for ever.
fn deadlock() -> TimeoutError {
    failed(Errno::EDEADLK.into()).into()
}

#[cold]
fn failed(error: std::io::Error) -> Error {
    Error::new("take", "a mutex", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_and_nests() {
        let (outer, inner) = (RawMutex::new(), RawMutex::new());
        for _ in 0..2 {
            assert!(!outer.lock_until(Deadline::never()).unwrap());
            assert!(outer.is_mine().unwrap());
            assert!(!inner.lock_until(Deadline::never()).unwrap());
            assert!(outer.lock_until(Deadline::after(SLICE)).unwrap_err().os_error().is_some());
            outer.unlock();
            assert!(!outer.is_locked() && inner.is_mine().unwrap());
            inner.unlock();
            assert!(!inner.is_locked());
        }
    }

    impl RawMutex {
        const fn new() -> Self {
            Self {
                words: LockWords::new(),
                holder: AtomicU64::new(0),
                recovery: LeafLock::new(),
                depth: AtomicU32::new(0),
                poison: AtomicU32::new(0),
            }
        }
    }
}
