//! Who has how much: the part of a semaphore or a read-write lock that makes up for the dead.
//!
//! A process takes a place and counts there what it has. Nobody else counts for it, so a killed one has exactly what its place
//! says, which is one store for each change; whoever finds the process dead empties the place. There is no other count
//! that a dead process should have taken down.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::{process::ProcessId, sys};

/// What one process has.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Holding {
    /// The bits of its [`ProcessId`]; of nobody in particular while the count is zero.
    process: AtomicU64,
    count: AtomicU64,
}

impl Holding {
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Acquire)
    }

    /// Counts one more. The caller has found the place by [`Ledger::place`], under the same lock.
    pub(crate) fn add(&self, process: ProcessId) {
        self.process.store(process.to_bits(), Relaxed);
        self.count.fetch_add(1, AcqRel);
    }

    /// Counts one less: false in a process that was forked from the holder and has nothing.
    pub(crate) fn remove(&self) -> bool {
        let own = self.process.load(Relaxed) == ProcessId::current().to_bits();
        own && self.count.fetch_update(AcqRel, Relaxed, |count| count.checked_sub(1)).is_ok()
    }

    fn process(&self) -> Option<ProcessId> {
        ProcessId::from_bits(self.process.load(Relaxed)).filter(|_| self.count() > 0)
    }
}

/// Places for as many processes as have something at the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ledger<'m>(&'m [Holding]);

impl<'m> Ledger<'m> {
    pub(crate) fn new(words: &'m [AtomicU64]) -> Self {
        Self(sys::row(words))
    }

    /// The place of `process`, or one that it can have; `None` where others have all. Under the lock of the ledger.
    pub(crate) fn place(self, process: ProcessId) -> Option<&'m Holding> {
        // Most find theirs where they look first.
        let start = process.to_bits() as usize % self.0.len().max(1);
        let (last, first) = self.0.split_at_checked(start)?;
        let free = |place: &&Holding| {
            place.count() == 0 || place.process.load(Relaxed) == process.to_bits()
        };
        first.iter().chain(last).find(free)
    }

    /// The sum of all counts.
    pub(crate) fn sum(self) -> u64 {
        self.0.iter().fold(0, |sum, place| sum.saturating_add(place.count()))
    }

    /// Those that have something and are dead. Asks the system for each, so not under a leaf lock.
    pub(crate) fn dead(self) -> Vec<ProcessId> {
        let mut dead: Vec<ProcessId> = Vec::new();
        for process in self.0.iter().filter_map(Holding::process) {
            if !dead.contains(&process) && process.is_dead() {
                dead.push(process);
            }
        }
        dead
    }

    /// Takes from the dead what they had: the sum of it. Under the lock of the ledger.
    pub(crate) fn strike(self, dead: &[ProcessId]) -> u64 {
        let is_dead = |place: &&Holding| place.process().is_some_and(|owner| dead.contains(&owner));
        self.0.iter().filter(is_dead).fold(0, |sum, place| {
            let count = place.count();
            place.count.store(0, Release);
            sum.saturating_add(count)
        })
    }
}
