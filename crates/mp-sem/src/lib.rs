//! Semaphores of the operating system, POSIX and System V: permits that processes take and give back.
//!
//! ```
//! use mp_sem::sysv::{Key, SemaphoreSet};
//! use std::time::Duration;
//!
//! // Two may download at a time, and a permit comes back even if its holder is killed.
//! let downloads = SemaphoreSet::create_new(Key::PRIVATE, &[2])?;
//!
//! // Usually in another process.
//! let same = SemaphoreSet::from_id(downloads.id())?;
//! let permit = same.acquire_timeout(0, Duration::from_secs(1))?;
//! assert_eq!(downloads.value(0)?, 1);
//! drop(permit);
//! assert_eq!(downloads.value(0)?, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | | [`posix`] | [`sysv`] |
//! |---|---|---|
//! | type | [`Semaphore`](posix::Semaphore), one counter | [`SemaphoreSet`](sysv::SemaphoreSet), several, changed in one step by [`Op`](sysv::Op)s |
//! | found by | [name](ObjectName), or a place in shared memory | [`Key`](sysv::Key) or identifier |
//! | created by | [`CreateOptions`](posix::CreateOptions), [`unnamed`](posix::Semaphore::unnamed), [`create_in`](posix::Semaphore::create_in) | [`CreateOptions`](sysv::CreateOptions) |
//! | taken as | [`Permit`](posix::Permit) | [`Permit`](sysv::Permit), with `SEM_UNDO` |
//! | counts to | 2147483647 | 32767 |
//! | uncontended cost | no system call | one system call |
//! | wait until it is zero | no | [`wait_zero`](sysv::SemaphoreSet::wait_zero) |
//! | **the permit of a killed process** | **lost for ever** | **comes back at once** |
//!
//! Both have `acquire`, `try_acquire`, `acquire_timeout`, `acquire_deadline`, without allocation; deadlines on the monotonic clock
//! that are never early and survive signals; `release`, to give back what another process took; and a creator that removes what it
//! made when it is dropped, unless told to [`persist`](posix::Semaphore::persist).
//!
//! With the feature `serde`, handles travel inside process arguments and messages; what arrives is an opener.
//!
//! # When a process is killed
//!
//! Each row is a test for each kind (`tests/it/kills.rs`, `tests/it/creation.rs`, `tests/it/sysv_only.rs`).
//!
//! | killed with `SIGKILL` | what is left | test |
//! |---|---|---|
//! | who holds a permit | System V: it comes back, and who waits gets it. POSIX: it is **lost**; who waits runs into the deadline, or waits for ever without one | `the_permit_of_a_killed_holder` |
//! | who takes and gives back, at any moment | System V: all permits. POSIX: at most the one in its hand is lost | `random_kills_lose_nothing_where_the_kernel_undoes` |
//! | who waits for a permit | nothing is taken, and nobody misses a release | `a_killed_waiter_takes_nothing`, `a_killed_waiter_does_not_hide_a_release_from_the_others` |
//! | who did several operations with undo | all of them are undone | `what_a_process_did_is_undone_when_it_ends` |
//! | the creator of a set, before the values are set | the next creator takes its place in time; an opener is told | `a_creator_killed_at_any_call_is_replaced`, `an_opener_of_a_dead_creators_set_is_told` |
//! | the owner | the semaphore; somebody has to remove it | `a_killed_owner_leaves_the_semaphore_to_the_others` |
//!
//! `tests/it/sweeps.rs` kills taking, giving back and creating at every single instruction.
//!
//! The undo of System V is per process: a permit of a thread that ends without dropping it comes back when the process ends. Locks
//! and semaphores in shared memory that know their holders, and tell the next one that the last one died, are in the crate `mp-sync`.
//!
//! # What this crate does not do
//!
//! * Recover POSIX permits: nothing in the kernel knows who holds one.
//! * Readiness for `poll(2)`: neither kind has a descriptor to wait for.
//! * `sem_destroy`: memory goes when it is unmapped. `sem_init` for threads of one process only: `std::sync` has better.
//! * Removing the semaphores of owners that were killed: they may be meant to stay. [`sysv::list()`] and `/dev/shm` show them.
//!
//! Linux 5.10 or newer with glibc 2.30 or newer (`sem_clockwait`), x86_64 and aarch64.

#![deny(unsafe_code)]

pub mod posix;
pub mod sysv;
#[cfg(feature = "serde")]
mod transfer;

pub use mp_os::{Error, ObjectName, Result, TimeoutError, TryError};
