//! The system calls of this crate.
//!
//! # Safety
//!
//! Every function here is safe to call, except the one that says otherwise: each passes only pointers to its own locals, or to
//! borrowed arguments for the length of one call. The casts rely on
//! `#[repr(transparent)]` and on what [`Shared`] promises.

#![allow(unsafe_code, reason = "system calls")]

use std::{
    io,
    ptr::{self, NonNull},
    slice,
    sync::atomic::{AtomicU32, AtomicU64},
};

use mp_os::{Deadline, cvt};
use nix::libc;

use crate::{
    Doorbell, LeafLock, barrier, condvar, event, ledger::Holding, membarrier, once, raw::RawMutex,
    robust::RobustHead, rwlock, semaphore, words::LockWords,
};

impl LeafLock {
    /// The lock that lives in `words`, usually two words of shared memory. Zeroes are a free lock.
    pub const fn from_atomics(words: &[AtomicU32; 2]) -> &Self {
        // SAFETY: `LeafLock` is `#[repr(transparent)]` over a `#[repr(C)]` structure of two `AtomicU32`, and every value of them is
        // a valid state.
        unsafe { &*ptr::from_ref(words).cast::<Self>() }
    }
}

impl Doorbell {
    /// The doorbell that lives in `word`, usually a word of shared memory. Any value will do, zero is usual.
    pub const fn from_atomic(word: &AtomicU32) -> &Self {
        // SAFETY: `Doorbell` is `#[repr(transparent)]` over `AtomicU32`, and every value of it is a valid state.
        unsafe { &*ptr::from_ref(word).cast::<Self>() }
    }
}

/// What may lie in memory that other processes write at any time.
///
/// # Safety
///
/// It is `#[repr(C)]`, or transparent, and made of atomic integers of at most 8 bytes and of other such types, and of nothing else.
pub(crate) unsafe trait Shared {}

macro_rules! shared {
    ($($name:ty),+ $(,)?) => {$(
        // SAFETY: a `#[repr(C)]` or transparent structure, whose fields are all atomic integers or structures of this list.
        unsafe impl Shared for $name {}
    )+};
}

shared!(
    LockWords,
    LeafLock,
    Doorbell,
    RawMutex,
    Holding,
    semaphore::Head,
    rwlock::Head,
    condvar::Head,
    condvar::Waiter
);
shared!(event::Head, barrier::Head, barrier::Place, once::Head);

/// The `T` that begins with the first of `words`, and the words after it; `None` where it needs more than there are.
#[inline]
pub(crate) fn split<T: Shared>(words: &[AtomicU64]) -> Option<(&T, &[AtomicU64])> {
    const { assert!(align_of::<T>() <= align_of::<AtomicU64>()) };
    let (head, rest) = words.split_at_checked(size_of::<T>().div_ceil(size_of::<AtomicU64>()))?;
    // SAFETY: the words are long and aligned enough, and `Shared` promises that `T` is nothing but atomic integers, so that
    // any bytes are valid and others may write them at any time.
    Some((unsafe { &*head.as_ptr().cast::<T>() }, rest))
}

/// As many `T`s in a row as `words` have room for.
#[inline]
pub(crate) fn row<T: Shared>(words: &[AtomicU64]) -> &[T] {
    const { assert!(align_of::<T>() <= align_of::<AtomicU64>() && size_of::<T>() > 0) };
    let count = size_of_val(words) / size_of::<T>();
    // SAFETY: so many are inside; for the rest as in `split`.
    unsafe { slice::from_raw_parts(words.as_ptr().cast::<T>(), count) }
}

/// `FUTEX_WAIT_BITSET`, between processes, until an absolute `CLOCK_MONOTONIC` time: sleeps while `word` is `expected`.
///
/// Every return is a hint to look again: woken, interrupted, another value, or the time came.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, until: Deadline) -> io::Result<()> {
    let time = until.to_monotonic();
    let time = time.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the kernel only reads: `word`, which is a live futex word, and `time`, null or a local.
    let woken = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT_BITSET,
            expected,
            time,
            ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    };
    match cvt(woken) {
        Err(error)
            if !matches!(
                error.raw_os_error(),
                Some(libc::EAGAIN | libc::EINTR | libc::ETIMEDOUT)
            ) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// `FUTEX_WAKE`, between processes, of at most `count` sleepers.
pub(crate) fn futex_wake(word: &AtomicU32, count: i32) {
    // SAFETY: the kernel uses the address as a key and does not touch the word. The call fails for an unmapped or
    // misaligned address only, which a reference is not.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
}

/// `MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED`.
pub(crate) fn membarrier_register() -> io::Result<()> {
    membarrier(libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED)
}

/// `MEMBARRIER_CMD_GLOBAL_EXPEDITED`.
pub(crate) fn membarrier_expedited() -> io::Result<()> {
    membarrier(libc::MEMBARRIER_CMD_GLOBAL_EXPEDITED)
}

fn membarrier(command: libc::c_int) -> io::Result<()> {
    // SAFETY: integers only.
    cvt(unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) }).map(drop)
}

/// Before `main`, while there is one thread.
#[ctor::ctor(unsafe, priority = early)]
fn before_main() {
    membarrier::register();
}

pub(crate) fn gettid() -> u32 {
    // SAFETY: no arguments, and it never fails.
    let tid = unsafe { libc::syscall(libc::SYS_gettid) };
    u32::try_from(tid).unwrap_or(0)
}

/// `get_robust_list(2)` of the calling thread: `None` where nobody has registered one.
pub(crate) fn robust_head() -> io::Result<Option<NonNull<RobustHead>>> {
    let mut head = ptr::null_mut::<RobustHead>();
    let mut len = 0_usize;
    // SAFETY: both pointers are to locals, valid for writes.
    cvt(unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &raw mut head, &raw mut len) })?;
    Ok(NonNull::new(head))
}

/// `set_robust_list(2)` for the calling thread.
///
/// # Safety
///
/// `head` is initialised and stays where it is until the thread has ended.
pub(crate) unsafe fn set_robust_head(head: NonNull<RobustHead>) -> io::Result<()> {
    let len = size_of::<RobustHead>();
    // SAFETY: the caller keeps the head alive for as long as the kernel may follow the pointer.
    cvt(unsafe { libc::syscall(libc::SYS_set_robust_list, head.as_ptr(), len) }).map(drop)
}

/// Whether a thread or process of this number exists, be it a zombie. In doubt, it does.
pub(crate) fn exists(number: u32) -> bool {
    let Ok(raw) = i32::try_from(number) else { return true };
    // SAFETY: integers only, and signal 0 is not sent.
    let probe = cvt(unsafe { libc::kill(raw, 0) });
    probe.map_err(|error| error.raw_os_error()) != Err(Some(libc::ESRCH))
}

/// The core this thread runs on right now.
#[inline]
pub(crate) fn current_cpu() -> u32 {
    // SAFETY: no arguments.
    let cpu = unsafe { libc::sched_getcpu() };
    u32::try_from(cpu).unwrap_or(u32::MAX)
}

/// How many cores run anything at all.
pub(crate) fn cores_online() -> u32 {
    // SAFETY: integers only.
    let cores = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    u32::try_from(cores).unwrap_or(1)
}
