//! When to look again instead of going to sleep, and for how long: the one place that decides it.
//!
//! Waking a process on another core takes tens of microseconds, so it pays to look again for about that long, *if* the one
//! we wait for can run meanwhile. It cannot if it shares our core: then every look delays what we look for.

use std::{
    hint,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use crate::sys;

/// The core the calling thread runs on, for a peer to judge by whether spinning for us can help.
#[inline]
pub fn current_cpu() -> u32 {
    sys::current_cpu()
}

/// Looks left for a critical section of some tens of nanoseconds to end: no more than a microsecond or two.
pub(crate) fn briefly() -> Looks {
    const LOOKS: u32 = 60;
    Looks { left: if parallel() { LOOKS } else { 0 } }
}

/// A number of looks.
pub(crate) struct Looks {
    left: u32,
}

impl Looks {
    /// Pauses, if there is a look left.
    pub(crate) fn again(&mut self) -> bool {
        hint::spin_loop();
        let again = self.left > 0;
        self.left = self.left.saturating_sub(1);
        again
    }
}

/// Whether this machine can run two threads at once.
fn parallel() -> bool {
    /// Zero until known.
    static CORES: AtomicU32 = AtomicU32::new(0);
    let mut cores = CORES.load(Relaxed);
    if cores == 0 {
        cores = sys::cores_online().max(1);
        CORES.store(cores, Relaxed);
    }
    cores > 1
}

/// How long it has paid, lately, to look again before going to sleep: grows with success and shrinks with failure.
///
/// Sharing one between threads is harmless.
///
/// # Examples
///
/// ```
/// use mp_sync::{Patience, current_cpu};
///
/// let patience = Patience::new();
/// let mut looks = 0;
/// let found = patience.spin(u32::MAX, 1, || { looks += 1; (looks == 3).then_some("found") });
/// assert!(found.is_some() || looks == 0, "never on a machine with one core,");
/// assert_eq!(patience.spin(current_cpu(), 1, || None::<()>), None, "nor for somebody on our own");
/// ```
#[derive(Debug)]
pub struct Patience {
    /// In nanoseconds, from `MIN` to `max`.
    budget: AtomicU32,
    max: u32,
}

impl Patience {
    /// Little enough to be wasted each time.
    const MIN: u32 = 1_000;
    /// What going to sleep and being woken on another core costs.
    const MAX: u32 = 50_000;
    /// From here on others may run on our core between two looks: one of them may be the one we wait for.
    const POLITE: Duration = Duration::from_micros(4);

    /// As patient as can be.
    pub const fn new() -> Self {
        Self::up_to(Self::MAX)
    }

    /// Never looks for longer than a microsecond or two: for what comes at once or takes its time, and where those who are
    /// waited for may want the core.
    pub const fn brief() -> Self {
        Self::up_to(Self::MIN)
    }

    const fn up_to(max: u32) -> Self {
        Self { budget: AtomicU32::new(max), max }
    }

    /// Looks, with `pauses` between, until `attempt` gives a value or patience ends; not at all where `peer_cpu`, on which
    /// the one we wait for ran last, is our own.
    #[inline]
    pub fn spin<T>(
        &self,
        peer_cpu: u32,
        pauses: u32,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        if !parallel() || peer_cpu == current_cpu() {
            return None;
        }
        // A first round without a look at the clock, which costs as much as the round.
        if let Some(value) = look(pauses, &mut attempt) {
            return Some(value);
        }
        let (start, budget) = (Instant::now(), self.budget.load(Relaxed));
        loop {
            if let Some(value) = look(pauses, &mut attempt) {
                self.budget.store((budget * 2).min(self.max), Relaxed);
                return Some(value);
            }
            let waited = start.elapsed();
            if waited >= Duration::from_nanos(budget.into()) {
                self.budget.store((budget / 2).max(Self::MIN), Relaxed);
                return None;
            }
            if waited >= Self::POLITE {
                thread::yield_now();
            }
        }
    }

    /// Learns from a wait that ended asleep: had it been worth while to look for longer?
    pub fn slept(&self, waited: Duration) {
        // The wake-up took its time too.
        if waited <= Duration::from_nanos((Self::MAX * 3 / 2).into()) {
            self.budget.store(self.max, Relaxed);
        }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self::new()
    }
}

/// One round of looks, some hundred nanoseconds to a microsecond.
#[inline]
fn look<T>(pauses: u32, attempt: &mut impl FnMut() -> Option<T>) -> Option<T> {
    let mut paused = 0;
    while paused < 32 {
        if let Some(value) = attempt() {
            return Some(value);
        }
        for _ in 0..pauses {
            hint::spin_loop();
        }
        paused += pauses.max(1);
    }
    attempt()
}
