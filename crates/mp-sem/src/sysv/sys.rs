//! The `sem*` calls.
//!
//! # Safety
//!
//! Every function here is safe to call: each passes only pointers to its own locals or to borrowed arguments, for the
//! length of one call that does not keep them. An identifier that means another object or none is an error of the kernel.

#![allow(unsafe_code, reason = "system calls")]

use std::{io, mem, ptr};

use mp_os::cvt;
use nix::libc::{self, c_int, sembuf, semid_ds, size_t, timespec};

// What nix's libc does not declare.
unsafe extern "C" {
    fn semtimedop(id: c_int, ops: *mut sembuf, count: size_t, timeout: *const timespec) -> c_int;
}

pub(super) fn get(key: i32, count: usize, flags: i32) -> io::Result<i32> {
    let count = c_int::try_from(count).unwrap_or(c_int::MAX);
    // SAFETY: integers only.
    cvt(unsafe { libc::semget(key, count, flags) })
}

/// `semtimedop(2)`; a signal handler ends it, since the timeout is relative. `None` waits for ever.
#[inline]
pub(super) fn op(id: i32, ops: &mut [sembuf], timeout: Option<timespec>) -> io::Result<()> {
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `ops` and its length belong together, and `timeout` is null or valid for reads.
    cvt(unsafe { semtimedop(id, ops.as_mut_ptr(), ops.len(), timeout) }).map(drop)
}

pub(super) fn stat(id: i32) -> io::Result<semid_ds> {
    // SAFETY: all zeroes is a valid `semid_ds`.
    let mut stat: semid_ds = unsafe { mem::zeroed() };
    // SAFETY: `stat` is valid for writes, and this command takes a pointer to it.
    cvt(unsafe { libc::semctl(id, 0, libc::IPC_STAT, &raw mut stat) })?;
    Ok(stat)
}

pub(super) fn set(id: i32, mut stat: semid_ds) -> io::Result<()> {
    // SAFETY: `stat` is valid for reads, and this command takes a pointer to it.
    cvt(unsafe { libc::semctl(id, 0, libc::IPC_SET, &raw mut stat) }).map(drop)
}

pub(super) fn remove(id: i32) -> io::Result<()> {
    // SAFETY: this command takes no argument.
    cvt(unsafe { libc::semctl(id, 0, libc::IPC_RMID) }).map(drop)
}

/// The most semaphores that a set can have: an index has 16 bits.
///
/// Buffers have room for so many, whatever the set's size is: the identifier may by now mean another, larger set.
const MAX_COUNT: usize = 1 << 16;

/// The first `count` values of a set.
pub(super) fn values(id: i32, count: usize) -> io::Result<Vec<u16>> {
    let mut values = vec![0_u16; MAX_COUNT];
    // SAFETY: the kernel writes as many values as the set has, for which there is room.
    cvt(unsafe { libc::semctl(id, 0, libc::GETALL, values.as_mut_ptr()) })?;
    values.truncate(count);
    Ok(values)
}

pub(super) fn set_values(id: i32, values: &[u16]) -> io::Result<()> {
    let mut values = values.to_vec();
    values.resize(MAX_COUNT, 0);
    // SAFETY: the kernel reads as many values as the set has, and there are as many.
    cvt(unsafe { libc::semctl(id, 0, libc::SETALL, values.as_ptr()) }).map(drop)
}

pub(super) fn set_value(id: i32, index: u16, value: u16) -> io::Result<()> {
    // SAFETY: this command takes an int.
    cvt(unsafe { libc::semctl(id, index.into(), libc::SETVAL, c_int::from(value)) }).map(drop)
}

/// What can be asked about one semaphore.
#[derive(Clone, Copy)]
pub(super) enum Query {
    Value = libc::GETVAL as isize,
    LastProcess = libc::GETPID as isize,
    Waiters = libc::GETNCNT as isize,
    ZeroWaiters = libc::GETZCNT as isize,
}

pub(super) fn query(id: i32, index: u16, query: Query) -> io::Result<u32> {
    // SAFETY: these commands take no argument.
    let answer = cvt(unsafe { libc::semctl(id, index.into(), query as c_int) })?;
    Ok(answer.unsigned_abs())
}
