//! The system calls of this crate.
//!
//! # Safety
//!
//! Every function here is safe to call: each passes only pointers to its own locals or to borrowed arguments, for the
//! length of one call that does not keep them. The one function that installs a handler, [`register_inbox`], names what
//! it does there.

#![allow(unsafe_code, reason = "system calls")]

use std::{
    io, mem,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
    sync::Arc,
};

use mp_os::cvt;
use nix::{errno::Errno, fcntl::OFlag, libc};
use signal_hook::SigId;

use crate::{Disposition, Signal, SignalInfo, SignalSet, Value, handler::Inbox};

/// The C form of `set`.
fn sigset(set: SignalSet) -> libc::sigset_t {
    // SAFETY: all zeroes is a valid `sigset_t`, the empty one.
    let mut raw: libc::sigset_t = unsafe { mem::zeroed() };
    for signal in set.iter() {
        // SAFETY: `raw` is valid for writes; a `Signal` is a valid number.
        unsafe { libc::sigaddset(&raw mut raw, signal.as_raw()) };
    }
    raw
}

fn from_sigset(raw: &libc::sigset_t) -> SignalSet {
    Signal::all()
        // SAFETY: `raw` is initialized; a `Signal` is a valid number.
        .filter(|signal| unsafe { libc::sigismember(raw, signal.as_raw()) } == 1)
        .collect()
}

/// `pthread_sigmask`, which returns its error: the previous mask.
fn sigmask(how: libc::c_int, set: Option<SignalSet>) -> io::Result<SignalSet> {
    let new = set.map(sigset);
    let new = new.as_ref().map_or(ptr::null(), ptr::from_ref);
    let mut old = sigset(SignalSet::empty());
    // SAFETY: `new` is null or points to a set, `old` is valid for writes.
    match unsafe { libc::pthread_sigmask(how, new, &raw mut old) } {
        0 => Ok(from_sigset(&old)),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

pub(crate) fn mask() -> io::Result<SignalSet> {
    sigmask(libc::SIG_BLOCK, None)
}

pub(crate) fn block(set: SignalSet) -> io::Result<SignalSet> {
    sigmask(libc::SIG_BLOCK, Some(set))
}

pub(crate) fn unblock(set: SignalSet) -> io::Result<()> {
    sigmask(libc::SIG_UNBLOCK, Some(set)).map(drop)
}

pub(crate) fn set_mask(set: SignalSet) -> io::Result<()> {
    sigmask(libc::SIG_SETMASK, Some(set)).map(drop)
}

pub(crate) fn pending() -> io::Result<SignalSet> {
    let mut set = sigset(SignalSet::empty());
    // SAFETY: `set` is valid for writes.
    cvt(unsafe { libc::sigpending(&raw mut set) })?;
    Ok(from_sigset(&set))
}

/// What a signal does, as the kernel told it.
pub(crate) struct Action(libc::sigaction);

impl Action {
    pub(crate) fn disposition(&self) -> Disposition {
        match self.0.sa_sigaction {
            libc::SIG_DFL => Disposition::Default,
            libc::SIG_IGN => Disposition::Ignore,
            _ => Disposition::Handler,
        }
    }

    pub(crate) fn is_same_function(&self, other: &Self) -> bool {
        self.0.sa_sigaction == other.0.sa_sigaction
    }
}

pub(crate) fn action(signal: Signal) -> io::Result<Action> {
    // SAFETY: all zeroes is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: `action` is valid for writes.
    cvt(unsafe { libc::sigaction(signal.as_raw(), ptr::null(), &raw mut action) })?;
    Ok(Action(action))
}

/// Puts back an action of `signal` that was in force before.
pub(crate) fn restore_action(signal: Signal, action: &Action) -> io::Result<()> {
    // SAFETY: the kernel told this action of this very signal, so whoever installed its function keeps it callable.
    cvt(unsafe { libc::sigaction(signal.as_raw(), &raw const action.0, ptr::null_mut()) }).map(drop)
}

/// Async-signal-safe.
pub(crate) fn set_disposition(signal: Signal, ignore: bool) -> io::Result<()> {
    // SAFETY: all zeroes is a valid `sigaction`, that of the default action.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = if ignore { libc::SIG_IGN } else { libc::SIG_DFL };
    restore_action(signal, &Action(action))
}

/// Has `inbox` told of each delivery of `signal`.
pub(crate) fn register_inbox(signal: Signal, inbox: Arc<Inbox>) -> io::Result<SigId> {
    let action = move |raw: &libc::siginfo_t| inbox.deliver(info(signal, raw));
    // SAFETY: the action reads plain memory, makes the calls of `getpid` and `write` and changes an atomic, all of which
    // are async-signal-safe; it cannot panic. The caller has refused the forbidden signals.
    unsafe { signal_hook_registry::register_sigaction(signal.as_raw(), action) }
}

/// Async-signal-safe.
fn info(signal: Signal, raw: &libc::siginfo_t) -> SignalInfo {
    // SAFETY: the kernel initializes the whole union, so any of its members can be read; so for the next three.
    let pid = unsafe { raw.si_pid() };
    // SAFETY: as above.
    let uid = unsafe { raw.si_uid() };
    // SAFETY: as above. The value of a real-time signal is where the status of a child is, and longer.
    let value = unsafe { raw.si_value() }.sival_ptr.addr();
    SignalInfo::new(signal, raw.si_code, pid, uid, value)
}

/// Takes a pending signal of `set`; `EAGAIN` when `timeout` has passed, `None` waits for ever.
///
/// Not by the C library's function, which passes `tgkill` off as `kill`.
pub(crate) fn sigtimedwait(
    set: SignalSet,
    timeout: Option<libc::timespec>,
) -> io::Result<SignalInfo> {
    let bits = set.bits();
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: all zeroes is a valid `siginfo_t`.
    let mut raw: libc::siginfo_t = unsafe { mem::zeroed() };
    let (bits_at, raw_at, size) = (&raw const bits, &raw mut raw, size_of_val(&bits));
    // SAFETY: `bits` is the kernel's form of a set, `raw` is valid for writes, `timeout` is null or points to a time.
    cvt(unsafe { libc::syscall(libc::SYS_rt_sigtimedwait, bits_at, raw_at, timeout, size) })?;
    Ok(info(Signal::new(raw.si_signo)?, &raw))
}

/// A nonblocking, close-on-exec descriptor.
pub(crate) fn signalfd(set: SignalSet) -> io::Result<OwnedFd> {
    let fd = signalfd_call(-1, set)?;
    // SAFETY: the kernel just made the descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(crate) fn signalfd_set(fd: BorrowedFd<'_>, set: SignalSet) -> io::Result<()> {
    signalfd_call(fd.as_raw_fd(), set).map(drop)
}

fn signalfd_call(fd: RawFd, set: SignalSet) -> io::Result<RawFd> {
    let set = sigset(set);
    // SAFETY: `set` is a set.
    cvt(unsafe { libc::signalfd(fd, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) })
}

pub(crate) fn signalfd_read(fd: BorrowedFd<'_>) -> io::Result<SignalInfo> {
    // SAFETY: all zeroes is a valid `signalfd_siginfo`.
    let mut raw: libc::signalfd_siginfo = unsafe { mem::zeroed() };
    let size = size_of_val(&raw);
    // SAFETY: `raw` is valid for writes of `size` bytes, any of which it may hold.
    let length = cvt(unsafe { libc::read(fd.as_raw_fd(), (&raw mut raw).cast(), size) })?;
    if length.unsigned_abs() != size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let signal = Signal::new(raw.ssi_signo.cast_signed())?;
    let value = if signal == Signal::CHLD && raw.ssi_code > 0 {
        raw.ssi_status.cast_unsigned() as usize
    } else {
        raw.ssi_ptr as usize
    };
    Ok(SignalInfo::new(signal, raw.ssi_code, raw.ssi_pid.cast_signed(), raw.ssi_uid, value))
}

pub(crate) fn nonblocking_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?)
}

