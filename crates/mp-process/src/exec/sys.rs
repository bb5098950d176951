//! From a clone of this process to another program.
//!
//! # Safety
//!
//! What runs in a child that shares this process's memory ([`exec_self`]) makes async-signal-safe calls only, on data that
//! was prepared before, while its parent thread is suspended.

#![allow(unsafe_code, reason = "system calls")]

use std::{
    convert::Infallible,
    ffi::{CStr, CString, c_void},
    io,
    os::fd::{AsRawFd, BorrowedFd, RawFd},
    ptr,
};

use mp_os::{Deadline, cvt};
use nix::libc;

use crate::{
    clone::NewProcess,
    descriptors::{CHILD_FD, close_from},
    sys::die_with_parent,
};

/// What is to be executed.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) path: CString,
    pub(super) arguments: Vec<CString>,
    pub(super) environment: Vec<CString>,
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
pub(super) fn exec_self(program: &Program, socket: BorrowedFd<'_>) -> io::Result<NewProcess> {
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
            process.pidfd.wait_exit(Deadline::never())?;
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
fn exec(child: &ExecChild<'_>) -> io::Result<Infallible> {
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
