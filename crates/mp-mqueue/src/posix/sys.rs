//! The `mq_*` calls.
//!
//! nix opens and unlinks. Its descriptor type neither closes itself nor can be borrowed from an `OwnedFd`, so what works
//! on an open queue goes to libc.
//!
//! # Safety
//!
//! Every function here is safe to call: each passes only pointers to its own locals or to borrowed arguments, for the
//! length of one call that does not keep them.

#![allow(unsafe_code, reason = "system calls")]

use std::{
    ffi::CStr,
    io, mem,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd},
    ptr,
};

use mp_os::{cvt, retry};
use nix::{
    libc,
    mqueue::{MQ_OFlag, MqAttr, mq_open, mq_unlink},
    sys::stat::Mode,
};

use super::Attributes;

/// What only a creator says: the permission bits, the capacity in messages and the size of a message in bytes.
pub(super) struct Creation {
    pub(super) mode: u32,
    pub(super) capacity: i64,
    pub(super) message_size: i64,
}

pub(super) fn create_new(name: &CStr, creation: &Creation) -> io::Result<OwnedFd> {
    let attributes = MqAttr::new(0, creation.capacity, creation.message_size, 0);
    let flags = MQ_OFlag::O_RDWR | MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL;
    let mode = Mode::from_bits_truncate(creation.mode);
    open_with(name, flags, mode, Some(&attributes))
}

/// Opens a queue that exists; `O_CLOEXEC` is implied by Linux and asked for all the same.
pub(super) fn open(name: &CStr, read: bool, write: bool) -> io::Result<OwnedFd> {
    let flags = match (read, write) {
        (true, true) => MQ_OFlag::O_RDWR,
        (false, true) => MQ_OFlag::O_WRONLY,
        (_, false) => MQ_OFlag::O_RDONLY,
    };
    open_with(name, flags, Mode::empty(), None)
}

fn open_with(
    name: &CStr,
    flags: MQ_OFlag,
    mode: Mode,
    attributes: Option<&MqAttr>,
) -> io::Result<OwnedFd> {
    let queue = mq_open(name, flags | MQ_OFlag::O_CLOEXEC, mode, attributes)?;
    // SAFETY: the descriptor was just made and nobody else knows it; on Linux a queue's is an ordinary one.
    Ok(unsafe { OwnedFd::from_raw_fd(queue.into_raw_fd()) })
}

pub(super) fn unlink(name: &CStr) -> io::Result<()> {
    Ok(mq_unlink(name)?)
}

/// Sends; where it does not wait, neither `O_NONBLOCK` nor its absence on the open file, which others may share, matters.
#[inline]
pub(super) fn send(
    queue: BorrowedFd<'_>,
    bytes: &[u8],
    priority: u32,
    wait: bool,
) -> io::Result<()> {
    let (fd, start, len) = (queue.as_raw_fd(), bytes.as_ptr().cast(), bytes.len());
    let long_ago = LONG_AGO;
    let until = if wait { ptr::null() } else { &raw const long_ago };
    retry(|| {
        // SAFETY: `start` and `len` are those of `bytes`, and `until` is null, as in `mq_send`, or valid for reads.
        cvt(unsafe { libc::mq_timedsend(fd, start, len, priority, until) })
    })
    .map_err(would_block)?;
    Ok(())
}

/// The length and the priority of the message now in `buffer`.
#[inline]
pub(super) fn receive(
    queue: BorrowedFd<'_>,
    buffer: &mut [u8],
    wait: bool,
) -> io::Result<(usize, u32)> {
    let (fd, start, len) = (queue.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len());
    let mut priority = 0;
    let long_ago = LONG_AGO;
    let until = if wait { ptr::null() } else { &raw const long_ago };
    let received = retry(|| {
        // SAFETY: `start` and `len` are those of `buffer`, `priority` is valid for writes, and `until` is null, as in
        // `mq_receive`, or valid for reads.
        cvt(unsafe { libc::mq_timedreceive(fd, start, len, &raw mut priority, until) })
    })
    .map_err(would_block)?;
    Ok((received.unsigned_abs(), priority))
}

/// An absolute time that has passed on every clock: the kernel looks at the queue first and then does not wait.
const LONG_AGO: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 0 };

fn would_block(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ETIMEDOUT) => io::Error::from_raw_os_error(libc::EAGAIN),
        _ => error,
    }
}

pub(super) fn attributes(queue: BorrowedFd<'_>) -> io::Result<Attributes> {
    // SAFETY: all zeroes is a valid `mq_attr`.
    let mut attr: libc::mq_attr = unsafe { mem::zeroed() };
    // SAFETY: `attr` is valid for writes.
    cvt(unsafe { libc::mq_getattr(queue.as_raw_fd(), &raw mut attr) })?;
    Ok(Attributes {
        capacity: attr.mq_maxmsg.unsigned_abs() as usize,
        message_size: attr.mq_msgsize.unsigned_abs() as usize,
        len: attr.mq_curmsgs.unsigned_abs() as usize,
    })
}

pub(super) fn notify_signal(queue: BorrowedFd<'_>, signal: i32, value: usize) -> io::Result<()> {
    // SAFETY: all zeroes is a valid `sigevent`.
    let mut event: libc::sigevent = unsafe { mem::zeroed() };
    event.sigev_notify = libc::SIGEV_SIGNAL;
    event.sigev_signo = signal;
    event.sigev_value.sival_ptr = ptr::without_provenance_mut(value);
    notify(queue, &raw const event)
}

/// The length of what the kernel writes to a notification socket: `NOTIFY_COOKIE_LEN`.
pub(super) const COOKIE_LEN: usize = 32;

/// What C libraries build `SIGEV_THREAD` on: the kernel writes the cookie, its last byte replaced, to a netlink socket.
pub(super) fn notify_socket(queue: BorrowedFd<'_>, socket: BorrowedFd<'_>) -> io::Result<()> {
    let cookie = [0_u8; COOKIE_LEN];
    // SAFETY: all zeroes is a valid `sigevent`.
    let mut event: libc::sigevent = unsafe { mem::zeroed() };
    event.sigev_notify = libc::SIGEV_THREAD;
    event.sigev_signo = socket.as_raw_fd();
    event.sigev_value.sival_ptr = cookie.as_ptr().cast_mut().cast();
    notify(queue, &raw const event)
}

pub(super) fn cancel_notify(queue: BorrowedFd<'_>) -> io::Result<()> {
    notify(queue, ptr::null())
}

/// The system call itself: the C function would take `SIGEV_THREAD` for a request to start a thread.
fn notify(queue: BorrowedFd<'_>, event: *const libc::sigevent) -> io::Result<()> {
    // SAFETY: `event` is null or valid for reads, and the cookie that it may point to has `COOKIE_LEN` bytes. The kernel
    // copies both.
    cvt(unsafe { libc::syscall(libc::SYS_mq_notify, queue.as_raw_fd(), event) })?;
    Ok(())
}
