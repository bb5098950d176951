//! The system calls that the contenders and limits need.
//!
//! # Safety
//!
//! Every function here is safe to call: pointers are to borrowed arguments, for the length of one call. The copy that
//! `fork` makes calls nothing but `_exit`.

#![allow(unsafe_code, reason = "system calls")]

use std::{
    ptr,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use nix::{
    libc,
    sys::wait::waitpid,
    unistd::{ForkResult, fork},
};

/// Forks a child that ends at once, and reaps it: the least that a new process costs.
///
/// # Panics
///
/// Where the operating system refuses another process.
pub fn fork_and_wait() {
    // SAFETY: the child makes one system call, which is async-signal-safe.
    match unsafe { fork() }.expect("another process") {
        // SAFETY: it ends this copy only, and runs nothing.
        ForkResult::Child => unsafe { libc::_exit(0) },
        ForkResult::Parent { child } => {
            waitpid(child, None).expect("our own child");
        }
    }
}

/// The cheapest system call: nothing but the way into the kernel and back.
#[inline]
pub fn system_call() {
    // SAFETY: no arguments, and it never fails.
    unsafe { libc::syscall(libc::SYS_getppid) };
}

/// Sleeps while `word` is `expected`, between processes. Any return is a hint.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32) {
    let time = ptr::null::<libc::timespec>();
    // SAFETY: the word is alive, and the kernel only reads it.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, time) };
}

/// Wakes at most `count` sleepers, between processes.
pub(crate) fn futex_wake(word: &AtomicU32, count: i32) {
    // SAFETY: the kernel uses the address as a key only.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
}

/// The number of the calling thread, asked for once.
#[inline]
pub(crate) fn thread_number() -> u32 {
    thread_local! {
        static NUMBER: AtomicU32 = const { AtomicU32::new(0) };
    }
    NUMBER.with(|number| match number.load(Relaxed) {
        0 => {
            // SAFETY: no arguments, and it never fails.
            let new = unsafe { libc::gettid() }.cast_unsigned();
            number.store(new, Relaxed);
            new
        }
        known => known,
    })
}
