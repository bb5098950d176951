//! Copies of the fork server.
//!
//! # Safety
//!
//! [`sibling`] is safe to call in the fork server, which has one thread from its first instruction to its last.

#![allow(unsafe_code, reason = "a bare clone")]

use std::io;

use nix::libc;

use crate::sys::{Registration, Side, clone_process};

/// A copy of this process, as a child of its parent.
pub(super) fn sibling(registration: &Registration) -> io::Result<Side> {
    // SAFETY: this process has one thread, whose registration that is.
    unsafe { clone_process(libc::CLONE_PARENT, registration) }
}
