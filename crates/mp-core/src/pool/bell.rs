//! The place where the parent sleeps until some worker has sent results.

use std::sync::atomic::AtomicU32;

use mp_os::{Deadline, Error};
use mp_shm::Segment;
use mp_sync::{Doorbell, Patience};
use serde::{Deserialize, Serialize};

use crate::Result;

/// A doorbell in shared memory of its own, which workers and parent have mapped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Bell(Segment);

impl Bell {
    pub(super) fn create() -> Result<Self> {
        Ok(Self(Segment::create("mp-pool-bell", size_of::<AtomicU32>())?))
    }

    /// `None` for a segment without room for a word, which no pool makes.
    fn doorbell(&self) -> Option<&Doorbell> {
        self.0.mapping().atomic_u32(0).map(Doorbell::from_atomic)
    }

    pub(super) fn ring(&self) {
        if let Some(doorbell) = self.doorbell() {
            doorbell.ring();
        }
    }

    pub(super) fn ring_all(&self) {
        if let Some(doorbell) = self.doorbell() {
            doorbell.ring_all();
        }
    }

    /// Waits until `attempt` is true, which is looked for whenever the bell rings; false when `deadline` passed first.
    pub(super) fn wait_for(
        &self,
        deadline: Deadline,
        mut attempt: impl FnMut() -> bool,
    ) -> Result<bool> {
        // A short task is over before it pays to say that one goes to sleep, and its worker need not wake anybody then.
        let looks = Patience::brief();
        if looks.spin(u32::MAX, 4, || attempt().then_some(())).is_some() {
            return Ok(true);
        }
        let doorbell = self.doorbell().ok_or_else(|| {
            Error::invalid_input("wait at", "the bell of a pool", "its segment is too short")
        })?;
        Ok(doorbell.wait_for(deadline, || attempt().then_some(()))?.is_some())
    }
}
