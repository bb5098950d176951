//! Run a function in another process.
#![deny(unsafe_code)]

mod builder;
mod child;
mod connection;
mod encoding;
mod entry;
mod error;
mod exec;
mod fork;
mod forkserver;
mod frame;
mod image;
mod keeper;
mod oom;
mod panic;
mod process;
mod protocol;
mod server;
mod sys;
mod task;

pub use mp_os::{Deadline, Error, Result};
pub use mp_signal::Signal;

pub use crate::{
    builder::{Builder, StartMethod, available_start_methods, spawn},
    child::Child,
    connection::{Connection, RecvError, SendError},
    encoding::{DecodeError, EncodeError, decode, encode},
    entry::{init, is_child},
    error::{JoinTimeoutError, ProcessError, SpawnError},
    fork::{fork, fork_unchecked},
    panic::Panic,
    task::{Call, CallOutcome, TaskError, TaskKey},
};
