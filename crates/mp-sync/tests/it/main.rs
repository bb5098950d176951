//! One binary for all integration tests of this crate.

#![allow(clippy::unwrap_used, reason = "a test that cannot be carried out has failed")]

mod barrier;
mod condvar;
mod doorbell;
mod event;
mod fork;
mod hostile;
mod identity;
mod limits;
mod lock;
mod mutex;
mod once;
mod rwlock;
mod schedule;
mod semaphore;
mod shared;
mod sweep;
mod sweep_condvar;
mod sweep_monitors;
mod sweep_mutex;
