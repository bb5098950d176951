use std::time::{Duration, Instant};

use nix::libc;

use crate::sys;

/// When a blocking operation gives up, on the monotonic clock.
///
/// Every `op_timeout(Duration)` of these crates computes a deadline once and waits on that, so that interruptions and
/// spurious wake-ups never make a wait longer. A duration too long for [`Instant`] means "for ever".
///
/// # Examples
///
/// ```
/// use mp_os::Deadline;
/// use std::time::Duration;
///
/// assert!(Deadline::after(Duration::MAX).remaining().is_none(), "overflow waits for ever");
/// assert!(Deadline::after(Duration::ZERO).is_past());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(When);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Never,
    /// It has passed since it was made: operations that do not wait need not look at the clock.
    Past,
    At(Instant),
}

impl Deadline {
    /// Waits for ever.
    #[inline]
    pub const fn never() -> Self {
        Self(When::Never)
    }

    /// Gives up at `instant`.
    #[inline]
    pub const fn at(instant: Instant) -> Self {
        Self(When::At(instant))
    }

    /// Gives up when `timeout` has passed from now; never, where that is beyond what [`Instant`] can express.
    #[inline]
    pub fn after(timeout: Duration) -> Self {
        if timeout.is_zero() { Self(When::Past) } else { Self::from_now(timeout) }
    }

    fn from_now(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout).map_or(When::Never, When::At))
    }

    /// Whether it waits for ever.
    #[inline]
    pub const fn is_never(self) -> bool {
        matches!(self.0, When::Never)
    }

    /// The earlier of this deadline and `limit` from now: one slice of a wait that re-checks its condition.
    #[must_use]
    pub fn or_after(self, limit: Duration) -> Self {
        let slice = Self::after(limit);
        match (self.0, slice.0) {
            (When::At(own), When::At(end)) => Self::at(own.min(end)),
            (When::Never, _) | (_, When::Past) => slice,
            (When::Past, _) | (_, When::Never) => self,
        }
    }

    /// The instant at which this deadline passes; `None` if it never does.
    pub fn instant(self) -> Option<Instant> {
        match self.0 {
            When::Never => None,
            When::Past => Some(Instant::now()),
            When::At(instant) => Some(instant),
        }
    }

    /// The time left, zero once the deadline has passed; `None` waits for ever.
    pub fn remaining(self) -> Option<Duration> {
        match self.0 {
            When::Never => None,
            When::Past => Some(Duration::ZERO),
            When::At(instant) => Some(instant.saturating_duration_since(Instant::now())),
        }
    }

    /// Whether the deadline has passed.
    #[inline]
    pub fn is_past(self) -> bool {
        match self.0 {
            When::Never => false,
            When::Past => true,
            When::At(instant) => instant <= Instant::now(),
        }
    }

    /// This deadline as an absolute `CLOCK_MONOTONIC` time, for the calls that take one; `None` waits for ever.
    pub fn to_monotonic(self) -> Option<libc::timespec> {
        // The clock is read after the remaining time was computed, so the result is never early.
        self.remaining().map(|left| sys::monotonic_now().saturating_add(left)).map(timespec)
    }

    /// This deadline as an absolute `CLOCK_REALTIME` time, for the calls that know no other clock (`mq_timedsend`).
    ///
    /// A step of the wall clock during the wait moves it, so callers wait in slices and check the deadline themselves.
    pub fn to_realtime(self) -> Option<libc::timespec> {
        self.remaining().map(|left| sys::realtime_now().saturating_add(left)).map(timespec)
    }

    /// The time left as a relative `timespec`, rounded down to a nanosecond; `None` waits for ever.
    pub fn to_relative(self) -> Option<libc::timespec> {
        self.remaining().map(timespec)
    }
}

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: duration.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_never_outlast_the_deadline() {
        let soon = Deadline::after(Duration::from_millis(1));
        assert_eq!(soon.or_after(Duration::from_secs(9)), soon);
        let slice = Deadline::never().or_after(Duration::from_millis(5));
        assert!(slice.remaining().unwrap() <= Duration::from_millis(5));
        assert_eq!(Deadline::never().or_after(Duration::MAX), Deadline::never());
    }

    #[test]
    fn absolute_times_are_never_early() {
        let before = sys::monotonic_now();
        let time = Deadline::after(Duration::from_secs(3)).to_monotonic().unwrap();
        let time = Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap());
        assert!(time >= before + Duration::from_secs(3) - Duration::from_nanos(1_000));
        assert!(Deadline::never().to_monotonic().is_none());
    }

    #[test]
    fn no_time_is_past_at_once() {
        let past = Deadline::after(Duration::ZERO);
        assert!(past.is_past() && !past.is_never() && past.remaining() == Some(Duration::ZERO));
        assert!(past.instant().is_some_and(|instant| instant <= Instant::now()));
        assert!(Deadline::never().is_never());
        for other in [Deadline::never(), Deadline::after(Duration::from_secs(9))] {
            assert!(other.or_after(Duration::ZERO).is_past());
        }
        assert!(past.or_after(Duration::MAX).is_past());
        assert!(past.to_monotonic().is_some());
    }

    #[test]
    fn a_far_deadline_saturates() {
        let centuries = Duration::from_secs(u64::MAX / 4);
        let deadline = Deadline::after(centuries);
        assert!(deadline.to_monotonic().is_none_or(|time| time.tv_sec > 0));
    }
}
