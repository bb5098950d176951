//! The first thing that runs.
//!
//! # Safety
//!
//! A constructor runs on the only thread, before `main`. Rust's standard library does not promise to work there; on Linux
//! it does, as the tests of every kind of executable show. In a process that is no child, one variable is looked up.

#![allow(unsafe_code, reason = "a constructor, and the environment before there are threads")]

use std::ffi::OsStr;

/// Before `main`: a child goes to its work, any other process on to `main`.
#[cfg(feature = "constructor")]
#[ctor::ctor(unsafe)]
fn before_main() {
    super::init();
}

/// Sets a variable of the environment, or removes it.
///
/// To be called at the entry of a child, where there is one thread, or one that only waits for this one.
pub(super) fn set_variable(name: &OsStr, value: Option<&OsStr>) {
    match value {
        // SAFETY: no other thread runs, as the contract says.
        Some(value) => unsafe { std::env::set_var(name, value) },
        // SAFETY: as above.
        None => unsafe { std::env::remove_var(name) },
    }
}
