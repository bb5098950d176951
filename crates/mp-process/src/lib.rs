//! Run a function in another process: arguments and result are values, and however the process ends, the parent learns it.
//!
//! ```
//! use mp_os::transfer::Fd;
//! use mp_process::ProcessError;
//! use std::io::{PipeWriter, Write, read_to_string};
//!
//! fn greet((mut out, name): (Fd<PipeWriter>, String)) -> usize {
//!     write!(out, "hello {name}").unwrap();
//!     name.len()
//! }
//!
//! let (reader, writer) = std::io::pipe()?;
//! let child = mp_process::spawn(greet, (writer.into(), "you".to_owned()))?;
//! assert_eq!(read_to_string(reader)?, "hello you");
//! assert_eq!(child.join()?, 3);
//!
//! let child = mp_process::spawn(|()| std::process::abort(), ())?;
//! let Err::<(), _>(error) = child.join() else { unreachable!() };
//! assert!(matches!(error, ProcessError::Signaled { .. }));
//! assert!(error.to_string().starts_with("killed by SIGABRT (aborted)"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! There is no set-up, no macro and nothing to call first in `main`: this is the same in a program, an example, a `#[test]`, a
//! doctest and a benchmark.
//!
//! | item | what it is |
//! |---|---|
//! | [`spawn`], [`Builder`] | run a `fn(A) -> R` in a new process, by a [`StartMethod`], with streams, environment and [`Limit`]s of its own |
//! | [`fork()`], [`fork_unchecked`] | run any closure in a copy of this process |
//! | [`Child`], [`AnyChild`] | the process: wait, join, signal, be called when it ends, poll its descriptor |
//! | [`Stdio`], [`Captured`] | where its standard streams go |
//! | [`current_process`], [`parent_process`], [`active_children`] | who is there: this process, the one that started it, and those it has started |
//! | [`cpu_count`], [`ids`] | how many processors there are for it, and who it is to the kernel |
//! | [`set_start_method`], [`set_forkserver_preload`] | the default method; what the fork server does before its first copy |
//! | [`ProcessError`], [`Panic`], [`SpawnError`] | how it ended without a result; why it did not start |
//! | [`Connection`], [`SendError`], [`RecvError`] | messages between processes: bytes, or values with open files and other handles inside |
//! | [`Duplex`], [`SendOnly`], [`RecvOnly`]; [`Sends`], [`Receives`] | which way an end of a connection may be used |
//! | [`TaskKey`], [`Call`] | a function as data, for workers that run many of them |
//! | [`encode`], [`encode_head`], [`encode_parts`], [`decode`], [`decode_parts`] | values as bytes |
//! | [`is_child`], [`init`] | for programs that want to know, or that turn the constructor off |
//!
//! # How a process is started
//!
//! | | [`Forkserver`](StartMethod::Forkserver), the default | [`Spawn`](StartMethod::Spawn) | [`Fork`](StartMethod::Fork) |
//! |---|---|---|---|
//! | it begins as | a copy of a fresh process of this executable | a fresh process of this executable | a copy of this process |
//! | statics, locks, threads | as before `main` | as before `main` | copied; one thread |
//! | arguments | serialized | serialized | moved, captures too |
//! | environment, working directory | of the first use | of now | of now |
//! | from a process with threads | yes | yes | refused |
//! | constructors of the program run | once, in the server | each time | no |
//! | relative cost | about 1.5 times a bare `fork` | about 5 times | about that of a `fork` |
//!
//! A task is a plain function, or a closure that captures nothing. Its name across processes is where it is in the executable,
//! checked against the build and the types ([`TaskKey`]). The child is this executable, executed as `/proc/self/exe`; a constructor
//! before `main` finds the socket that it inherited and never returns to `main`. Without the feature `constructor` a program calls
//! [`init`] first in `main` instead; a program that forgets gets [`SpawnError::NotEntered`], within ten seconds.
//!
//! A child has standard input, output and error, and its own socket as descriptor 3; nothing else of the parent's that was not
//! in its arguments. No signal is blocked, and all take their default action but `SIGPIPE`, which Rust ignores everywhere.
//! When the task returns or panics, standard output and the streams of C are flushed, and the process ends: by `_exit(2)`, as in
//! Python, because the exit handlers of a copy are those of what it is a copy of. Only a process by `Spawn`, which is none, runs
//! them, as at a return from `main`. (So the profiles of coverage tools, which a handler writes, need `Spawn`.)
//!
//! At first use this crate starts a thread (`mp-keeper`) and, for the default method, a process (`mp-forkserver`), which live as long as
//! this process. The thread is needed because the kernel ties a child to the *thread* that started it. The process is a copy of this
//! executable that has not come to `main`; it has one thread, does nothing but copy itself, and is replaced if it is killed. It makes one
//! copy ahead (`mp-spare`), which the next start gives its task: so a start costs about what a bare `fork(2)` does.
//!
//! # When a process is killed
//!
//! Each row is a test (`tests/it/lifetime.rs`, `tests/it/ends.rs`, `tests/it/connection.rs`).
//!
//! | killed with `SIGKILL` | what happens | test |
//! |---|---|---|
//! | a child | [`Child::join`] returns at once and names the signal; nothing of it is left | `deadly_signals` |
//! | a child, for want of memory | the same, and says so | `out_of_memory` |
//! | a child after its result is sent | the result arrives | `a_result_outlives_a_death_after_it` |
//! | the parent | all its descendants of this crate are killed within a moment, by the kernel: `PR_SET_PDEATHSIG`, and the end of a socket as a second net | `a_killed_parent_takes_all_descendants_along`, `the_second_net_holds_alone` |
//! | the fork server | children are not concerned; the next start replaces it; a start that was under way is found or repeated, never done twice | `a_dead_server_is_replaced`, `a_server_or_spare_killed_at_any_time` |
//! | the copy made ahead | the next start has another made | `a_dead_spare_process_is_replaced` |
//! | a child with [`kill_tree`](Builder::kill_tree), its task, or the parent | all that descends from the task is killed, programs and orphans included, before `join` returns | `tree::*` |
//! | the peer of a [`Connection`] | what it sent arrives, then [`RecvError::Closed`]; every wait ends | `a_killed_peer_ends_every_wait` |
//!
//! This crate installs no `SIGCHLD` handler and never waits for any child but its own. Where the program ignores `SIGCHLD` or reaps
//! them itself, results arrive all the same, and so does the way they ended on Linux 6.15 and newer ([`ProcessError::Lost`] before).
//!
//! # What this crate does not do
//!
//! * Pools, queues, shared locks: `mp-core` puts them on top.
//! * Other programs: [`std::process::Command`] is for those.
//! * Tasks in shared libraries: a task is a function of the executable, and a host that only loads Rust code has none.
//! * Sandboxes: a child is trusted as much as its parent.
//!
//! Linux 5.10 or newer, x86_64 and aarch64, with `/proc` mounted. Where a container's seccomp profile forbids newer system calls, older
//! ones do (`tests/it/fallbacks.rs`).

