//! The system calls of this crate.
//!
//! # Safety
//!
//! Every function here is safe to call, except the one that says otherwise: each passes only pointers to its own locals, to
//! borrowed arguments for the length of one call, or to memory that is never freed. The two casts rely on
//! `#[repr(transparent)]`.

#![allow(unsafe_code, reason = "system calls")]

use std::{
    io,
    num::NonZero,
    ptr::{self, NonNull},
    sync::atomic::{AtomicU32, AtomicU64},
};

use mp_os::{Deadline, cvt};
use nix::{
    libc,
    sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap},
};

use crate::{Doorbell, LeafLock, robust::RobustHead};

impl LeafLock {
    /// The lock that lives in `word`, usually a word of shared memory. Zero is a free lock.
    pub const fn from_atomic(word: &AtomicU32) -> &Self {
        // SAFETY: `LeafLock` is `#[repr(transparent)]` over `AtomicU32`, and every value of it is a valid state.
        unsafe { &*ptr::from_ref(word).cast::<Self>() }
    }
}

impl Doorbell {
    /// The doorbell that lives in `word`, usually a word of shared memory. Any value will do, zero is usual.
    pub const fn from_atomic(word: &AtomicU32) -> &Self {
        // SAFETY: `Doorbell` is `#[repr(transparent)]` over `AtomicU32`, and every value of it is a valid state.
        unsafe { &*ptr::from_ref(word).cast::<Self>() }
    }
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

/// A word that reads zero in every new process, however it was cloned: `MADV_WIPEONFORK`. Never unmapped.
pub(crate) fn wiped_on_fork() -> io::Result<&'static AtomicU64> {
    const LEN: NonZero<usize> = NonZero::new(size_of::<AtomicU64>()).unwrap();
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new private anonymous mapping replaces nothing. The kernel rounds the length up to a page.
    let page = unsafe { mmap_anonymous(None, LEN, access, MapFlags::MAP_PRIVATE) }?;
    // SAFETY: the advice is for the page just mapped, which nobody else knows.
    if let Err(refused) = unsafe { madvise(page, LEN.get(), MmapAdvise::MADV_WIPEONFORK) } {
        // SAFETY: as above.
        unsafe { munmap(page, LEN.get()) }?;
        return Err(refused.into());
    }
    // SAFETY: the page is zeroed, aligned, writable and never unmapped; only atomics ever touch it.
    Ok(unsafe { page.cast::<AtomicU64>().as_ref() })
}

/// Whether a thread of this number exists that could still run: neither gone nor a zombie. In doubt, it does.
pub(crate) fn thread_lives(tid: u32) -> bool {
    let Ok(raw) = i32::try_from(tid) else { return true };
    // SAFETY: integers only, and signal 0 is not sent.
    let probe = cvt(unsafe { libc::kill(raw, 0) });
    if probe.is_err_and(|error| error.raw_os_error() == Some(libc::ESRCH)) {
        return false;
    }
    // The name in parentheses may hold any character; the state follows the last one.
    let stat = std::fs::read(format!("/proc/{tid}/stat")).unwrap_or_default();
    let name_end = stat.iter().rposition(|&byte| byte == b')');
    !matches!(name_end.and_then(|end| stat.get(end + 2)), Some(b'Z' | b'X'))
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
