//! The seccomp filter.
//!
//! # Safety
//!
//! `deny` is safe to call: the kernel copies the program it is given a pointer to.

#![allow(unsafe_code, reason = "system calls")]

use std::{io, ptr};

use nix::{
    libc::{self, BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter},
    sys::prctl,
};

/// `AUDIT_ARCH_*` of `linux/audit.h`: the machine number of ELF, 64 bits, little endian.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Where `struct seccomp_data` has the number of the call and the architecture.
const NUMBER_OFFSET: u32 = 0;
const ARCHITECTURE_OFFSET: u32 = 4;

/// Makes `calls` fail with `errno`, for this thread and all that it starts, for good.
pub(crate) fn deny(calls: &[libc::c_long], errno: i32) -> io::Result<()> {
    // Without it only root may install a filter.
    prctl::set_no_new_privs()?;
    let mut program = program(calls, errno.unsigned_abs());
    let length = program.len().try_into().map_err(io::Error::other)?;
    let program = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: `program` names `len` instructions, alive during the call.
    check(unsafe { libc::syscall(libc::SYS_seccomp, mode, 0, ptr::from_ref(&program)) })
}

fn check(value: libc::c_long) -> io::Result<()> {
    if value == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Calls of another architecture (a 32-bit program) have other numbers, so they all pass.
fn program(calls: &[libc::c_long], errno: u32) -> Vec<sock_filter> {
    let load = |offset| instruction(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
    let skip_if = |value, skip| instruction(BPF_JMP | BPF_JEQ | BPF_K, value, skip, 0);
    let skip_unless = |value, skip| instruction(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip);
    let answer = |action| instruction(BPF_RET | BPF_K, action, 0, 0);
    let mut program = vec![
        load(ARCHITECTURE_OFFSET),
        skip_if(ARCHITECTURE, 1),
        answer(libc::SECCOMP_RET_ALLOW),
        load(NUMBER_OFFSET),
    ];
    for &call in calls {
        program.push(skip_unless(call as u32, 1));
        program.push(answer(libc::SECCOMP_RET_ERRNO | errno));
    }
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    program
}

const fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}
