use std::{fmt, ops::BitOr};

use crate::{Error, Result, Signal, sys};

/// A set of signals: 64 bits, copied freely, iterated in ascending order.
///
/// # Examples
///
/// ```
/// use mp_signal::{Signal, SignalSet};
///
/// let stop = SignalSet::from([Signal::TERM, Signal::INT]);
/// assert!(stop.contains(Signal::INT));
/// assert_eq!(stop.without(Signal::INT).iter().collect::<Vec<_>>(), [Signal::TERM]);
/// assert!(!SignalSet::full().contains(Signal::KILL), "nobody can block or catch it");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SignalSet(
    /// Bit `n - 1` stands for signal `n`, as in the kernel.
    u64,
);

impl SignalSet {
    /// `sigemptyset(3)`—No signal.
    #[doc(alias = "sigemptyset")]
    pub const fn empty() -> Self {
        Self(0)
    }

    /// `sigfillset(3)`—Every signal that can be blocked, caught or waited for: all but `SIGKILL` and `SIGSTOP`.
    #[doc(alias = "sigfillset")]
    pub fn full() -> Self {
        Signal::all().filter(|signal| signal.is_catchable()).collect()
    }

    /// `sigaddset(3)`—This set and `signal`.
    #[must_use]
    #[doc(alias = "sigaddset")]
    pub const fn with(self, signal: Signal) -> Self {
        Self(self.0 | bit(signal))
    }

    /// `sigdelset(3)`—This set but for `signal`.
    #[must_use]
    #[doc(alias = "sigdelset")]
    pub const fn without(self, signal: Signal) -> Self {
        Self(self.0 & !bit(signal))
    }

    /// `sigismember(3)`—Whether `signal` is in the set.
    #[doc(alias = "sigismember")]
    pub const fn contains(self, signal: Signal) -> bool {
        self.0 & bit(signal) != 0
    }

    /// Whether every signal of `other` is in this set.
    pub const fn contains_all(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// This set but for the signals of `other`.
    #[must_use]
    pub const fn except(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether no signal is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many signals are in the set.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Its signals, in ascending order.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        Signal::all().filter(move |&signal| self.contains(signal))
    }

    /// `pthread_sigmask(3)`—The signals that the calling thread blocks.
    ///
    /// # Errors
    ///
    /// None that is known; whatever the call answers.
    #[doc(alias = "pthread_sigmask")]
    pub fn blocked() -> Result<Self> {
        sys::mask().map_err(|error| Error::new("read", "the signal mask", error))
    }

    /// `sigpending(2)`—The blocked signals that have been sent to the calling thread or the process, and wait.
    ///
    /// # Errors
    ///
    /// None that is known; whatever the call answers.
    #[doc(alias = "sigpending")]
    pub fn pending() -> Result<Self> {
        sys::pending().map_err(|error| Error::new("read", "the pending signals", error))
    }

    /// Refuses what no program can block, catch, ignore or wait for, before any call: the kernel ignores it silently.
    pub(crate) fn refuse_uncatchable(self, verb: &'static str) -> Result<()> {
        match self.iter().find(|signal| !signal.is_catchable()) {
            Some(signal) => Err(Error::invalid_input(verb, signal.name(), "no program can")),
            None => Ok(()),
        }
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }
}

const fn bit(signal: Signal) -> u64 {
    1 << (signal.as_raw() - 1)
}

impl BitOr for SignalSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl From<Signal> for SignalSet {
    fn from(signal: Signal) -> Self {
        Self(bit(signal))
    }
}

impl<const N: usize> From<[Signal; N]> for SignalSet {
    fn from(signals: [Signal; N]) -> Self {
        signals.into_iter().collect()
    }
}

impl FromIterator<Signal> for SignalSet {
    fn from_iter<I: IntoIterator<Item = Signal>>(signals: I) -> Self {
        signals.into_iter().fold(Self::empty(), Self::with)
    }
}

/// As `SIGINT, SIGTERM`.
impl fmt::Display for SignalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, signal) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{signal}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for SignalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignalSet{{{self}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algebra() {
        let set = SignalSet::from([Signal::TERM, Signal::HUP, Signal::TERM]);
        assert_eq!(set.len(), 2);
        assert_eq!(set.to_string(), "SIGHUP, SIGTERM");
        assert_eq!(set, SignalSet::from(Signal::HUP) | Signal::TERM.into());
        assert!(set.contains_all(Signal::HUP.into()) && !set.contains_all(Signal::USR1.into()));
        assert!(set.without(Signal::HUP).without(Signal::TERM).is_empty());
        assert_eq!(set.except([Signal::HUP, Signal::INT].into()), Signal::TERM.into());
        assert_eq!(SignalSet::default(), SignalSet::empty());
    }

    #[test]
    fn full_is_what_can_be_blocked() {
        assert_eq!(SignalSet::full().len(), Signal::all().count() - 2);
        assert_eq!(SignalSet::full().iter().collect::<SignalSet>(), SignalSet::full());
    }
}