#![deny(unsafe_code)]

mod builder;
mod child;
mod children;
mod clone;
mod connection;
mod current;
mod descriptors;
mod encoding;
mod entry;
mod error;
mod exec;
mod fork;
mod forkserver;
mod frame;
mod guard;
mod identity;
mod image;
mod keeper;
mod oom;
mod panic;
mod preload;
mod process;
mod protocol;
mod server;
mod setup;
mod stdio;
mod sys;
mod task;
mod title;

pub use mp_os::{Deadline, Error, Result};
pub use mp_signal::Signal;

pub use crate::{
    builder::{Builder, StartMethod, available_start_methods, spawn},
    child::Child,
    children::{AnyChild, active_children},
    connection::{Connection, Duplex, Receives, RecvError, RecvOnly, SendError, SendOnly, Sends},
    current::{
        CurrentProcess, Ids, ParentProcess, cpu_count, current_process, ids, parent_process,
    },
    encoding::{DecodeError, EncodeError, decode, decode_parts, encode, encode_head, encode_parts},
    entry::{init, is_child},
    error::{JoinTimeoutError, ProcessError, SpawnError},
    fork::{fork, fork_unchecked},
    identity::{AuthKey, set_start_method, start_method},
    panic::Panic,
    preload::set_forkserver_preload,
    setup::Limit,
    stdio::{Captured, Stdio},
    task::{Call, CallOutcome, TaskBytes, TaskError, TaskKey, Tasks},
};
