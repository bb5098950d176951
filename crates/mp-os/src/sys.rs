//! The system calls of this crate.
//!
//! # Safety
//!
//! Every function here is safe to call: each passes only pointers to its own locals or to borrowed arguments, for the
//! length of one call that does not keep them.

#![allow(unsafe_code, reason = "system calls")]

use std::{
    ffi::CString,
    io, mem,
    num::NonZero,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    ptr,
    sync::atomic::AtomicU32,
    time::Duration,
};

use nix::{
    libc,
    poll::PollFd,
    sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous},
};

use crate::{cvt, retry};

pub(crate) fn monotonic_now() -> Duration {
    clock_now(libc::CLOCK_MONOTONIC)
}

pub(crate) fn realtime_now() -> Duration {
    clock_now(libc::CLOCK_REALTIME)
}

fn clock_now(clock: libc::clockid_t) -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is valid for writes. The call cannot fail: both clocks exist on every Linux.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.try_into().unwrap_or(0))
}

/// `ppoll(2)` with the signal mask left alone; `None` waits for ever.
pub(crate) fn ppoll(fds: &mut [PollFd<'_>], timeout: Option<libc::timespec>) -> io::Result<usize> {
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let count = fds.len() as libc::nfds_t;
    // SAFETY: `PollFd` is a transparent `pollfd`, so `fds` is an array of `count` of them.
    let ready = unsafe { libc::ppoll(fds.as_mut_ptr().cast(), count, timeout, ptr::null()) };
    Ok(cvt(ready)?.unsigned_abs() as usize)
}

pub(crate) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: integers only.
    let fd = cvt(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the kernel just made the descriptor, close-on-exec, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

pub(crate) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let info = ptr::null::<libc::siginfo_t>();
    // SAFETY: a null `siginfo_t` asks for the same one as `kill(2)`.
    cvt(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, 0) })
        .map(drop)
}

/// Reaps a dead child: its status as `wait(2)` encodes it, `None` while it runs.
pub(crate) fn waitid_pidfd(pidfd: BorrowedFd<'_>) -> io::Result<Option<i32>> {
    // SAFETY: all zeroes is a valid `siginfo_t`.
    let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
    let id = pidfd.as_raw_fd().unsigned_abs();
    retry(|| {
        // SAFETY: `info` is valid for writes.
        cvt(unsafe {
            libc::waitid(libc::P_PIDFD, id, &raw mut info, libc::WEXITED | libc::WNOHANG)
        })
    })?;
    // SAFETY: `waitid` filled the fields of a child's end, or left the zeroes.
    let pid = unsafe { info.si_pid() };
    // SAFETY: as above.
    let status = unsafe { info.si_status() };
    Ok((pid != 0).then_some(match info.si_code {
        libc::CLD_EXITED => status << 8,
        libc::CLD_DUMPED => status | 0x80,
        _ => status,
    }))
}

/// `struct pidfd_info` of `linux/pidfd.h`, its first published size.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// `PIDFD_INFO_EXIT`: the exit code is asked for, and on return it is known.
const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// `PIDFD_GET_INFO`, `_IOWR(0xFF, 11, struct pidfd_info)`.
const PIDFD_GET_INFO: libc::Ioctl = libc::_IOWR::<PidfdInfo>(0xff, 11);

/// The status of a reaped process, as `wait(2)` encodes it; `None` while nobody has reaped it.
pub(crate) fn pidfd_exit_code(pidfd: BorrowedFd<'_>) -> io::Result<Option<i32>> {
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: `info` has the layout that the request number says, and is valid for reads and writes.
    cvt(unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) })?;
    Ok((info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code))
}

pub(crate) fn ftok(path: &Path, project: u8) -> io::Result<libc::key_t> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `path` is a C string.
    cvt(unsafe { libc::ftok(path.as_ptr(), project.into()) })
}

/// Memory that reads zero in every new process, however it was cloned (`MADV_WIPEONFORK`). Never unmapped.
pub(crate) fn wiped_on_fork() -> io::Result<&'static AtomicU32> {
    const LEN: NonZero<usize> = NonZero::new(size_of::<AtomicU32>()).unwrap();
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new private anonymous mapping replaces nothing. The kernel rounds the length up to a page.
    let page = unsafe { mmap_anonymous(None, LEN, access, MapFlags::MAP_PRIVATE) }?;
    // SAFETY: the advice is for the page just mapped, which nobody else knows. Refused, it stays mapped and unused.
    unsafe { madvise(page, LEN.get(), MmapAdvise::MADV_WIPEONFORK) }?;
    // SAFETY: the page is zeroed, aligned, writable and never unmapped; only atomics ever touch it.
    Ok(unsafe { page.cast().as_ref() })
}
