//! The system calls of this crate.
//!
//! # Safety
//!
//! Every function here is safe to call. `fork` asks of its caller what its own comment says; the others pass integers or
//! pointers to their own locals. The allocator passes everything on to the system's.

#![allow(unsafe_code, reason = "system calls")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ffi::CStr,
    fs::File,
    io, mem,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::Command,
    ptr,
};

use mp_os::{cvt, retry};
use nix::{
    errno::Errno,
    libc,
    mount::{MsFlags, mount},
    mqueue::{MQ_OFlag, mq_close, mq_open},
    sched::{self, CloneFlags},
    sys::{memfd, prctl, signal::Signal, stat::Mode},
    unistd::{self, ForkResult, Gid, Uid},
};

use crate::allocations::{self, CountingAllocator};

// SAFETY: every call goes to the system's allocator unchanged; counting does not allocate.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        allocations::count_one();
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Orphans of our descendants become our children, and we die with the thread that started us.
///
/// Both are inherited by nobody: a forked child has neither.
pub(crate) fn adopt_orphans_and_die_with_parent(parent: u32) -> io::Result<()> {
    prctl::set_child_subreaper(true)?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // The parent may have died before it was asked for.
    if std::os::unix::process::parent_id() == parent {
        Ok(())
    } else {
        Err(io::Error::other("the parent is dead"))
    }
}

/// A nameless file.
pub(crate) fn memory_file(name: &str) -> io::Result<File> {
    Ok(memfd::memfd_create(name, memfd::MFdFlags::MFD_CLOEXEC)?.into())
}

/// Takes the open file that the parent passed as standard input, which becomes `/dev/null`.
pub(crate) fn take_stdin() -> io::Result<File> {
    let taken = io::stdin().as_fd().try_clone_to_owned()?;
    replace(libc::STDIN_FILENO, &File::open("/dev/null")?)?;
    Ok(taken.into())
}

/// From here on, what is written to standard output goes where standard error goes.
pub(crate) fn merge_stdout_into_stderr() -> io::Result<()> {
    io::Write::flush(&mut io::stdout())?;
    replace(libc::STDOUT_FILENO, &io::stderr())
}

fn replace(standard: i32, by: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: integers only; the standard descriptors belong to the whole process, and stay open.
    cvt(unsafe { libc::dup2(by.as_raw_fd(), standard) }).map(drop)
}

/// `fork(2)`: `None` in the child.
///
/// The test harness has a second thread, which sleeps until the test ends and holds no lock. So the child may allocate and
/// print, as long as the test itself has no other threads; if it has, only what is async-signal-safe.
pub(crate) fn fork() -> io::Result<Option<u32>> {
    // SAFETY: what the child may do is said above and in the documentation of `fork_child`.
    match unsafe { unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Some(child.as_raw().unsigned_abs())),
        ForkResult::Child => Ok(None),
    }
}

/// Ends the process without running destructors or exit handlers, which belong to the process it was forked from.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}

/// Sleeps in the kernel until a signal kills the process.
pub(crate) fn pause_for_ever() -> ! {
    loop {
        unistd::pause();
    }
}

/// Waits until our child `pid` is dead, and leaves it to be reaped.
pub(crate) fn wait_dead(pid: u32) -> io::Result<()> {
    waitid(pid, libc::WNOWAIT).map(drop)
}

/// Whether our child `pid` is dead; it is left to be reaped.
pub(crate) fn is_dead(pid: u32) -> io::Result<bool> {
    waitid(pid, libc::WNOWAIT | libc::WNOHANG)
}

/// Reaps our child `pid`, once it is dead: its status as `wait(2)` encodes it.
pub(crate) fn reap(pid: u32) -> io::Result<i32> {
    let mut status = 0;
    // SAFETY: `status` is valid for writes.
    retry(|| cvt(unsafe { libc::waitpid(pid.cast_signed(), &raw mut status, 0) }))?;
    Ok(status)
}

fn waitid(pid: u32, flags: i32) -> io::Result<bool> {
    // SAFETY: all zeroes is a valid `siginfo_t`.
    let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
    let flags = flags | libc::WEXITED;
    // SAFETY: `info` is valid for writes.
    retry(|| cvt(unsafe { libc::waitid(libc::P_PID, pid, &raw mut info, flags) }))?;
    // SAFETY: `waitid` filled the fields of a child's end, or left the zeroes.
    Ok(unsafe { info.si_pid() } != 0)
}

/// Kills the process that has the number `pid`. One that is already dead is no error.
pub(crate) fn kill(pid: u32) {
    // SAFETY: integers only.
    unsafe { libc::kill(pid.cast_signed(), libc::SIGKILL) };
}

