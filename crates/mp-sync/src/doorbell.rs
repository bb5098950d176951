//! The doorbell: sleep until somebody has changed something.
//!
//! **Memory order.** A sleeper announces itself, looks at the condition again, and sleeps; a ringer changes the condition
//! and looks for an announcement. One of the two must see the other: the barrier between the two steps is the sleeper's to
//! pay for ([`membarrier`]). The condition itself needs no order beyond its own `Release`/`Acquire`.
//!
//! The kernel owes nobody a wake-up on account of a dead ringer, as it does for a lock: so sleeps end after [`SLICE`].

use std::{fmt, time::Duration};

use mp_os::{Deadline, Error, Result};

use crate::{
    atomic::{
        AtomicU32,
        Ordering::{Acquire, Relaxed, SeqCst},
    },
    membarrier, sys,
};

/// Somebody sleeps, or may sleep: a ring must go through the kernel.
const ASLEEP: u32 = 1;
/// Added by each ring that goes through the kernel.
const RING: u32 = 2;

/// The longest sleep without a look at the condition: what a wake-up costs that a killed process took along.
const SLICE: Duration = Duration::from_millis(25);

/// A place in shared memory to sleep at until somebody [rings](Self::ring), with any condition beside it.
///
/// Ringing costs a load while nobody sleeps. There is no count of sleepers that a killed one would leave too high, only a
/// mark that says "somebody may sleep": too many marks cost a system call each, and a mark that is missing, because a
/// process was killed between taking it and waking, costs the sleepers 25 ms.
///
/// # Examples
///
/// ```
/// use mp_sync::{Deadline, Doorbell};
/// use std::{sync::atomic::{AtomicU32, Ordering}, thread};
///
/// let (word, ready) = (AtomicU32::new(0), AtomicU32::new(0)); // in shared memory, normally
/// let bell = Doorbell::from_atomic(&word);
/// thread::scope(|scope| {
///     scope.spawn(|| {
///         ready.store(7, Ordering::Release);
///         bell.ring();
///     });
///     let seen = bell.wait_for(Deadline::never(), || {
///         Some(ready.load(Ordering::Acquire)).filter(|&value| value != 0)
///     })?;
///     assert_eq!(seen, Some(7));
///     # Ok::<(), mp_sync::Error>(())
/// })?;
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[repr(transparent)]
pub struct Doorbell(
    /// The number of rings in the upper 31 bits, `ASLEEP` in the lowest.
    AtomicU32,
);

impl Doorbell {
    /// A doorbell at which nobody sleeps.
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Wakes one sleeper, if there is one, after a change to the condition.
    ///
    /// A sleeper that finds more than it takes should ring for the next one.
    #[inline(always)]
    pub fn ring(&self) {
        membarrier::light();
        self.ring_if_asleep(1);
    }

    /// Wakes every sleeper after a change that concerns all of them.
    pub fn ring_all(&self) {
        membarrier::light();
        self.ring_if_asleep(i32::MAX);
    }

    #[inline(always)]
    fn ring_if_asleep(&self, count: i32) {
        if self.0.load(Relaxed) & ASLEEP != 0 {
            self.wake(count);
        }
    }

    /// Takes the mark away and wakes. The one that wakes up puts it back: others may still be asleep.
    #[cold]
    fn wake(&self, count: i32) {
        let rung = |word: u32| Some(word.wrapping_add(RING) & !ASLEEP);
        // It never fails: the closure always gives a value.
        let _ = self.0.fetch_update(SeqCst, Relaxed, rung);
        sys::futex_wake(&self.0, count);
    }

    /// Announces a sleeper. Look at the condition after this and before [`Listener::wait`].
    pub fn listen(&self) -> Listener<'_> {
        let seen = self.0.fetch_or(ASLEEP, SeqCst) | ASLEEP;
        Listener { bell: self, seen, slice: membarrier::heavy(SLICE) }
    }

    /// Sleeps until `attempt` gives a value, which is looked for whenever the bell rings and every 25 ms; `None` once
    /// `deadline` has passed and a last attempt after it gave nothing.
    ///
    /// # Errors
    ///
    /// What `futex(2)` fails with where a seccomp filter denies it.
    pub fn wait_for<T>(
        &self,
        deadline: Deadline,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> Result<Option<T>> {
        loop {
            if let Some(value) = attempt() {
                return Ok(Some(value));
            }
            let listener = self.listen();
            if let Some(value) = attempt() {
                return Ok(Some(value));
            }
            if deadline.is_past() {
                return Ok(None);
            }
            listener.wait(deadline)?;
        }
    }
}

impl Default for Doorbell {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.0.load(Relaxed);
        f.debug_struct("Doorbell")
            .field("rings", &(word / RING))
            .field("asleep", &(word & ASLEEP != 0))
            .finish()
    }
}

/// A sleeper that has announced itself at a [`Doorbell`].
#[must_use = "a listener that does not wait makes the next ring a system call"]
#[derive(Debug)]
pub struct Listener<'a> {
    bell: &'a Doorbell,
    /// The word as it was announced; a ring changes it.
    seen: u32,
    /// The longest sleep.
    slice: Duration,
}

impl Listener<'_> {
    /// Sleeps until the bell rings, at most 25 ms and at most until `deadline`: whether it rang.
    ///
    /// A signal handler may end it early. Look at the condition again whatever it says.
    ///
    /// # Errors
    ///
    /// As for [`Doorbell::wait_for`].
    pub fn wait(self, deadline: Deadline) -> Result<bool> {
        let Self { bell, seen, slice } = self;
        sys::futex_wait(&bell.0, seen, deadline.or_after(slice))
            .map_err(|error| Error::new("wait at", "a doorbell", error))?;
        let rang = bell.0.load(Acquire) | ASLEEP != seen;
        if rang {
            // Whoever rang took the mark away and woke one of us: for the others it must be there.
            bell.0.fetch_or(ASLEEP, SeqCst);
        }
        Ok(rang)
    }
}
