//! Unix signals: sets, blocking, sending with a value, `signalfd`, `sigwaitinfo` and safe handlers.

#![deny(unsafe_code)]

mod block;
mod disposition;
mod fd;
pub mod handler;
mod info;
mod names;
mod send;
mod set;
mod signal;
mod sys;
mod wait;

pub use mp_os::{Error, PidFd, Result, TimeoutError, TryError};

pub use crate::{
    block::Block,
    disposition::{Disposition, reset_for_child},
    fd::SignalFd,
    info::{Cause, SignalInfo, Value},
    send::{Target, exists, queue, send},
    set::SignalSet,
    signal::{DefaultAction, Signal},
};

/// Refuses what no program can block, catch, ignore or wait for, before any call: the kernel ignores it silently.
fn refuse_uncatchable(verb: &'static str, set: SignalSet) -> Result<()> {
    match set.iter().find(|signal| !signal.is_catchable()) {
        Some(signal) => Err(Error::invalid_input(verb, signal.name(), "no program can")),
        None => Ok(()),
    }
}
