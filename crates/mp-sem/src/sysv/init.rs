//! The second step of creating a set, and how others wait for it.

use std::{io, time::Duration};

use mp_os::{Deadline, poll::Pauses};
use nix::libc::{self, semid_ds};

use super::{Op, SemaphoreSet, TryError, WaitError, sys};

/// Gives a new set its values, by an operation, so that the kernel notes its time. False: somebody else has done it.
///
/// The operation asks for zeros and adds to them in one step: it happens once, whoever else tries, and nobody ever sees a
/// part of it. (Unless all permits of the set are taken between two attempts; then it happens again.)
pub(super) fn initialise(set: &SemaphoreSet, values: &[u16]) -> Result<bool, WaitError> {
    let zeros = (0..).zip(values).map(|(index, _)| Op::wait_zero(index));
    let permits = (0..).zip(values).filter(|&(_, &value)| value > 0);
    let ops: Vec<_> =
        zeros.chain(permits.map(|(index, &value)| Op::release(index, value))).collect();
    match set.try_op(&ops) {
        Ok(()) => Ok(true),
        Err(TryError::Os(error)) if error.raw_os_error() == Some(libc::E2BIG) => {
            initialise_large(set, values)
        }
        result => done_by_others(result),
    }
}

/// For more semaphores than one operation can change: sets the values, and then has an operation that changes nothing noted.
fn initialise_large(set: &SemaphoreSet, values: &[u16]) -> Result<bool, WaitError> {
    set.set_values(values)?;
    let result = match values {
        [0, ..] => set.try_op(&[Op::wait_zero(0)]),
        _ => set.try_op(&[Op::acquire(0, 1), Op::release(0, 1)]),
    };
    // Where it would block, somebody has already used what was just set, and that is noted.
    done_by_others(result).map(|_| true)
}

fn done_by_others(result: Result<(), TryError>) -> Result<bool, WaitError> {
    match result {
        Ok(()) => Ok(true),
        Err(TryError::Removed) => Err(WaitError::Removed),
        Err(TryError::Os(error)) => Err(WaitError::Os(error)),
        Err(_) => Ok(false),
    }
}

/// The first and the longest pause between two looks at a set that is not initialised yet.
const PAUSES: Pauses = Pauses::new(Duration::from_micros(50), Duration::from_millis(5));

/// The state of the set once it has been operated on, or when `deadline` has passed.
///
/// There is no event to wait for: the kernel tells nobody, and an operation that would wait would be noted itself.
pub(super) fn wait_initialised(id: i32, deadline: Deadline) -> io::Result<semid_ds> {
    let mut pauses = PAUSES;
    loop {
        let last = deadline.is_past();
        let stat = sys::stat(id)?;
        if stat.sem_otime != 0 || last {
            return Ok(stat);
        }
        pauses.pause(deadline)?;
    }
}
