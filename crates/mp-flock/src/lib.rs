//! File locks with guards and deadlines: `flock(2)`, POSIX record locks, locks of open file descriptions, pidfiles.
//!
//! ```
//! use mp_flock::{Flock, Ofd};
//! use std::{io::Write, time::Duration};
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("accounts");
//! # std::fs::write(&path, [0; 64])?;
//! let open = || std::fs::File::options().read(true).write(true).open(&path);
//!
//! // The whole file; the guard is the file, and gives it back.
//! let mut file = Flock::exclusive().lock_timeout(open()?, Duration::from_secs(5))?;
//! file.write_all(b"nobody else writes meanwhile")?;
//! let file = file.unlock()?;
//!
//! // Some bytes of it.
//! let record = Ofd::exclusive().range(32..48)?.lock(&file)?;
//! let another = open()?;
//! assert!(Ofd::shared().range(0..32)?.try_lock(&another).is_ok());
//! assert!(Ofd::shared().range(40..41)?.try_lock(&another).is_err());
//! # drop(record);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! | type | what it is |
//! |---|---|
//! | [`Flock`], [`Ofd`], [`Posix`] | the three kinds of lock; each makes a request, shared or exclusive |
//! | [`Request`] | locks a file: `lock`, `try_lock`, `lock_timeout`, `lock_deadline`; tells the holder in the way |
//! | [`Guard`] | a lock that is held: the file, `upgrade`, `downgrade`, `unlock` |
//! | [`ByteRange`], [`Mode`], [`Kind`] | which bytes, how, of which kind |
//! | [`holders`], [`Holder`] | who locks a file, or waits for it |
//! | [`PidFile`] | at most one of these runs |
//! | [`Failed`], [`Remains`] | what comes back where it did not happen: the file, and why |
//!
//! # Which kind
//!
//! | | [`Flock`] | [`Ofd`] | [`Posix`] |
//! |---|---|---|---|
//! | bytes | whole file | ranges | ranges |
//! | held by | open file | open file | process |
//! | threads exclude each other | if each opens it | if each opens it | no |
//! | a forked child | shares the lock | shares the lock | has none |
//! | closing another descriptor of the file | nothing | nothing | **drops it** |
//! | exclusive takes a file open for writing | no | yes | yes |
//! | upgrade | **gives it up first** | atomic | atomic |
//! | deadlock of those who wait without deadline | not detected | not detected | `EDEADLK` |
//! | the kernel knows the holder's process | the taker's | no | yes |
//! | conflicts with | `Flock` | `Ofd`, `Posix` | `Ofd`, `Posix` |
//!
//! Take [`Ofd`] unless you talk with programs that use another one, or only lock whole files ([`Flock`], as
//! `File::lock` of std and `flock(1)` do).
//!
//! # What file locks do not do
//!
//! * They are advisory: whoever does not ask is not stopped.
//! * They wait for no file: somebody who deletes or renames the file and makes a new one locks another file.
//! * They are fair to those who wait in the kernel only: a wait with a deadline [looks again](Request#how-the-forms-wait)
//!   every 10 ms, since the kernel has no such call.
//! * On network file systems they are as good as the server. Tested on local ones.
//!
//! # What the kernel promises when a process is killed
//!
//! | killed with `SIGKILL` | then |
//! |---|---|
//! | a holder | the lock is free and a waiter has it, before the death is reported by a pidfd or `wait` |
//! | a holder whose forked child has the open file | [`Flock`] and [`Ofd`]: held until the child closes it or dies; [`Posix`]: free |
//! | a waiter | it is in nobody's way |
//! | the process of a [`PidFile`] | the file stays, unlocked; the next one takes it over |
//! | a writer inside a lock | the lock is free, **its data half-written**: nobody is told, so write anew and rename, or mark it |
//!
//! Linux 5.10 or newer, x86_64 and aarch64.

#![deny(unsafe_code)]

mod backend;
mod describe;
mod failed;
mod guard;
mod holder;
mod pidfile;
mod range;
mod record;
mod request;
mod sys;

pub use mp_os::{Error, Result, TimeoutError, TryError};

use crate::describe::describe;
pub use crate::{
    backend::{Backend, Flock, Kind, Mode, Ofd, Posix, RangeBackend},
    failed::Failed,
    guard::{Guard, Remains},
    holder::{Holder, holders},
    pidfile::{PidFile, PidFileError},
    range::ByteRange,
    request::Request,
};
