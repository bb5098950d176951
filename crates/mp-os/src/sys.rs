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
    ptr::{self, NonNull},
    sync::atomic::{
        AtomicPtr, AtomicU64,
        Ordering::{AcqRel, Acquire},
    },
    time::Duration,
};

use nix::{
    libc,
    poll::PollFd,
    sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap},
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

/// Words that are zero again in every copy of this process, however it was made (`MADV_WIPEONFORK`): what they say is of this
/// process. For a `static`.
///
/// They are made at first use, without a lock, because a copy has those that other threads held for ever. A child that shares the
/// memory of its parent (`vfork(2)`) shares them too.
///
/// # Examples
///
/// ```
/// use mp_os::Wiped;
/// use std::sync::atomic::Ordering::Relaxed;
///
/// static STARTS: Wiped<1> = Wiped::new();
///
/// assert!(STARTS.get().is_none());
/// let [starts] = STARTS.get_or_make()?;
/// assert_eq!(starts.fetch_add(1, Relaxed), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Wiped<const N: usize>(AtomicPtr<[AtomicU64; N]>);

impl<const N: usize> Wiped<N> {
    /// None yet.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// The words, once there are any.
    #[inline]
    pub fn get(&self) -> Option<&'static [AtomicU64; N]> {
        // SAFETY: null, or a page that `map` has made and nobody unmaps, of zeroes or what was stored in these atomics.
        unsafe { self.0.load(Acquire).as_ref() }
    }

    /// The words, made now where there are none.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`](io::ErrorKind::OutOfMemory), and [`InvalidInput`](io::ErrorKind::InvalidInput) of a kernel that knows no
    /// such memory.
    pub fn get_or_make(&self) -> io::Result<&'static [AtomicU64; N]> {
        match self.get() {
            Some(words) => Ok(words),
            None => self.make(),
        }
    }

    #[cold]
    fn make(&self) -> io::Result<&'static [AtomicU64; N]> {
        let new = Self::map()?;
        let made = self.0.compare_exchange(ptr::null_mut(), new.as_ptr(), AcqRel, Acquire);
        if made.is_err() {
            // SAFETY: mapped above, and never shared: another thread was faster.
            unsafe { munmap(new.cast(), Self::LEN.get()) }?;
        }
        self.get().ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    const LEN: NonZero<usize> = NonZero::new(size_of::<[AtomicU64; N]>()).unwrap();

    fn map() -> io::Result<NonNull<[AtomicU64; N]>> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new private anonymous mapping replaces nothing. The kernel rounds the length up to whole pages.
        let page = unsafe { mmap_anonymous(None, Self::LEN, access, MapFlags::MAP_PRIVATE) }?;
        // SAFETY: the advice is for the memory just mapped, which nobody else knows.
        if let Err(refused) = unsafe { madvise(page, Self::LEN.get(), MmapAdvise::MADV_WIPEONFORK) }
        {
            // SAFETY: as above.
            unsafe { munmap(page, Self::LEN.get()) }?;
            return Err(refused.into());
        }
        Ok(page.cast())
    }
}

impl<const N: usize> Default for Wiped<N> {
    fn default() -> Self {
        Self::new()
    }
}
