//! What runs when a process exits.
//!
//! # Safety
//!
//! The C library calls the handler on the thread that exits, outside any signal handler, so it may do what any function
//! may but unwind, which an `extern "C"` function turns into an abort.

#![allow(unsafe_code, reason = "an exit handler")]

use nix::libc;

extern "C" fn handler() {
    super::wait_for_all();
}

/// `atexit(3)`—Waits for the children when this process ends by a return from `main` or by `exit`.
pub(super) fn wait_at_exit() {
    // It fails for want of memory only; then the process ends without waiting, and its children with it.
    // SAFETY: a function without arguments, which lives as long as the executable.
    unsafe { libc::atexit(handler) };
}
