//! The system calls of this crate.
//!
//! # Safety
//!
//! Every function here is safe to call: each passes only pointers to its own locals or to borrowed arguments, for the
//! length of one call that does not keep them, and none installs a function as a handler.

#![allow(unsafe_code, reason = "system calls")]

use std::{io, mem, ptr};

use mp_os::cvt;
use nix::libc;

use crate::{Disposition, Signal, SignalSet};

/// The C form of `set`.
fn sigset(set: SignalSet) -> libc::sigset_t {
    // SAFETY: all zeroes is a valid `sigset_t`, the empty one.
    let mut raw: libc::sigset_t = unsafe { mem::zeroed() };
    for signal in set.iter() {
        // SAFETY: `raw` is valid for writes; a `Signal` is a valid number.
        unsafe { libc::sigaddset(&raw mut raw, signal.as_raw()) };
    }
    raw
}

fn from_sigset(raw: &libc::sigset_t) -> SignalSet {
    Signal::all()
        // SAFETY: `raw` is initialized; a `Signal` is a valid number.
        .filter(|signal| unsafe { libc::sigismember(raw, signal.as_raw()) } == 1)
        .collect()
}

/// `pthread_sigmask`, which returns its error: the previous mask.
fn sigmask(how: libc::c_int, set: Option<SignalSet>) -> io::Result<SignalSet> {
    let new = set.map(sigset);
    let new = new.as_ref().map_or(ptr::null(), ptr::from_ref);
    let mut old = sigset(SignalSet::empty());
    // SAFETY: `new` is null or points to a set, `old` is valid for writes.
    match unsafe { libc::pthread_sigmask(how, new, &raw mut old) } {
        0 => Ok(from_sigset(&old)),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

pub(crate) fn mask() -> io::Result<SignalSet> {
    sigmask(libc::SIG_BLOCK, None)
}

pub(crate) fn block(set: SignalSet) -> io::Result<SignalSet> {
    sigmask(libc::SIG_BLOCK, Some(set))
}

pub(crate) fn set_mask(set: SignalSet) -> io::Result<()> {
    sigmask(libc::SIG_SETMASK, Some(set)).map(drop)
}

pub(crate) fn pending() -> io::Result<SignalSet> {
    let mut set = sigset(SignalSet::empty());
    // SAFETY: `set` is valid for writes.
    cvt(unsafe { libc::sigpending(&raw mut set) })?;
    Ok(from_sigset(&set))
}

pub(crate) fn disposition(signal: Signal) -> io::Result<Disposition> {
    // SAFETY: all zeroes is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: `action` is valid for writes.
    cvt(unsafe { libc::sigaction(signal.as_raw(), ptr::null(), &raw mut action) })?;
    Ok(match action.sa_sigaction {
        libc::SIG_DFL => Disposition::Default,
        libc::SIG_IGN => Disposition::Ignore,
        _ => Disposition::Handler,
    })
}

/// Async-signal-safe.
pub(crate) fn set_disposition(signal: Signal, ignore: bool) -> io::Result<()> {
    // SAFETY: all zeroes is a valid `sigaction`, that of the default action.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = if ignore { libc::SIG_IGN } else { libc::SIG_DFL };
    // SAFETY: `action` is valid for reads and names no function.
    cvt(unsafe { libc::sigaction(signal.as_raw(), &raw const action, ptr::null_mut()) }).map(drop)
}
