//! The system calls of this crate that nix does not cover.
//!
//! # Safety
//!
//! Every function here is safe to call: each passes only integers and pointers to its own locals, or to words that the
//! caller borrows. The kernel chooses where a segment is attached, and its one owner detaches it.

#![allow(unsafe_code, reason = "system calls")]

use std::{io, mem, ptr, sync::atomic::AtomicU32};

use mp_os::cvt;
use nix::libc;

/// `SHM_DEST` of `sys/shm.h`: the segment goes when the last process detaches it.
pub(crate) const SHM_DEST: u32 = 0o1000;

pub(crate) fn shmget(key: libc::key_t, len: usize, flags: libc::c_int) -> io::Result<libc::c_int> {
    // SAFETY: integers only.
    cvt(unsafe { libc::shmget(key, len, flags) })
}

pub(crate) fn shm_stat(id: libc::c_int) -> io::Result<libc::shmid_ds> {
    // SAFETY: all zeroes is a valid `shmid_ds`.
    let mut stat: libc::shmid_ds = unsafe { mem::zeroed() };
    // SAFETY: `stat` is valid for writes.
    cvt(unsafe { libc::shmctl(id, libc::IPC_STAT, &raw mut stat) })?;
    Ok(stat)
}

pub(crate) fn shm_set(id: libc::c_int, mut stat: libc::shmid_ds) -> io::Result<()> {
    // SAFETY: `stat` is valid for reads.
    cvt(unsafe { libc::shmctl(id, libc::IPC_SET, &raw mut stat) }).map(drop)
}

pub(crate) fn shm_remove(id: libc::c_int) -> io::Result<()> {
    // SAFETY: the command takes no pointer.
    cvt(unsafe { libc::shmctl(id, libc::IPC_RMID, ptr::null_mut()) }).map(drop)
}

/// An attached segment, detached when dropped.
#[derive(Debug)]
pub(crate) struct Attachment(*mut u8);

// SAFETY: attached pages belong to the process, not to a thread.
unsafe impl Send for Attachment {}

// SAFETY: as above; nothing is done with a shared reference but to tell the address.
unsafe impl Sync for Attachment {}

impl Attachment {
    /// `shmat(2)` at a place that the kernel chooses.
    pub(crate) fn attach(id: libc::c_int, read_only: bool) -> io::Result<Self> {
        let flags = if read_only { libc::SHM_RDONLY } else { 0 };
        // SAFETY: with a null address nothing that is mapped is replaced.
        let address = unsafe { libc::shmat(id, ptr::null(), flags) };
        cvt(address.addr().cast_signed())?;
        Ok(Self(address.cast()))
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.0
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // SAFETY: attached by `attach`, detached here only, and nobody borrows the memory any more.
        unsafe { libc::shmdt(self.0.cast()) };
    }
}

/// `FUTEX_WAIT`: sleeps while `word` holds `value`, that long at most. Every return is only a hint.
pub(crate) fn futex_wait(word: *const AtomicU32, value: u32, timeout: libc::timespec) {
    // SAFETY: the kernel reads the word through the address, and answers one that is not mapped with an error.
    unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAIT, value, &raw const timeout) };
}

/// `FUTEX_WAKE`: wakes everybody who sleeps on `word`, in every process.
pub(crate) fn futex_wake_all(word: &AtomicU32) {
    // SAFETY: the address only names the word.
    unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, i32::MAX) };
}
