use std::{
    sync::atomic::{
        AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
    time::{Duration, Instant},
};

use bytemuck::Pod;
use mp_os::{Deadline, Error, Result};

use crate::{
    LeafGuard, LeafLock, MutexGuard, error::LockError, place, process::ProcessId, raw::SLICE, sys,
};

const FREE: u32 = 0;
const WAITING: u32 = 1;
const NOTIFIED: u32 = 2;

/// The beginning of a condition variable; the [`Waiter`]s follow.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Head {
    /// A leaf lock for all that follows.
    lock: LeafLock,
    /// The ticket of the next who waits.
    ticket: AtomicU32,
}

/// Somebody who waits, and sleeps at his `state`.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Waiter {
    process: AtomicU64,
    state: AtomicU32,
    /// The order in which they came. Of one who was notified: the next one's at that time.
    ticket: AtomicU32,
}

impl Waiter {
    fn is(&self, state: u32) -> bool {
        self.state.load(Acquire) == state
    }
}

/// What processes wait for that hold a [`Mutex`](crate::Mutex), until others have changed what it protects.
///
/// Each notification lets one go who waits at that time. If that one is killed before it has gone on, another one that has
/// waited then is let go instead, within 25 ms. As with std's, a wait may end without a notification, though this happens
/// only where a process is killed in the middle of passing one on.
///
/// # Examples
///
/// ```
/// use mp_sync::{Condvar, Mutex};
/// use std::{sync::atomic::AtomicU64, thread};
///
/// let words = [const { AtomicU64::new(0) }; 32]; // in shared memory, normally
/// let (first, rest) = words.split_at(Condvar::words(8));
/// let (changed, ready) = (Condvar::attach(first)?, Mutex::create(rest, 0_u32)?);
/// thread::scope(|scope| {
///     scope.spawn(|| {
///         *ready.lock().unwrap() = 1;
///         changed.notify_one().unwrap();
///     });
///     let guard = changed.wait_while(ready.lock().unwrap(), |ready| *ready == 0).unwrap();
///     assert_eq!(*guard, 1);
/// });
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Condvar<'m> {
    head: &'m Head,
    waiters: &'m [Waiter],
}

