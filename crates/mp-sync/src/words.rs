//! What the leaf lock and the mutex have in common: two words, of which one says who holds the lock.
//!
//! **Memory order.** Taking the lock is an `Acquire` exchange and giving it back a `Release` store, so whoever takes it
//! sees what every earlier holder did. A holder that was killed gave nothing back: the kernel puts `OWNER_DIED` into the
//! word by an atomic exchange after the thread has stopped, with the full barriers of a task's exit, so the `Acquire` that
//! reads it sees all the stores that the dead thread made.
//!
//! **Who wakes whom.** A release is a store, and looks at a word of its own, `sleepers`, whether that was all: an exchange
//! would cost as much again as taking the lock. Who goes to sleep sets `sleepers`, puts `WAITERS` into the state, calls
//! [`membarrier::heavy`], and sleeps while the state is as he left it. Then either the holder's look at `sleepers` comes after
//! that and it wakes; or its store came before, so that the state is another and nobody sleeps on it. `sleepers` is cleared
//! by a holder only, who wakes one; whoever is woken sets it again when he has the lock, or goes back to sleep, or gives up:
//! he cannot know whether others still sleep (glibc BZ 20973). `WAITERS` is for the kernel, which looks at nothing else when a
//! holder dies.
//!
//! **Killed** after the store and before the wake-up: the kernel finds a zero at the word that it was told of and wakes one.
//! Between the clearing of `sleepers` and the store: it finds the dead one's number, and `WAITERS`, if anybody sleeps on that.

use std::time::Duration;

use mp_os::{Deadline, Error, Result};

use crate::{
    atomic::{
        AtomicU32,
        Ordering::{Acquire, Relaxed, Release},
    },
    membarrier, spin, sys,
};

/// The holder's thread number; zero while nobody holds the lock.
pub(crate) const HOLDER: u32 = 0x3fff_ffff;
/// The kernel's mark: the previous holder died inside.
pub(crate) const OWNER_DIED: u32 = 0x4000_0000;
/// Somebody sleeps, or has slept and cannot know whether others still do.
pub(crate) const WAITERS: u32 = 0x8000_0000;

/// The words of a lock. All zeroes are a free one.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct LockWords {
    /// `HOLDER | OWNER_DIED | WAITERS`, the layout that the kernel's robust futexes know:
    ///
    /// | holder | died | state |
    /// |---|---|---|
    /// | 0 | 0 | free |
    /// | TID | 0 | held |
    /// | 0 | 1 | free, its last holder died inside |
    state: AtomicU32,
    /// Not zero where `WAITERS` was ever set and its sleepers may still be asleep.
    sleepers: AtomicU32,
}

impl LockWords {
    pub(crate) const fn new() -> Self {
        Self { state: AtomicU32::new(0), sleepers: AtomicU32::new(0) }
    }

    /// What the kernel is told of.
    #[inline(always)]
    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.state
    }

    #[inline(always)]
    pub(crate) fn state(&self) -> u32 {
        self.state.load(Relaxed)
    }

    /// Whether somebody sleeps, or has slept and cannot know whether others still do.
    #[inline(always)]
    pub(crate) fn has_sleepers(&self) -> bool {
        self.sleepers.load(Relaxed) != 0
    }

    /// The moment at which a free lock changes hands: from the state `from` to the thread `tid`, or the state is another.
    /// `slept` says that the thread was asleep before.
    #[inline(always)]
    pub(crate) fn take(&self, from: u32, tid: u32, slept: bool) -> Result<(), u32> {
        let waiters = if slept { WAITERS } else { from & WAITERS };
        self.state.compare_exchange(from, tid | waiters, Acquire, Relaxed)?;
        if waiters != 0 {
            self.sleepers.store(1, Relaxed);
        }
        Ok(())
    }

    /// Gives the lock back, and wakes somebody who waits for it.
    #[inline(always)]
    pub(crate) fn release(&self) {
        if self.has_sleepers() {
            return self.release_to_sleeper();
        }
        // A plain zero: kernels before 5.17 wake a waiter on behalf of a thread that dies right here only if they find that.
        self.state.store(0, Release);
        membarrier::light();
        if self.has_sleepers() {
            self.wake();
        }
    }

    #[cold]
    fn release_to_sleeper(&self) {
        self.sleepers.store(0, Relaxed);
        self.state.store(0, Release);
        self.wake();
    }

    #[cold]
    fn wake(&self) {
        sys::futex_wake(&self.state, 1);
    }

    /// Sleeps while the state is `state`, in which somebody holds the lock: at most for `slice`, and until `deadline`.
    /// False where it was another state already.
    ///
    /// # Errors
    ///
    /// What `futex(2)` fails with where a seccomp filter denies it.
    pub(crate) fn sleep(&self, state: u32, deadline: Deadline, slice: Duration) -> Result<bool> {
        self.sleepers.store(1, Relaxed);
        let marked = state | WAITERS;
        if state != marked && self.state.compare_exchange(state, marked, Relaxed, Relaxed).is_err()
        {
            return Ok(false);
        }
        let nap = membarrier::heavy(slice);
        let end = deadline.or_after(slice);
        loop {
            sys::futex_wait(&self.state, marked, end.or_after(nap))
                .map_err(|error| Error::new("wait for", "a lock", error))?;
            if nap == slice || self.state() != marked || end.is_past() {
                return Ok(true);
            }
        }
    }

    /// Gives up, after having slept: whether somebody holds the lock, who will wake the others that still sleep.
    pub(crate) fn give_up(&self) -> bool {
        self.sleepers.store(1, Relaxed);
        membarrier::heavy(Duration::ZERO);
        self.state() & HOLDER != 0
    }

    /// The state after a moment in which the holder, if it runs on another core, has probably finished.
    pub(crate) fn spin(&self) -> u32 {
        let mut looks = spin::briefly();
        loop {
            let state = self.state();
            // Once others sleep, it will not be short.
            if state & HOLDER == 0 || state & WAITERS != 0 || !looks.again() {
                return state;
            }
        }
    }
}
