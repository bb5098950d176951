//! The descriptor that pollers wait at.
//!
//! An eventfd, of which only zero and not zero count. Producers write to it only where a poller has *armed* the ring since
//! the last write, so a push with nobody polling is a look at a word that the producer has in its cache anyway. Two rules
//! make that safe against every race and every `SIGKILL`, without a timer and without anybody who repairs:
//!
//! * **A producer rings first and commits then**, both under the tail lock. Killed in between, it has woken pollers for
//!   nothing; killed after the commit, it has rung.
//! * **A poller arms under the tail lock too**, where the ring cannot go from empty to not empty. It takes the descriptor's
//!   readiness away only while it sees the ring empty there, and after it has set the mark. Killed between the two, it
//!   leaves the mark and a readiness for nothing; a producer that waits for the lock meanwhile finds the mark.
//!
//! So always: once somebody has armed, a ring with a record in it, or a closed one, has a readable descriptor. The opposite
//! does not hold: it stays readable when the last record is taken, until somebody arms again.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use mp_os::{Error, Result, retry};
use nix::{
    sys::eventfd::{EfdFlags, EventFd},
    unistd,
};

/// The descriptor of a [`Ring`](crate::Ring) that pollers wait at, one of its [parts](crate::RingParts).
#[derive(Clone, Debug)]
pub struct Event(Arc<OwnedFd>);

impl Event {
    pub(crate) fn create() -> Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let event = EventFd::from_flags(flags).map_err(|error| {
            Error::new("create", "the event descriptor of a ring", error.into())
        })?;
        Ok(OwnedFd::from(event).into())
    }

    /// Makes it readable.
    #[cold]
    pub(crate) fn set(&self) -> Result<()> {
        match retry(|| Ok(unistd::write(&self.0, &1_u64.to_ne_bytes())?)) {
            // The counter can hold no more: it is readable already.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result.map(drop).map_err(|error| failed("ring", error)),
        }
    }

    /// Takes its readiness away.
    pub(crate) fn clear(&self) -> Result<()> {
        let mut count = [0; size_of::<u64>()];
        match retry(|| Ok(unistd::read(&self.0, &mut count)?)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result.map(drop).map_err(|error| failed("arm", error)),
        }
    }
}

fn failed(verb: &'static str, error: io::Error) -> Error {
    Error::new(verb, "the event descriptor of a ring", error)
}

/// An eventfd that another process passed on.
impl From<OwnedFd> for Event {
    fn from(fd: OwnedFd) -> Self {
        Self(Arc::new(fd))
    }
}

impl AsFd for Event {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
