//! The first thing that runs.
//!
//! # Safety
//!
//! A constructor runs on the only thread, before `main`. Rust's standard library does not promise to work there; on Linux
//! it does, as the tests of every kind of executable show. In a process that is no child, one variable is looked up.

#![allow(unsafe_code, reason = "a constructor, and the environment before there are threads")]

use super::VARIABLE;

/// Before `main`: a child goes to its work, any other process on to `main`.
#[cfg(feature = "constructor")]
#[ctor::ctor(unsafe)]
fn before_main() {
    super::init();
}

/// Removes [`VARIABLE`], so that programs which this process executes do not take it for theirs.
pub(super) fn remove_variable() {
    // SAFETY: called at the entry of a child, where there is one thread.
    unsafe { crate::sys::remove_variable(VARIABLE) };
}
