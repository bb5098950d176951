//! Waiting for something that the death of others may bring about, of which nobody tells.

use std::time::Duration;

use mp_os::{Deadline, Result, TimeoutError};

use crate::{Doorbell, LeafGuard, LeafLock, TryError, raw::SLICE};

/// How long an operation that does not wait waits for a leaf lock: who holds it for longer was stopped.
const MOMENT: Duration = Duration::from_millis(10);

/// How soon to look for the dead the first time: those who died long ago are found then.
const SOON: Duration = Duration::from_millis(1);

/// Tries until `attempt` gives a value: now, whenever `bell` rings, and when `reap` has found that somebody is dead, for
/// which it looks after 1 ms, then every 25 ms, and before giving up.
pub(crate) fn wait_for<T>(
    bell: &Doorbell,
    deadline: Deadline,
    mut attempt: impl FnMut() -> Result<Option<T>, TimeoutError>,
    mut reap: impl FnMut() -> Result<bool, TimeoutError>,
) -> Result<T, TimeoutError> {
    if let Some(value) = attempt()? {
        return Ok(value);
    }
    let mut next = Deadline::after(SOON);
    loop {
        let listener = bell.listen();
        if let Some(value) = attempt()? {
            return Ok(value);
        }
        let last = deadline.is_past();
        if last || next.is_past() {
            if reap()?
                && let Some(value) = attempt()?
            {
                return Ok(value);
            }
            next = Deadline::after(SLICE);
        }
        if last {
            return Err(TimeoutError::TimedOut);
        }
        let until = next.remaining().map_or(deadline, |left| deadline.or_after(left));
        listener.wait(until)?;
    }
}

/// Takes a leaf lock that is held for moments only, which is no reason for an operation that does not wait to fail.
#[inline]
pub(crate) fn enter(lock: &LeafLock, deadline: Deadline) -> Result<LeafGuard<'_>, TimeoutError> {
    match lock.try_lock() {
        Ok(guard) => Ok(guard),
        Err(TryError::Os(error)) => Err(error.into()),
        Err(_) if deadline.is_past() => lock.lock_timeout(MOMENT),
        Err(_) => lock.lock_until(deadline),
    }
}
