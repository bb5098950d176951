//! Words of shared memory, and processes that use them.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use mp_shm::Segment;
use mp_sync::{Doorbell, LeafLock};
use mp_testkit::{Child, Gate, fork_child, wait_for_kill};

/// The bit of a lock word that says that somebody waits.
pub(crate) const WAITERS: u32 = 0x8000_0000;
/// The bit of a lock word that says that its holder died.
pub(crate) const OWNER_DIED: u32 = 0x4000_0000;

pub(crate) struct Shared(Segment);

impl Shared {
    pub(crate) fn new() -> Self {
        Self(Segment::create("mp-sync-test", 4096).unwrap())
    }

    /// The lock's word.
    pub(crate) fn word(&self) -> &AtomicU32 {
        self.0.mapping().atomic_u32(0).unwrap()
    }

    pub(crate) fn lock(&self) -> &LeafLock {
        LeafLock::from_atomic(self.word())
    }

    pub(crate) fn bell(&self) -> &Doorbell {
        Doorbell::from_atomic(self.0.mapping().atomic_u32(128).unwrap())
    }

    /// A number that the lock or the bell is about.
    pub(crate) fn number(&self) -> &AtomicU32 {
        self.0.mapping().atomic_u32(256).unwrap()
    }

    /// A child that holds the lock until it is killed.
    pub(crate) fn holder(&self) -> Child {
        let held = Gate::new();
        let child = fork_child(|| {
            let _guard = self.lock().lock().unwrap();
            held.open();
            wait_for_kill()
        });
        child.wait_at(&held);
        child
    }

    /// A child that takes the lock and ends with 1 if the holder before it died, else with 0.
    pub(crate) fn waiter(&self) -> Child {
        fork_child(|| i32::from(self.lock().lock().unwrap().owner_died()))
    }

    /// Returns when somebody has announced that he waits for the lock.
    pub(crate) fn until_waiting(&self) {
        while self.word().load(Relaxed) & WAITERS == 0 {
            std::thread::yield_now();
        }
    }
}
