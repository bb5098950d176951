//! The system calls of this crate.
//!
//! # Safety
//!
//! What runs in a child that shares this process's memory ([`exec_self`]) makes async-signal-safe calls only, on data that
//! was prepared before, while its parent thread is suspended. What continues in a copy of this process
//! ([`clone_process`], [`fork`]) is for the callers to answer for, so these are unsafe functions. All others are safe to
//! call: each passes only pointers to its own locals or to borrowed arguments, for one call that does not keep them.

#![allow(unsafe_code, reason = "system calls")]

use std::{
    ffi::{CStr, CString, OsStr, c_void},
    io, mem,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicPtr, Ordering},
    },
};

use mp_os::{PidFd, cvt, retry};
use nix::libc;

/// The descriptor by which a child that was executed finds its socket.
pub(crate) const CHILD_FD: RawFd = 3;

/// A new process.
#[derive(Debug)]
pub(crate) struct NewProcess {
    pub(crate) pid: u32,
    pub(crate) pidfd: PidFd,
}

impl NewProcess {
    /// What a successful `clone(2)` with `CLONE_PIDFD` returned.
    fn new(pid: libc::c_long, pidfd: RawFd) -> Self {
        // SAFETY: the kernel just made the descriptor, and nobody else knows it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        Self { pid: pid as u32, pidfd: pidfd.into() }
    }
}

/// What is to be executed.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) path: CString,
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
}

/// Pointers to `strings`, which must outlive them, and a null pointer.
fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// What the child of [`exec_self`] sees of its parent's memory: everything it needs, because it must not allocate.
struct ExecChild<'a> {
    path: &'a CStr,
    arguments: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    socket: RawFd,
    error: libc::c_int,
}

/// Room for the child of [`exec_self`], which makes a few calls with small frames.
const STACK_SIZE: usize = 64 << 10;

/// Executes `program` in a new process whose descriptors are standard input, output and error, and `socket` as number
/// [`CHILD_FD`], whose signals are as fresh, and which the kernel kills when the calling thread exits.
///
/// All signals must be blocked in the calling thread.
pub(crate) fn exec_self(program: &Program, socket: BorrowedFd<'_>) -> io::Result<NewProcess> {
    let mut stack = vec![0_u128; STACK_SIZE / size_of::<u128>()];
    let top = stack.as_mut_ptr_range().end;
    let mut child = ExecChild {
        path: &program.path,
        arguments: pointers(&program.arguments),
        environment: pointers(&program.environment),
        socket: socket.as_raw_fd(),
        error: 0,
    };
    let mut pidfd: RawFd = -1;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: `stack` is the child's alone, and aligned. The child is done with it, with `child` and with this thread's
    // stack when the call returns, because `CLONE_VFORK` suspends this thread until it executes or exits.
    let pid = cvt(unsafe {
        libc::clone(exec_child, top.cast(), flags, (&raw mut child).cast(), &raw mut pidfd)
    })?;
    let process = NewProcess::new(pid.into(), pidfd);
    // SAFETY: `child` is a valid local, which the child may have written without the compiler's knowledge.
    match unsafe { ptr::read_volatile(&raw const child.error) } {
        0 => Ok(process),
        error => {
            // It has exited, or is about to.
            process.pidfd.wait_exit(mp_os::Deadline::never())?;
            process.pidfd.reap()?;
            Err(io::Error::from_raw_os_error(error))
        }
    }
}

