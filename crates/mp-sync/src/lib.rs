//! Locks and wake-ups in shared memory that survive the SIGKILL of whoever holds them, at any instruction.
//!
//! ```
//! use mp_sync::{LockError, Mutex, Semaphore};
//! use std::sync::atomic::AtomicU64;
//!
//! // Words of memory that several processes have mapped, zeroed in the beginning.
//! let words = [const { AtomicU64::new(0) }; 64];
//! let (first, rest) = words.split_at(Mutex::<[u32; 2]>::WORDS);
//!
//! let accounts = Mutex::create(first, [100_u32, 0])?; // ... and `Mutex::attach(first)?` in the others
//! let mut guard = accounts.lock().or_else(LockError::recover)?;
//! guard[0] -= 30;
//! guard[1] += 30;
//! drop(guard); // both, or a killed process has changed neither
//!
//! let seats = Semaphore::create(rest, 2)?;
//! let seat = seats.acquire()?; // comes back when it is dropped, or when this process is killed
//! # drop(seat);
//! # Ok::<(), mp_sync::Error>(())
//! ```
//!
//! | type | what it is | words it takes |
//! |---|---|---|
//! | [`Mutex`], [`MutexGuard`] | a value that one thread of one process changes at a time, whole or not at all | `WORDS` |
//! | [`RwLock`], [`ReadGuard`], [`WriteGuard`] | the same, that many read at a time | 2 for each process that reads |
//! | [`ReentrantLock`], [`ReentrantGuard`] | a lock that its holder may take again | `WORDS` |
//! | [`Semaphore`], [`BoundedSemaphore`], [`Permit`] | a number of permits | 2 for each process that holds some |
//! | [`Condvar`] | waiting, with a mutex, for a change | 2 for each thread that waits |
//! | [`Event`] | a flag to wait for | `WORDS` |
//! | [`Barrier`] | parties that wait for each other | 2 for each party |
//! | [`Once`] | what is done once | `WORDS` |
//! | [`LockError`], [`Recover`] | the holder has died, and what then | |
//! | **the parts these are made of** | | |
//! | [`LeafLock`], [`LeafGuard`] | two words of 32 bits: a lock that the kernel releases when its holder dies | |
//! | [`Doorbell`], [`Listener`] | one word of 32 bits: sleep until something changed; ringing is a load while nobody sleeps | |
//! | [`Patience`], [`current_cpu`] | when to look again before going to sleep | |
//!
//! Any shared mapping will do: `mp_shm::Segment::memory().atomics(offset, count)` gives the words. To have objects that
//! travel to other processes by themselves, take those of `mp-core`.
//!
//! # When somebody is killed
//!
//! | killed by `SIGKILL` | what the others see | when |
//! |---|---|---|
//! | the holder of a leaf lock | the next holder is told by [`owner_died`](LeafGuard::owner_died) | at once, from the kernel |
//! | the holder of one mutex, reentrant lock or write lock | [`LockError::OwnerDied`], and the last value that was committed | at once, from the kernel |
//! | the holder of several | the same; the kernel knows of the outermost one | the others: 25 ms |
//! | a reader of a read-write lock | nothing: its lock is taken back | 25 ms |
//! | the holder of permits | they come back | 25 ms; at once for who tries and finds none |
//! | one who waits, for anything | nothing: nobody counts on it | |
//! | one who was let go by a notification, and had not gone on | the notification goes to another one who has waited then | 25 ms |
//! | one who waits at a barrier | its place is free for somebody else | 25 ms |
//! | one who runs the action of a barrier | [`BarrierError::Broken`] | 25 ms |
//! | one who does what is to be done once | the next one does it | at once |
//! | one who has changed something and not yet woken others | the others wake by themselves | 25 ms |
//! | anyone, in the middle of any of these operations | the operation happened or did not | as above |
//!
//! A thread that ends with one lock, and a process that calls `execve(2)`, release it like a killed one; the inner locks of
//! several, permits and read locks are held until the *process* ends. A *stopped* holder keeps what it has: nothing is
//! ever taken from the living, and waiters have deadlines. A *forked child* has copies of its parent's guards, which
//! are nothing: dropping them changes nothing.
//!
//! Holders are known by a number that no other process has until the next boot (the inode of its pidfd; before Linux 6.9 the
//! time of its start), so process numbers that come round are no danger. They mean something in one PID namespace only:
//! compare [`pid_namespace`] when you attach to memory.
//!
//! What this crate does *not* do: own memory (`mp-shm` does), or protect from processes that write into the memory whatever
//! they like: those can make others wait, up to their deadlines or, where an operation has none, for as long as they go on, and
//! give them wrong values, but no worse. It uses the robust futexes of Linux, 5.10 or newer, `membarrier(2)`, for which each
//! program registers before `main`, and a layout that does not depend on the executable; zeroes are the initial state.

#![deny(unsafe_code)]

mod atomic;
mod barrier;
mod bounded;
mod condvar;
mod doorbell;
mod error;
mod event;
mod ledger;
mod lock;
mod membarrier;
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
mod words;

pub use bytemuck::Pod;
pub use mp_os::{Deadline, Error, Result, TimeoutError, TryError};

pub use crate::{
    barrier::{Barrier, BarrierError},
    bounded::BoundedSemaphore,
    condvar::Condvar,
    doorbell::{Doorbell, Listener},
    error::{LockError, Recover},
    event::Event,
    lock::{LeafGuard, LeafLock},
    mutex::{Mutex, MutexGuard},
    once::Once,
    process::pid_namespace,
    reentrant::{ReentrantGuard, ReentrantLock},
    rwlock::{ReadGuard, RwLock, WriteGuard},
    semaphore::{Permit, Semaphore},
    spin::{Patience, current_cpu},
};
