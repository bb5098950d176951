use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use mp_os::{Deadline, Error, Result, TimeoutError};

use crate::{
    Doorbell, LeafGuard, LeafLock,
    ledger::{Holding, Ledger},
    place,
    process::ProcessId,
    wait,
};

/// The beginning of a semaphore; a [`Ledger`] follows.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Head {
    lock: LeafLock,
    bell: Doorbell,
    /// All permits there are, held or not.
    total: AtomicU64,
    /// What `total` may become by releases.
    bound: AtomicU64,
    /// `total` without what is held: found out anew where a process died between the stores.
    free: AtomicU64,
}

/// A number of permits in shared memory. Those of a process that dies come back.
///
/// An acquired [`Permit`] belongs to its process and goes back when it is dropped, or when the process is found dead by
/// somebody who waits or tries, within 25 ms. Where a permit stands for something that was *used up*, or that another
/// process gives back, [`forget`](Permit::forget) it, and [`release`](Self::release) makes a new one.
///
/// It lies in a number of words that its creator chooses: [`words`](Self::words) for as many processes as hold permits at
/// the same time.
///
/// # Examples
///
/// ```
/// use mp_sync::Semaphore;
/// use std::sync::atomic::AtomicU64;
///
/// let words = [const { AtomicU64::new(0) }; Semaphore::words(8)]; // in shared memory, normally
/// let semaphore = Semaphore::create(&words, 2)?;
/// let (one, two) = (semaphore.acquire()?, semaphore.acquire()?);
/// assert!(semaphore.try_acquire().is_err());
/// drop(one);
/// assert_eq!(semaphore.available(), 1);
///
/// two.forget(); // Nobody gives it back...
/// semaphore.release()?; // ... but this is as good.
/// assert_eq!(semaphore.available(), 2);
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias = "sem_t")]
pub struct Semaphore<'m> {
    head: &'m Head,
    ledger: Ledger<'m>,
}

impl<'m> Semaphore<'m> {
    /// The number of words for a semaphore of which at most `processes` processes hold permits at the same time.
    pub const fn words(processes: usize) -> usize {
        place::words_of::<Head>() + processes * place::words_of::<Holding>()
    }

    /// Makes a semaphore of `permits` permits in `words`, before anybody else uses them.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where there are fewer words than for one process.
    pub fn create(words: &'m [AtomicU64], permits: u64) -> Result<Self> {
        Self::create_bounded(words, permits, u64::MAX)
    }

    /// The semaphore that somebody has made in `words`. Zeroes are one without permits.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create).
    #[inline]
    pub fn attach(words: &'m [AtomicU64]) -> Result<Self> {
        let (head, rest) =
            place::split(words, place::words_of::<Holding>(), "the memory of a semaphore")?;
        Ok(Self { head, ledger: Ledger::new(rest) })
    }

    pub(crate) fn create_bounded(words: &'m [AtomicU64], permits: u64, bound: u64) -> Result<Self> {
        let semaphore = Self::attach(words)?;
        let Head { lock: _, bell: _, total, bound: most, free } = semaphore.head;
        most.store(bound, Relaxed);
        total.store(permits, Relaxed);
        free.store(permits, Release);
        Ok(semaphore)
    }

    mp_os::family! {
        /// `sem_wait(3)`—Takes a permit, waiting until there is one.
        ///
        /// # Errors
        ///
        /// [`QuotaExceeded`](std::io::ErrorKind::QuotaExceeded) where as many processes hold permits as there are places;
        /// what `futex(2)` fails with where a seccomp filter denies it.
        #[doc(alias = "sem_wait")]
        pub fn acquire, try_acquire, acquire_timeout, acquire_deadline(self: &Self) -> Permit<'m>
            = acquire_until;
    }