/// The child: between `clone` and `execve`, in the parent's memory.
extern "C" fn exec_child(child: *mut c_void) -> libc::c_int {
    // SAFETY: `exec_self` passed its local, which outlives this child, and is suspended meanwhile.
    let child = unsafe { &mut *child.cast::<ExecChild<'_>>() };
    let error = match exec(child) {
        Ok(never) => match never {},
        Err(error) => error.raw_os_error().unwrap_or(libc::EINVAL),
    };
    // SAFETY: `child` is valid, as above.
    unsafe { ptr::write_volatile(&raw mut child.error, error) };
    // SAFETY: it ends this process without touching the memory that it shares.
    unsafe { libc::_exit(127) }
}

/// Allocates nothing, also where it fails: its errors are those of the operating system.
fn exec(child: &ExecChild<'_>) -> io::Result<std::convert::Infallible> {
    die_with_parent()?;
    // Before `execve`, which keeps what is ignored and blocked.
    mp_signal::reset_for_child()?;
    if child.socket == CHILD_FD {
        // SAFETY: integers only.
        cvt(unsafe { libc::fcntl(CHILD_FD, libc::F_SETFD, 0) })?;
    } else {
        // SAFETY: integers only. Whatever had that number belongs to the parent, whose table this is a copy of.
        cvt(unsafe { libc::dup2(child.socket, CHILD_FD) })?;
    }
    close_from(CHILD_FD + 1)?;
    let ExecChild { path, arguments, environment, .. } = child;
    // SAFETY: a C string and two arrays of them that end with a null pointer.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    Err(io::Error::last_os_error())
}

/// Closes every descriptor from `first`. Async-signal-safe; for a process that owns nothing with them any more.
pub(crate) fn close_from(first: RawFd) -> io::Result<()> {
    // SAFETY: integers only.
    match unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) } {
        0 => Ok(()),
        // A seccomp profile that does not know it yet.
        _ => close_listed_from(first),
    }
}

/// [`close_from`] by the list in `/proc/self/fd`, read with `getdents64(2)` because `opendir` allocates.
fn close_listed_from(first: RawFd) -> io::Result<()> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: a C string.
    let directory = cvt(unsafe { libc::open(c"/proc/self/fd".as_ptr(), flags) })?;
    let mut entries = [0_u64; 128];
    loop {
        let size = mem::size_of_val(&entries);
        // SAFETY: `entries` is valid for writes of `size` bytes.
        let len = cvt(unsafe {
            libc::syscall(libc::SYS_getdents64, directory, entries.as_mut_ptr(), size)
        })?;
        if len == 0 {
            break;
        }
        // SAFETY: the kernel has written `len` bytes, and any byte of an integer is valid.
        let bytes = unsafe { std::slice::from_raw_parts(entries.as_ptr().cast(), len as usize) };
        close_entries(bytes, first, directory);
    }
    // SAFETY: opened above, and owned by nobody else.
    cvt(unsafe { libc::close(directory) }).map(drop)
}

/// Closes what is named in `struct linux_dirent64`s: inode, offset, record length, type, name.
fn close_entries(mut entries: &[u8], first: RawFd, except: RawFd) {
    const LENGTH: usize = 16;
    const NAME: usize = 19;
    while let Some(&[low, high]) = entries.get(LENGTH..LENGTH + 2) {
        let len = usize::from(u16::from_ne_bytes([low, high]));
        let Some(name) = entries.get(NAME..len) else { return };
        let digits = name.iter().take_while(|byte| byte.is_ascii_digit());
        let fd = digits.fold(0, |number: RawFd, digit| number * 10 + RawFd::from(digit - b'0'));
        if fd >= first && fd != except {
            // SAFETY: by the contract of `close_from`, nothing owns it any more.
            unsafe { libc::close(fd) };
        }
        entries = &entries[len..];
    }
}

/// What the kernel keeps of a thread for the C library, by addresses, and a bare `clone(2)` loses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registration {
    /// Where the library caches the thread's id; null where that is not known.
    tid: *mut libc::pid_t,
    /// The head of the list of robust mutexes that it holds, and its size.
    robust: (*mut c_void, usize),
}