/// User and group 65534, no supplementary groups, and `/proc/self` readable again.
pub(crate) fn become_ordinary_user() -> io::Result<()> {
    let (user, group) = (Uid::from_raw(65534), Gid::from_raw(65534));
    unistd::setgroups(&[])?;
    unistd::setresgid(group, group, group)?;
    unistd::setresuid(user, user, user)?;
    Ok(prctl::set_dumpable(true)?)
}

/// Sends `signal` to the process that has the number `pid`.
pub(crate) fn signal(pid: u32, signal: i32) -> io::Result<()> {
    // SAFETY: integers only.
    cvt(unsafe { libc::kill(pid.cast_signed(), signal) }).map(drop)
}

/// A function of this executable as it is told to another process of the same executable: executables are loaded to
/// differing addresses, at which their parts keep their distances.
pub(crate) fn code_offset(function: fn(Vec<String>) -> i32) -> usize {
    (function as usize).wrapping_sub((&raw const ANCHOR).expose_provenance())
}

/// The function that another process of this executable told by [`code_offset`].
pub(crate) fn code_at(offset: usize) -> fn(Vec<String>) -> i32 {
    let address = (&raw const ANCHOR).expose_provenance().wrapping_add(offset);
    let function = ptr::with_exposed_provenance::<()>(address);
    // SAFETY: `code_offset` of this very executable made the offset from such a function.
    unsafe { mem::transmute::<*const (), fn(Vec<String>) -> i32>(function) }
}

/// Something of the executable with one address; not empty, and not a function, which may have several.
static ANCHOR: u8 = 0;

/// Removes a System V object that the test left behind. One that is gone already is no error.
pub(crate) fn remove_system_v(kind: &str, id: i32) {
    let none = ptr::null_mut::<libc::c_void>();
    match kind {
        // SAFETY: removal ignores the pointer.
        "shm" => unsafe { libc::shmctl(id, libc::IPC_RMID, none.cast()) },
        // SAFETY: as above.
        "msg" => unsafe { libc::msgctl(id, libc::IPC_RMID, none.cast()) },
        // SAFETY: removal ignores the number of the semaphore, and has no fourth argument.
        _ => unsafe { libc::semctl(id, 0, libc::IPC_RMID) },
    };
}

/// Gives the program that `command` starts an IPC namespace and a `/dev/shm` of its own, where we may.
pub(crate) fn own_namespaces(command: &mut Command) {
    let enter = || {
        // Where it is refused the test shares them with the others, and its audit knows.
        let _ = enter_namespaces();
        Ok(())
    };
    // SAFETY: the closure makes system calls only, with constants, between fork and exec.
    unsafe { command.pre_exec(enter) };
}

fn enter_namespaces() -> nix::Result<()> {
    sched::unshare(CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWNS)?;
    let none = None::<&CStr>;
    // First of all, so that the mounts that follow are seen by nobody else.
    mount(none, c"/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some(c"tmpfs"), c"/dev/shm", Some(c"tmpfs"), flags, Some(c"mode=1777"))
}

/// The directory of the POSIX message queues of our IPC namespace, mounted nowhere. Needs `CAP_SYS_ADMIN`.
pub(crate) fn message_queues() -> io::Result<OwnedFd> {
    /// `FSOPEN_CLOEXEC` and `FSMOUNT_CLOEXEC` of `linux/mount.h`.
    const CLOEXEC: i32 = 1;
    /// `FSCONFIG_CMD_CREATE`.
    const CREATE: i32 = 6;
    let none = ptr::null::<libc::c_void>();
    // SAFETY: a C string and an integer.
    let context = unsafe { libc::syscall(libc::SYS_fsopen, c"mqueue".as_ptr(), CLOEXEC) };
    let context = owned(cvt(context)?);
    // SAFETY: the command has no key and no value.
    let created =
        unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), CREATE, none, none, 0) };
    cvt(created)?;
    // SAFETY: integers only.
    let mounted = unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), CLOEXEC, 0) };
    Ok(owned(cvt(mounted)?))
}

/// Whether there is a message queue of this name, which one may or may not be allowed to open.
pub(crate) fn is_message_queue(name: &str) -> bool {
    // Without `O_CREAT` the call has no mode and no attributes.
    match mq_open(format!("/{name}").as_str(), MQ_OFlag::O_RDONLY, Mode::empty(), None) {
        Ok(queue) => mq_close(queue).is_ok(),
        Err(error) => error == Errno::EACCES,
    }
}

fn owned(fd: libc::c_long) -> OwnedFd {
    // SAFETY: the kernel just made the descriptor, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}
