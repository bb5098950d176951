//! Locks and wake-ups in shared memory that survive the SIGKILL of whoever holds them, at any instruction.
//!
//! ```
//! use mp_sync::{Deadline, Doorbell, LeafLock};
//! use std::sync::atomic::AtomicU32;
//!
//! // Three words of shared memory: a lock, a bell, and what they are about.
//! let (lock, bell, items) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
//! let (lock, bell) = (LeafLock::from_atomic(&lock), Doorbell::from_atomic(&bell));
//! # use std::sync::atomic::Ordering::{Acquire, Release};
//!
//! let guard = lock.lock()?;
//! items.store(1, Release);
//! guard.release().ring(bell);
//!
//! let there = bell.wait_for(Deadline::never(), || (items.load(Acquire) > 0).then_some(()))?;
//! assert!(there.is_some());
//! # Ok::<(), mp_sync::Error>(())
//! ```
//!
//! | type | what it is |
//! |---|---|
//! | [`LeafLock`], [`LeafGuard`], [`Released`] | one word: a lock that the kernel releases when its holder dies |
//! | [`Doorbell`], [`Listener`] | one word: sleep until something changed; ringing is a load while nobody sleeps |
//! | [`Patience`], [`current_cpu`] | when to look again before going to sleep |
//!
//! **When somebody is killed.** The holder of a lock: the kernel marks the word and wakes a waiter, who takes the lock and
//! sees [`owner_died`](LeafGuard::owner_died). A waiter, asleep or just woken: another is woken in its place. The one who
//! rings a bell, between changing the condition and ringing: sleepers look every 25 ms. A thread that ends and a process
//! that calls `execve(2)` release what they hold like a killed one. A *stopped* holder keeps its lock: nothing is ever
//! taken from the living, and waiters have deadlines.
//!
//! What this crate does *not* do: own memory (`mp-shm` does), protect data by type, nest, or count. These are the parts
//! that locks for users are made of. It uses the robust futexes of Linux, 5.10 or newer, between processes of one PID
//! namespace and one executable-independent layout: 32-bit words, zero is the initial state.

#![deny(unsafe_code)]

mod barrier;
mod bounded;
mod condvar;
mod doorbell;
mod error;
mod event;
mod ledger;
mod lock;
mod mutex;
mod once;
mod place;
mod process;
mod raw;
mod reentrant;
mod robust;
mod rwlock;
mod semaphore;
mod spin;
mod sys;
mod versions;
mod wait;

pub use bytemuck::Pod;
pub use mp_os::{Deadline, Error, Result, TimeoutError, TryError};

pub use crate::{
    barrier::{Barrier, BarrierError},
    bounded::BoundedSemaphore,
    condvar::Condvar,
    doorbell::{Doorbell, Listener},
    error::{LockError, Recover},
    event::Event,
    lock::{LeafGuard, LeafLock, Released},
    mutex::{Mutex, MutexGuard},
    once::Once,
    process::pid_namespace,
    reentrant::{ReentrantGuard, ReentrantLock},
    rwlock::{ReadGuard, RwLock, WriteGuard},
    semaphore::{Permit, Semaphore},
    spin::{Patience, current_cpu},
};