impl Registration {
    /// That of the calling thread.
    pub(crate) fn of_this_thread() -> Self {
        let mut tid: *mut libc::pid_t = ptr::null_mut();
        // SAFETY: `tid` is valid for writes.
        let asked = unsafe { libc::prctl(libc::PR_GET_TID_ADDRESS, &raw mut tid) };
        // SAFETY: no arguments.
        let own = unsafe { libc::gettid() };
        // Another C library may have registered something else there, such as a lock.
        // SAFETY: the kernel says that the thread registered this address, where it clears an id when the thread exits.
        if asked != 0 || tid.is_null() || unsafe { tid.read() } != own {
            tid = ptr::null_mut();
        }
        let mut robust = (ptr::null_mut(), 0);
        // SAFETY: both places are valid for writes.
        unsafe {
            libc::syscall(libc::SYS_get_robust_list, 0, &raw mut robust.0, &raw mut robust.1)
        };
        Self { tid, robust }
    }
}

/// In which process [`clone_process`] or [`fork`] returned.
#[derive(Debug)]
pub(crate) enum Side {
    /// The one that called.
    Parent(NewProcess),
    /// The copy.
    Child {
        /// Whether the C library's cached id of the thread is right. Otherwise nothing that asks for it, such as a
        /// recursive mutex, may run on this thread.
        tid_is_right: bool,
    },
}

/// `clone(2)`—A copy of this process, without the C library's knowledge: a child of ours, or with `CLONE_PARENT` among
/// the `flags` of our parent's.
///
/// # Safety
///
/// As for `fork(2)`: where there are other threads, the child may make async-signal-safe calls only. `registration` is
/// that of the calling thread.
pub(crate) unsafe fn clone_process(
    flags: libc::c_int,
    registration: &Registration,
) -> io::Result<Side> {
    let tid = registration.tid;
    let set_tid = libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID;
    let flags = flags | libc::CLONE_PIDFD | libc::SIGCHLD | if tid.is_null() { 0 } else { set_tid };
    let (none, mut pidfd) = (ptr::null_mut::<c_void>(), -1 as RawFd);
    let at = &raw mut pidfd;
    // SAFETY: without a stack of its own the child continues here, in a copy of this memory. `pidfd` is valid for writes,
    // and so is `tid` in the child, by the contract of this function.
    #[cfg(target_arch = "x86_64")]
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, at, tid, none) };
    // SAFETY: as above; the last two arguments are the other way round.
    #[cfg(not(target_arch = "x86_64"))]
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, at, none, tid) };
    match cvt(pid)? {
        0 => {
            let (head, len) = registration.robust;
            // SAFETY: the list of this thread, whose memory the child has a copy of.
            unsafe { libc::syscall(libc::SYS_set_robust_list, head, len) };
            Ok(Side::Child { tid_is_right: !tid.is_null() })
        }
        pid => Ok(Side::Parent(NewProcess::new(pid, pidfd))),
    }
}

/// `fork(2)`—A copy of this process, with what libraries have registered with `pthread_atfork(3)`.
///
/// # Safety
///
/// As for `fork(2)`: where there are other threads, the child may make async-signal-safe calls only.
pub(crate) unsafe fn fork() -> io::Result<Side> {
    if !pidfd_open_works() {
        let registration = Registration::of_this_thread();
        if registration.tid.is_null() {
            return Err(io::Error::from_raw_os_error(libc::ENOSYS));
        }
        // SAFETY: the caller's contract.
        return unsafe { clone_process(0, &registration) };
    }
    // SAFETY: the caller's contract.
    match cvt(unsafe { libc::fork() })? {
        0 => Ok(Side::Child { tid_is_right: true }),
        pid => adopt(pid.unsigned_abs()).map(Side::Parent),
    }
}

/// A new child of ours, which nobody has waited for yet, so that the number is still its own.
pub(crate) fn adopt(pid: u32) -> io::Result<NewProcess> {
    match PidFd::open(pid) {
        Ok(pidfd) => Ok(NewProcess { pid, pidfd }),
        Err(error) => {
            // Nobody could wait for it: it must not run on.
            kill(pid, libc::SIGKILL)?;
            reap(pid)?;
            Err(error.into())
        }
    }
}

