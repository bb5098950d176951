//! Locks and other ways for processes to wait for each other: handles of what `mp-sync` keeps in shared memory.

mod barrier;
mod condition;
mod event;
mod lock;
mod object;
mod rlock;
mod semaphore;

pub(crate) use self::object::{Object, travels};
pub use self::{
    barrier::Barrier,
    condition::{Condition, ConditionGuard},
    event::Event,
    lock::Lock,
    rlock::RLock,
    semaphore::{BoundedSemaphore, Semaphore},
};