/// A guard, or the guard of a lock whose holder died meanwhile, or an error; with whether there was a notification.
type Waited<'m, T> = Result<(MutexGuard<'m, T>, bool), LockError<(MutexGuard<'m, T>, bool)>>;

impl<'m> Condvar<'m> {
    /// The number of words for at most `waiters` threads that wait at the same time.
    pub const fn words(waiters: usize) -> usize {
        place::words_of::<Head>() + waiters * place::words_of::<Waiter>()
    }

    /// The condition variable in `words`. Zeroes are one for which nobody waits.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where there are fewer words than for one waiter.
    pub fn attach(words: &'m [AtomicU64]) -> Result<Self> {
        const OBJECT: &str = "the memory of a condition variable";
        let (head, rest) = place::split(words, place::words_of::<Waiter>(), OBJECT)?;
        Ok(Self { head, waiters: sys::row(rest) })
    }

    /// Releases the lock, waits for a notification, and takes the lock again.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`] as for [`Mutex::lock`](crate::Mutex::lock).
    /// [`QuotaExceeded`](std::io::ErrorKind::QuotaExceeded) where as many threads wait as there are places, or what
    /// `futex(2)` fails with where a seccomp filter denies it: the lock is released then.
    pub fn wait<T: Pod>(
        &self,
        guard: MutexGuard<'m, T>,
    ) -> Result<MutexGuard<'m, T>, LockError<MutexGuard<'m, T>>> {
        match self.wait_until(guard, Deadline::never()) {
            Ok((guard, _)) => Ok(guard),
            Err(error) => Err(error.map(|(guard, _)| guard)),
        }
    }

    /// [`wait`](Self::wait) for at most `timeout`, with the lock in any case: whether there was a notification.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn wait_timeout<T: Pod>(
        &self,
        guard: MutexGuard<'m, T>,
        timeout: Duration,
    ) -> Waited<'m, T> {
        self.wait_until(guard, Deadline::after(timeout))
    }

    /// [`wait`](Self::wait) until `deadline` at the latest, with the lock in any case: whether there was a notification.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn wait_deadline<T: Pod>(
        &self,
        guard: MutexGuard<'m, T>,
        deadline: Instant,
    ) -> Waited<'m, T> {
        self.wait_until(guard, Deadline::at(deadline))
    }

    /// [`wait`](Self::wait)s until `condition` is false, which is asked with the lock held.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn wait_while<T: Pod>(
        &self,
        guard: MutexGuard<'m, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> Result<MutexGuard<'m, T>, LockError<MutexGuard<'m, T>>> {
        match self.wait_while_until(guard, Deadline::never(), condition) {
            Ok((guard, _)) => Ok(guard),
            Err(error) => Err(error.map(|(guard, _)| guard)),
        }
    }

    /// [`wait_while`](Self::wait_while) for at most `timeout`, with the lock in any case: whether the condition is false.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn wait_timeout_while<T: Pod>(
        &self,
        guard: MutexGuard<'m, T>,
        timeout: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> Waited<'m, T> {
        self.wait_while_until(guard, Deadline::after(timeout), condition)
    }

    fn wait_while_until<T: Pod>(
        &self,
        mut guard: MutexGuard<'m, T>,
        deadline: Deadline,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Waited<'m, T> {
        while condition(&mut guard) {
            if deadline.is_past() {
                return Ok((guard, false));
            }
            (guard, _) = self.wait_until(guard, deadline)?;
        }
        Ok((guard, true))
    }

    /// [`wait`](Self::wait) until `deadline` has passed: what the others of the family call.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn wait_until<T: Pod>(
        &self,
        guard: MutexGuard<'m, T>,
        deadline: Deadline,
    ) -> Waited<'m, T> {
        let waiter = self.enlist()?;
        let mutex = guard.mutex();
        drop(guard);
        let slept = self.sleep(waiter, deadline);
        // The place is given back with the lock held: who is killed before leaves his notification to another one, and who
        // is killed after leaves a lock that tells of it.
        let locked = mutex.lock();
        let notified = self.leave(waiter)?;
        slept?;
        match locked {
            Ok(guard) => Ok((guard, notified)),
            Err(error) => Err(error.map(|guard| (guard, notified))),
        }
    }

    /// Wakes the one who has waited longest: whether there was one.
    ///
    /// The mutex need not be held.
    ///
    /// # Errors
    ///
    /// What `futex(2)` fails with where a seccomp filter denies it.
    pub fn notify_one(&self) -> Result<bool> {
        Ok(self.notify(1)? == 1)
    }

    /// Wakes all who wait: how many there were.
    ///
    /// # Errors
    ///
    /// As for [`notify_one`](Self::notify_one).
    pub fn notify_all(&self) -> Result<usize> {
        self.notify(usize::MAX)
    }

    /// Wakes the `count` who have waited longest: how many there were.
    ///
    /// # Errors
    ///
    /// As for [`notify_one`](Self::notify_one).
    pub fn notify(&self, count: usize) -> Result<usize> {
        let guard = self.lock()?;
        let notified = self.mark(count, |_| true);
        drop(guard);
        self.wake();
        Ok(notified)
    }

    fn lock(&self) -> Result<LeafGuard<'m>> {
        // Each change is one store, so there is nothing to repair after a death.
        self.head.lock.lock()
    }

    /// Under the lock: notifies the first `count` of those who wait and are `meant`.
    fn mark(&self, count: usize, meant: impl Fn(u32) -> bool) -> usize {
        let next = self.head.ticket.load(Relaxed);
        // There are no more to wake than places, even if somebody writes into them meanwhile.
        let count = count.min(self.waiters.len());
        for done in 0..count {
            let waiting = self.waiters.iter().filter(|waiter| waiter.is(WAITING));
            let age = |waiter: &&Waiter| next.wrapping_sub(waiter.ticket.load(Relaxed));
            let meant = |waiter: &&Waiter| meant(waiter.ticket.load(Relaxed));
            let Some(first) = waiting.filter(meant).max_by_key(age) else { return done };
            first.ticket.store(next, Relaxed);
            first.state.store(NOTIFIED, Release);
        }
        count
    }

    /// Wakes those who are notified and may still sleep.
    fn wake(&self) {
        for waiter in self.waiters.iter().filter(|waiter| waiter.is(NOTIFIED)) {
            sys::futex_wake(&waiter.state, 1);
        }
    }

    /// Takes a place.
    fn enlist(&self) -> Result<&'m Waiter> {
        for _ in 0..2 {
            let _guard = self.lock()?;
            if let Some(waiter) = self.waiters.iter().find(|waiter| waiter.is(FREE)) {
                let ticket = self.head.ticket.load(Relaxed);
                self.head.ticket.store(ticket.wrapping_add(1), Relaxed);
                waiter.ticket.store(ticket, Relaxed);
                waiter.process.store(ProcessId::current().to_bits(), Relaxed);
                waiter.state.store(WAITING, Release);
                return Ok(waiter);
            }
            drop(_guard);
            self.bury()?;
        }
        let reason = "as many threads wait as it has places for";
        let reason = std::io::Error::new(std::io::ErrorKind::QuotaExceeded, reason);
        Err(Error::new("wait for", "a condition variable", reason)
            .with_hint("make it in more words"))
    }

    fn sleep(&self, waiter: &Waiter, deadline: Deadline) -> Result<()> {
        while waiter.is(WAITING) && !deadline.is_past() {
            let slice = Deadline::after(SLICE);
            sys::futex_wait(&waiter.state, WAITING, deadline.or_after(SLICE))
                .map_err(|error| Error::new("wait for", "a condition variable", error))?;
            if slice.is_past() && waiter.is(WAITING) {
                self.bury()?;
            }
        }
        Ok(())
    }

    /// Gives the place back: whether there was a notification.
    fn leave(&self, waiter: &Waiter) -> Result<bool> {
        let _guard = self.lock()?;
        Ok(waiter.state.swap(FREE, Release) == NOTIFIED)
    }

    /// Gives the places of the dead back, and their notifications to others who have waited at that time.
    #[cold]
    fn bury(&self) -> Result<()> {
        let process = |waiter: &Waiter| ProcessId::from_bits(waiter.process.load(Relaxed));
        let mut dead: Vec<ProcessId> = Vec::new();
        for owner in self.waiters.iter().filter(|waiter| !waiter.is(FREE)).filter_map(process) {
            if !dead.contains(&owner) && owner.is_dead() {
                dead.push(owner);
            }
        }
        if dead.is_empty() {
            return Ok(());
        }
        let guard = self.lock()?;
        let is_dead = |waiter: &&Waiter| process(waiter).is_some_and(|owner| dead.contains(&owner));
        // First those who wait, so that nothing is passed on to them.
        for waiter in self.waiters.iter().filter(is_dead).filter(|waiter| waiter.is(WAITING)) {
            waiter.state.store(FREE, Release);
        }
        for waiter in self.waiters.iter().filter(is_dead).filter(|waiter| waiter.is(NOTIFIED)) {
            let then = waiter.ticket.load(Relaxed);
            // Before the place is given back: if we die between the two, one is notified too many, not too few.
            self.mark(1, |ticket| ticket.wrapping_sub(then).cast_signed() < 0);
            waiter.state.store(FREE, Release);
        }
        drop(guard);
        self.wake();
        Ok(())
    }
}