/// Whether `pidfd_open(2)` is allowed here, chosen once.
fn pidfd_open_works() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    if let Some(works) = WORKS.get() {
        return *works;
    }
    match PidFd::open(std::process::id()) {
        Ok(_) => *WORKS.get_or_init(|| true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
            *WORKS.get_or_init(|| false)
        }
        // A limit that is reached at this moment says nothing of the next.
        Err(_) => true,
    }
}

/// `kill(2)`, for a child that has not been reaped.
pub(crate) fn kill(pid: u32, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: integers only.
    cvt(unsafe { libc::kill(pid.cast_signed(), signal) }).map(drop)
}

/// Waits for the end of a child and forgets it.
pub(crate) fn reap(pid: u32) -> io::Result<()> {
    // SAFETY: a null status is not written.
    retry(|| cvt(unsafe { libc::waitpid(pid.cast_signed(), ptr::null_mut(), 0) })).map(drop)
}

/// `prctl(2)`—The kernel kills this process when the thread that started it exits.
pub(crate) fn die_with_parent() -> io::Result<()> {
    // SAFETY: integers only.
    cvt(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) }).map(drop)
}

/// Of `fcntl.h`; the `libc` crate lacks it.
const F_SETSIG: libc::c_int = 10;

/// `fcntl(2)` with `F_SETSIG`—The kernel kills this process when the other end of `socket` is closed, which nothing but
/// this process may read from and to which nothing is sent any more.
///
/// The second net beside [`die_with_parent`], which a process loses when it changes its user. It costs no thread: the
/// socket's owner gets a signal whenever something can be read, the end of the connection included, and the signal is
/// this one.
pub(crate) fn die_with_peer(socket: BorrowedFd<'_>) -> io::Result<()> {
    let fd = socket.as_raw_fd();
    for (command, argument) in [
        (libc::F_SETOWN, pid().cast_signed()),
        (F_SETSIG, libc::SIGKILL),
        (libc::F_SETFL, libc::O_ASYNC),
    ] {
        // SAFETY: integers only.
        cvt(unsafe { libc::fcntl(fd, command, argument) })?;
    }
    Ok(())
}

/// `prctl(2)`—What `top` and `ps -o comm` call this process; the kernel takes the first 15 bytes.
pub(crate) fn set_name(name: &CStr) {
    // SAFETY: a C string. It fails for a bad address only.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Blocks all signals in the calling thread.
pub(crate) fn block_signals() {
    // SAFETY: all zeroes is a valid `sigset_t`.
    let mut set: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: `set` is valid for writes.
    unsafe { libc::sigfillset(&raw mut set) };
    // SAFETY: `set` is initialized. The call cannot fail: the first argument is a valid one.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut()) };
}

/// This process's number; by number, for the same reason as in a copy of the fork server.
pub(crate) fn pid() -> u32 {
    // SAFETY: no arguments.
    unsafe { libc::syscall(libc::SYS_getpid) as u32 }
}

/// `_exit(2)`—Ends the process without running what was registered for its end.
pub(crate) fn exit_now(code: libc::c_int) -> ! {
    // SAFETY: it takes an integer and touches no memory.
    unsafe { libc::_exit(code) }
}

/// Writes out what C code in this process has printed and not written yet.
pub(crate) fn flush_c_streams() {
    // SAFETY: null means all streams.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

/// Descriptor `fd`, whoever owns it; `EBADF` where there is none.
pub(crate) fn borrow(fd: RawFd) -> io::Result<BorrowedFd<'static>> {
    // SAFETY: integers only.
    cvt(unsafe { libc::fcntl(fd, libc::F_GETFD) })?;
    // SAFETY: it is open, and the callers use it before anything of this process could close it.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Descriptor [`CHILD_FD`], which [`exec_self`] put there for this process, close-on-exec from now on.
///
/// To be called once, where nothing else of this process can have opened it.
pub(crate) fn own_child_fd() -> io::Result<OwnedFd> {
    // SAFETY: integers only.
    cvt(unsafe { libc::fcntl(CHILD_FD, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: it was inherited for this very purpose, so nothing else in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(CHILD_FD) })
}

/// Opens `/dev/null` as each of standard input, output and error that is closed, as Rust does before `main`.
pub(crate) fn open_standard_fds() {
    for fd in 0..3 {
        if borrow(fd).is_err() {
            // The lowest free number is this one. It stays open for the life of the process.
            // SAFETY: a C string.
            unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
        }
    }
}

/// `setpriority(2)`—How this process yields to others: from -20, which needs a privilege, to 19.
pub(crate) fn set_nice(value: libc::c_int) -> io::Result<()> {
    // SAFETY: integers only.
    cvt(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, value) }).map(drop)
}

/// `dup2(2)`—Makes `with` standard input, output or error (0, 1, 2) of this process, for it and for what it executes.
pub(crate) fn replace_stream(number: usize, with: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: integers only. The standard streams are nobody's own.
    cvt(unsafe { libc::dup2(with.as_raw_fd(), number as RawFd) }).map(drop)
}

/// Sets a variable of the environment, or removes it.
///
/// # Safety
///
/// No other thread may use the environment meanwhile.
pub(crate) unsafe fn set_variable(name: &OsStr, value: Option<&OsStr>) {
    match value {
        // SAFETY: the caller's contract.
        Some(value) => unsafe { std::env::set_var(name, value) },
        // SAFETY: the caller's contract.
        None => unsafe { std::env::remove_var(name) },
    }
}

/// A place for one pointer of this process: null again in every copy of it, however that was made.
///
/// So a copy of a process never uses what belongs to threads it does not have, and no lock is needed to find out.
#[derive(Debug)]
pub(crate) struct PerProcess<T: 'static> {
    /// The page that holds the pointer, made at first use.
    page: AtomicPtr<AtomicPtr<T>>,
}

