//! Message queues of the kernel, POSIX and System V: whole messages between processes that need not know each other.
//!
//! ```
//! use mp_mqueue::posix::{CreateOptions, MessageQueue};
//! use std::time::Duration;
//!
//! let name = format!("/mp-doc-lib-{}", std::process::id());
//! let jobs = CreateOptions::new().capacity(4).message_size(64).create_new(&name)?;
//!
//! // Usually in another process.
//! let worker = MessageQueue::open(&name)?;
//! jobs.send(b"tidy up", 0)?;
//! jobs.send(b"put out the fire", 9)?;
//!
//! let mut buffer = [0; 64];
//! let job = worker.recv_timeout(&mut buffer, Duration::from_secs(1))?;
//! assert_eq!((job.bytes, job.priority), (&b"put out the fire"[..], 9));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | | [`posix`] | [`sysv`] |
//! |---|---|---|
//! | found by | [name](ObjectName), or its descriptor | [`Key`](sysv::Key) or identifier |
//! | create | [`CreateOptions`](posix::CreateOptions): mode, capacity in messages, message size | [`CreateOptions`](sysv::CreateOptions): mode, capacity in bytes |
//! | open | [`OpenOptions`](posix::OpenOptions) | [`OpenOptions`](sysv::OpenOptions), [`from_id`](sysv::MessageQueue::from_id) |
//! | send and receive | [`MessageQueue`](posix::MessageQueue) | [`MessageQueue`](sysv::MessageQueue) |
//! | order | by priority, then by age | by age; the receiver [selects](sysv::Select) by kind |
//! | wait for it among other things | a descriptor for `poll(2)`, `epoll(7)`, tokio; [`Notifier`](posix::Notifier) | no |
//! | a wait with a deadline | wakes at once | looks again every 10 ms at the latest |
//! | all that exist | [`list`](posix::list()), where the queue file system is mounted | [`list`](sysv::list()) |
//! | limits, told in the error's hint | [`Limits`](posix::Limits) | [`Limits`](sysv::Limits) |
//! | removed under those who use it | they go on | [`Removed`](sysv::WaitError::Removed), an outcome of its own |
//!
//! Both have `send`, `try_send`, `send_timeout`, `send_deadline`, the same of `recv` into a buffer of the caller, without
//! allocation; deadlines on the monotonic clock that are never early and survive signals; and a creator that removes what it made
//! when it is dropped, unless told to [`persist`](posix::MessageQueue::persist).
//!
//! With the feature `serde`, handles travel inside process arguments and messages; what arrives is an opener.
//!
//! # When a process is killed
//!
//! The queue belongs to the kernel, and a message is in it whole or not at all. Each row is a test for both kinds
//! (`tests/it/kills.rs`).
//!
//! | killed with `SIGKILL` | what is left | test |
//! |---|---|---|
//! | a sender, at any moment | the messages it sent, in order, none in part | `a_killed_sender_leaves_whole_messages` |
//! | a sender that waits for room | nothing of the message it was about to send | `a_killed_waiting_sender_leaves_nothing` |
//! | a receiver, at any moment | all messages that it had not been given | `a_killed_receiver_takes_at_most_what_it_was_given` |
//! | a receiver that waits | every message; it takes none with it | `a_killed_waiting_receiver_takes_nothing` |
//! | the peer that somebody waits for | the kernel does not tell: the wait ends at its deadline | `a_dead_sender_is_waited_for_until_the_deadline` |
//! | the owner | the queue; somebody has to remove it | `a_killed_owner_leaves_the_queue_to_the_others` |
//!
//! `tests/it/sweeps.rs` kills `send` and `recv` at every single instruction. A message that a receiver has taken is gone with it. To learn of a peer's death at once, wait for a POSIX queue and the peer's
//! pidfd together.
//!
//! # What this crate does not do
//!
//! * Large or many messages: by default Linux grants 10 messages of 8 KiB a POSIX queue, 16 KiB a System V queue, and 800 KiB of
//!   POSIX queues a user.
//! * Typed values: messages are bytes.
//! * Telling who sent a message.
//! * Removing the queues of owners that were killed: they may be meant to stay. `list` finds them.
//! * `SIGEV_THREAD` (wait for a [`Notifier`](posix::Notifier) in a thread), `O_NONBLOCK` (there is `try_`), `MSG_COPY`.
//!
//! Linux 5.10 or newer, x86_64 and aarch64.

#![deny(unsafe_code)]

mod limit;
pub mod posix;
pub mod sysv;
#[cfg(feature = "serde")]
mod transfer;

pub use mp_os::{Error, ObjectName, Result, TimeoutError, TryError};