    /// [`acquire`](Self::acquire), giving up when `deadline` has passed: what the others of the family call.
    ///
    /// # Errors
    ///
    /// As for [`acquire_timeout`](Self::acquire_timeout).
    pub fn acquire_until(&self, deadline: Deadline) -> Result<Permit<'m>, TimeoutError> {
        wait::wait_for(
            &self.head.bell,
            deadline,
            || self.take(deadline),
            || self.take_back(deadline),
        )
    }

    /// `sem_post(3)`—Adds a permit, whoever has taken one before.
    ///
    /// # Errors
    ///
    /// [`QuotaExceeded`](std::io::ErrorKind::QuotaExceeded) where that would be more than the bound of a
    /// [`BoundedSemaphore`](crate::BoundedSemaphore), or more than 2^64 - 1; as for [`acquire`](Self::acquire).
    #[doc(alias = "sem_post")]
    pub fn release(&self) -> Result<()> {
        self.release_many(1)
    }

    /// Adds `permits` permits.
    ///
    /// # Errors
    ///
    /// As for [`release`](Self::release); none is added then.
    pub fn release_many(&self, permits: u64) -> Result<()> {
        let guard = self.lock(Deadline::never())?;
        let Head { total, bound, free, .. } = self.head;
        let new = total.load(Relaxed).checked_add(permits);
        let Some(new) = new.filter(|&new| new <= bound.load(Relaxed)) else {
            drop(guard);
            return Err(refuse("release", "it has as many permits as it may have"));
        };
        total.store(new, Relaxed);
        free.store(free.load(Relaxed).saturating_add(permits), Relaxed);
        drop(guard);
        if permits == 1 {
            self.head.bell.ring()
        } else {
            self.head.bell.ring_all()
        }
        Ok(())
    }

    /// `sem_getvalue(3)`—The number of permits that could be had without waiting, a moment ago.
    #[doc(alias = "sem_getvalue")]
    pub fn available(&self) -> u64 {
        self.head.free.load(Acquire)
    }

    /// Takes a permit if there is one.
    fn take(&self, deadline: Deadline) -> Result<Option<Permit<'m>>, TimeoutError> {
        let guard = self.lock(deadline)?;
        let free = self.head.free.load(Relaxed);
        let Some(left) = free.checked_sub(1) else { return Ok(None) };
        let process = ProcessId::current();
        let Some(place) = self.ledger.place(process) else {
            drop(guard);
            return self.no_place(deadline);
        };
        self.head.free.store(left, Relaxed);
        place.add(process);
        drop(guard);
        if left > 0 {
            // Several may have been released, and one woken.
            self.head.bell.ring();
        }
        Ok(Some(Permit { semaphore: *self, place }))
    }

    /// Others have all the places: unless some of them are dead, that is an error.
    #[cold]
    fn no_place(&self, deadline: Deadline) -> Result<Option<Permit<'m>>, TimeoutError> {
        if self.take_back(deadline)? {
            return self.take(deadline);
        }
        let reason = "as many processes hold permits as it has places for";
        Err(refuse("acquire", reason).with_hint("make it in more words").into())
    }

    /// Takes back the permits of dead processes: whether there were any.
    #[cold]
    fn take_back(&self, deadline: Deadline) -> Result<bool, TimeoutError> {
        let dead = self.ledger.dead();
        if dead.is_empty() {
            return Ok(false);
        }
        let guard = self.lock(deadline)?;
        let struck = self.ledger.strike(&dead);
        self.count_free();
        drop(guard);
        self.head.bell.ring_all();
        Ok(struck > 0)
    }

    /// Under the lock, with `free` being what it should be.
    #[inline]
    fn lock(&self, deadline: Deadline) -> Result<LeafGuard<'m>, TimeoutError> {
        let guard = wait::enter(&self.head.lock, deadline)?;
        if guard.owner_died() {
            self.count_free();
        }
        Ok(guard)
    }

    fn count_free(&self) {
        let free = self.head.total.load(Relaxed).saturating_sub(self.ledger.sum());
        self.head.free.store(free, Relaxed);
    }

    /// Takes the permit at `place` back, and another one away for good where it was `used`.
    fn give_back(&self, place: &Holding, used: bool) {
        // Where the system refuses to wait, the permit comes back when this process ends.
        let Ok(guard) = self.lock(Deadline::never()) else { return };
        if !place.remove() {
            return;
        }
        let Head { total, free, .. } = self.head;
        if used {
            total.store(total.load(Relaxed).saturating_sub(1), Relaxed);
        } else {
            free.store(free.load(Relaxed).saturating_add(1), Relaxed);
            drop(guard);
            self.head.bell.ring();
        }
    }
}

/// A permit of a [`Semaphore`], which goes back when this is dropped or its process dies.
///
/// A process forked meanwhile has a copy of this and no permit.
#[must_use = "the permit goes back when this is dropped"]
#[derive(Debug)]
pub struct Permit<'m> {
    semaphore: Semaphore<'m>,
    place: &'m Holding,
}

impl Permit<'_> {
    /// Uses the permit up: it does not come back, whoever dies.
    pub fn forget(self) {
        let Self { semaphore, place } = *std::mem::ManuallyDrop::new(self);
        semaphore.give_back(place, true);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.give_back(self.place, false);
    }
}

#[cold]
fn refuse(verb: &'static str, reason: &'static str) -> Error {
    let reason = std::io::Error::new(std::io::ErrorKind::QuotaExceeded, reason);
    Error::new(verb, "a permit of a semaphore", reason)
}