impl<T: Sync> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self { page: AtomicPtr::new(ptr::null_mut()) }
    }

    /// What this process has put there.
    pub(crate) fn get(&self) -> Option<&'static T> {
        // SAFETY: null, or a page that is never unmapped.
        let place = unsafe { self.page.load(Ordering::Acquire).as_ref() }?;
        // SAFETY: null, or leaked by `get_or_set`.
        unsafe { place.load(Ordering::Acquire).as_ref() }
    }

    /// What this process has put there, or puts there now: what `make` makes then lives as long as the process.
    pub(crate) fn get_or_set(
        &self,
        make: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<&'static T> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let place = self.place()?;
        let new = Box::into_raw(Box::new(make()?));
        let old = ptr::null_mut();
        match place.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: leaked above, for ever.
            Ok(_) => Ok(unsafe { &*new }),
            Err(winner) => {
                // SAFETY: from `into_raw` above, and never shared.
                drop(unsafe { Box::from_raw(new) });
                // SAFETY: leaked by another thread in this function.
                Ok(unsafe { &*winner })
            }
        }
    }

    fn place(&self) -> io::Result<&'static AtomicPtr<T>> {
        let mut page = self.page.load(Ordering::Acquire);
        if page.is_null() {
            let new = wiped_page()?.cast();
            let old = ptr::null_mut();
            page = match self.page.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => new,
                Err(winner) => {
                    // SAFETY: mapped above, and never shared.
                    unsafe { libc::munmap(new.cast(), PAGE) };
                    winner
                }
            };
        }
        // SAFETY: a page of zeroes, which are null pointers, or what this type wrote; never unmapped.
        Ok(unsafe { &*page })
    }
}

/// One page, or part of one.
const PAGE: usize = 4096;

/// Memory that is zeroes again in a copy of this process.
fn wiped_page() -> io::Result<*mut c_void> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping, at an address of the kernel's choice.
    let page = unsafe { libc::mmap(ptr::null_mut(), PAGE, protection, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping made above.
    cvt(unsafe { libc::madvise(page, PAGE, libc::MADV_WIPEONFORK) })?;
    Ok(page)
}
