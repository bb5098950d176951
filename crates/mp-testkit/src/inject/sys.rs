//! The system call that a stopped process is about to make, and its failure without having been made.
//!
//! # Safety
//!
//! Every function here is safe to call: the kernel checks that the process is a stopped tracee of ours, and writes to
//! locals only. The registers of a tracee are no memory of ours.

#![allow(unsafe_code, reason = "ptrace(2), and the union in what it says of a call")]

use nix::{
    errno::Errno,
    libc,
    sys::ptrace::{self, regset::NT_PRSTATUS},
    unistd::Pid,
};

/// A system call, by number, with its arguments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) number: i64,
    pub(super) arguments: [u64; 6],
}

/// Where a process stopped for a system call stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stand {
    Before(Call),
    After,
}

/// Where `task` stands, which has stopped for a system call.
pub(super) fn stand(task: Pid) -> nix::Result<Stand> {
    /// `PTRACE_SYSCALL_INFO_ENTRY` of `linux/ptrace.h`.
    const ENTRY: u8 = 1;
    let info = ptrace::syscall_info(task)?;
    if info.op != ENTRY {
        return Ok(Stand::After);
    }
    // SAFETY: the kernel has filled this member of the union, as `op` says.
    let entry = unsafe { info.u.entry };
    Ok(Stand::Before(Call { number: entry.nr.cast_signed(), arguments: entry.args }))
}

/// Has `task`, which stands before a call, not make it: the kernel knows no call of number -1.
#[cfg(target_arch = "x86_64")]
pub(super) fn skip_call(task: Pid) -> nix::Result<()> {
    let mut registers = ptrace::getregset::<NT_PRSTATUS>(task)?;
    registers.orig_rax = u64::MAX;
    ptrace::setregset::<NT_PRSTATUS>(task, registers)
}

/// Has `task`, which stands before a call, not make it: the kernel knows no call of number -1.
#[cfg(target_arch = "aarch64")]
pub(super) fn skip_call(task: Pid) -> nix::Result<()> {
    /// Of `linux/elf.h`: the number of the call, which is no general register here.
    const NT_ARM_SYSTEM_CALL: libc::c_int = 0x404;
    let mut number: libc::c_int = -1;
    let mut vector =
        libc::iovec { iov_base: (&raw mut number).cast(), iov_len: size_of_val(&number) };
    // SAFETY: `vector` is valid, and so is what it points to.
    let set = unsafe {
        libc::ptrace(libc::PTRACE_SETREGSET, task.as_raw(), NT_ARM_SYSTEM_CALL, &raw mut vector)
    };
    Errno::result(set).map(drop)
}

/// Has the call that `task` has just returned from fail with `error`.
pub(super) fn fail_call(task: Pid, error: Errno) -> nix::Result<()> {
    let mut registers = ptrace::getregset::<NT_PRSTATUS>(task)?;
    let result = i64::from(-(error as libc::c_int)).cast_unsigned();
    #[cfg(target_arch = "x86_64")]
    {
        registers.rax = result;
    }
    #[cfg(target_arch = "aarch64")]
    {
        registers.regs[0] = result;
    }
    ptrace::setregset::<NT_PRSTATUS>(task, registers)
}