/// Async-signal-safe.
pub(crate) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    nix::unistd::write(fd, bytes)
}

pub(crate) fn read(fd: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<usize> {
    Ok(nix::unistd::read(fd, bytes)?)
}

/// Async-signal-safe.
pub(crate) fn process_id() -> u32 {
    nix::unistd::getpid().as_raw().unsigned_abs()
}

pub(crate) fn thread_id() -> u32 {
    nix::unistd::gettid().as_raw().unsigned_abs()
}

/// `kill`, with zero and negative numbers too: the caller checks what they may be.
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: integers only.
    cvt(unsafe { libc::kill(pid, signal) }).map(drop)
}

pub(crate) fn tgkill(pid: i32, tid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: integers only.
    cvt(unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, signal) }).map(drop)
}

pub(crate) fn pidfd_send(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let info = ptr::null::<QueueInfo>();
    // SAFETY: without a `siginfo_t` the kernel makes that of `kill(2)`.
    cvt(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, 0) })
        .map(drop)
}

/// `siginfo_t` of a queued signal, as the kernel reads it: `asm-generic/siginfo.h` on 64-bit machines.
#[repr(C, align(8))]
struct QueueInfo {
    signal: i32,
    errno: i32,
    code: i32,
    _pad: i32,
    pid: i32,
    uid: u32,
    value: usize,
    _rest: [u8; 96],
}

const _: () = assert!(size_of::<QueueInfo>() == size_of::<libc::siginfo_t>());

impl QueueInfo {
    /// From this process.
    fn new(signal: Signal, value: Value) -> Self {
        Self {
            signal: signal.as_raw(),
            errno: 0,
            code: libc::SI_QUEUE,
            _pad: 0,
            pid: nix::unistd::getpid().as_raw(),
            uid: nix::unistd::getuid().as_raw(),
            value: value.as_usize(),
            _rest: [0; 96],
        }
    }
}

pub(crate) fn queue_to_process(pid: i32, signal: Signal, value: Value) -> io::Result<()> {
    let info = QueueInfo::new(signal, value);
    let number = signal.as_raw();
    // SAFETY: `info` has the layout of a `siginfo_t`, which the call only reads.
    cvt(unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, pid, number, &raw const info) }).map(drop)
}

pub(crate) fn queue_to_thread(pid: i32, tid: i32, signal: Signal, value: Value) -> io::Result<()> {
    let info = QueueInfo::new(signal, value);
    let number = signal.as_raw();
    // SAFETY: as in `queue_to_process`.
    cvt(unsafe { libc::syscall(libc::SYS_rt_tgsigqueueinfo, pid, tid, number, &raw const info) })
        .map(drop)
}

pub(crate) fn queue_to_pidfd(
    pidfd: BorrowedFd<'_>,
    signal: Signal,
    value: Value,
) -> io::Result<()> {
    let info = QueueInfo::new(signal, value);
    let (fd, number) = (pidfd.as_raw_fd(), signal.as_raw());
    // SAFETY: as in `queue_to_process`.
    cvt(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, number, &raw const info, 0) })
        .map(drop)
}
