//! What two or more of the `mp-*` crates need of the operating system.
//!
//! You probably want one of the crates above this one: they re-export the types of this crate that appear in their
//! signatures (`mp_pipe::Error` *is* [`mp_os::Error`]), so that `?` composes across them.
//!
//! ```
//! use mp_os::{Deadline, Error};
//! use std::{io, time::Duration};
//!
//! let error = Error::new("open", "shared memory `/x`", io::Error::from_raw_os_error(2));
//! assert_eq!(error.to_string(), "failed to open shared memory `/x`: No such file or directory (os error 2)");
//!
//! let deadline = Deadline::after(Duration::from_millis(20));
//! assert!(deadline.remaining().unwrap() <= Duration::from_millis(20));
//! ```
//!
//! | module or type | what it is |
//! |---|---|
//! | [`Error`], [`TryError`], [`TimeoutError`] | one opaque OS error naming verb and object; the two expected outcomes of waiting |
//! | [`Deadline`] | when to give up, on the monotonic clock |
//! | [`family!`] | the four forms of a blocking method, from the one that takes a deadline |
//! | [`frame`] | whole messages over byte streams |
//! | [`poll`] | wait for readiness of one or many descriptors, EINTR-proof; `Source` and `select` for whatever can be waited for |
//! | [`PidFd`] | a process that cannot be confused with another one |
//! | [`ObjectName`] | the validated name of a POSIX shared memory object, message queue or semaphore |
//! | [`sysv`] | keys, ownership and lists of System V objects |
//! | `transfer` (feature `serde`) | file descriptors inside serde messages |
//! | [`Owner`], [`create_or_open`] | who removes an object, and the race for its name |
//! | [`CreatedFile`] | unlinks a FIFO or socket when its creator drops it |
//! | [`process_id`], [`Wiped`] | this process's number without a system call; words that are zero again in its copies |
//! | [`cvt`], [`retry`] | from C return values to [`std::io::Result`] |
//!
//! What this crate does *not* do: anything that only one crate needs. That lives with its user.

#![deny(unsafe_code)]

// The docs say `mp_os::`, as their readers do.
extern crate self as mp_os;

mod create;
mod created;
mod cvt;
mod deadline;
mod error;
mod family;
pub mod frame;
mod name;
mod owner;
mod pidfd;
pub mod poll;
mod process_id;
mod sys;
pub mod sysv;
#[cfg(feature = "serde")]
pub mod transfer;

pub use crate::{
    create::create_or_open,
    created::CreatedFile,
    cvt::{cvt, retry},
    deadline::Deadline,
    error::{Error, Result, TimeoutError, TryError},
    name::ObjectName,
    owner::Owner,
    pidfd::PidFd,
    process_id::process_id,
    sys::Wiped,
};
