//! Words of shared memory, and processes that use them.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

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
        let words = self.0.mapping().atomics(0, 2).unwrap();
        LeafLock::from_atomics(words.try_into().unwrap())
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

/// Zeroed words of shared memory, for the objects that take more than one.
pub(crate) struct Words(Segment);

impl Words {
    pub(crate) fn new() -> Self {
        Self(Segment::create("mp-sync-test", 8192).unwrap())
    }

    /// So many words from `start`.
    pub(crate) fn at(&self, start: usize, count: usize) -> &[AtomicU64] {
        self.0.mapping().atomics(8 * start, count).unwrap()
    }

    /// A number of a test's own.
    pub(crate) fn number(&self) -> &AtomicU64 {
        &self.at(1023, 1)[0]
    }
}

/// A child that does something and then stays, holding what `body` gave back, until it is killed.
pub(crate) fn stays<R>(body: impl FnOnce() -> R) -> Child {
    let done = Gate::new();
    let child = fork_child(|| {
        let _held = body();
        done.open();
        wait_for_kill()
    });
    child.wait_at(&done);
    child
}

/// How long survivors took to go on.
#[derive(Default)]
pub(crate) struct Recovery {
    times: Vec<Duration>,
    late: bool,
}

impl Recovery {
    /// Survivors go on within that.
    pub(crate) const PROMISE: Duration = Duration::from_millis(50);

    pub(crate) fn time<R>(&mut self, survive: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = survive();
        self.took(start.elapsed());
        result
    }

    pub(crate) fn took(&mut self, time: Duration) {
        self.late |= time > Self::PROMISE;
        self.times.push(time);
    }

    /// Whether anybody took longer since this was asked last.
    pub(crate) fn was_late(&mut self) -> bool {
        std::mem::take(&mut self.late)
    }

    /// For many recoveries from the same: what is slow by itself is slow each time; a busy machine makes some slow.
    #[track_caller]
    pub(crate) fn check(&mut self, name: &str) {
        assert!(!self.times.is_empty(), "nobody survived");
        self.print(name);
        assert!(self.times[self.times.len() / 4] <= Self::PROMISE);
    }

    pub(crate) fn print(&mut self, name: &str) {
        self.times.sort_unstable();
        let at = |part: usize| self.times.get((self.times.len() * part / 100).checked_sub(1)?);
        if let (Some(most), Some(all)) = (at(90), at(100)) {
            println!("{name}: {} recoveries, 90 % in {most:?}, all in {all:?}", self.times.len());
        }
    }
}
