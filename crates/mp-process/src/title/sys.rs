//! Where the kernel finds the command line of a process.
//!
//! # Safety
//!
//! The one call gets a structure of this stack frame, in which all is as the kernel itself told it but the place of the
//! arguments, which is memory that is never freed. The end of the heap is asked for just before, and the process has one
//! thread, so it does not move meanwhile.

#![allow(unsafe_code, reason = "a system call")]

use std::{io, ptr};

use mp_os::cvt;
use nix::libc;

/// `struct prctl_mm_map` of `linux/prctl.h`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Layout {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: *mut u64,
    auxv_size: u32,
    exe_fd: u32,
}

impl Layout {
    /// What `/proc/self/stat` says of this process.
    pub(super) fn parse(stat: &str) -> Option<Self> {
        // The name may hold anything; behind it the third field begins.
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse().ok();
        Some(Self {
            start_code: field(26)?,
            end_code: field(27)?,
            start_stack: field(28)?,
            start_data: field(45)?,
            end_data: field(46)?,
            start_brk: field(47)?,
            brk: 0,
            arg_start: field(48)?,
            arg_end: field(49)?,
            env_start: field(50)?,
            env_end: field(51)?,
            // As they are.
            auxv: ptr::null_mut(),
            auxv_size: 0,
            exe_fd: u32::MAX,
        })
    }

    /// `prctl(2)` with `PR_SET_MM_MAP`, which unlike its siblings needs no privilege.
    pub(super) fn set_arguments(mut self, text: &'static [u8]) -> io::Result<()> {
        self.arg_start = text.as_ptr() as u64;
        self.arg_end = self.arg_start + text.len() as u64;
        // SAFETY: zero asks where the heap ends, and moves nothing.
        self.brk = unsafe { libc::sbrk(0) } as u64;
        let (map, size) = (&raw const self, size_of::<Self>());
        // SAFETY: `map` is a layout of that size, which the kernel checks and copies.
        cvt(unsafe { libc::prctl(libc::PR_SET_MM, libc::PR_SET_MM_MAP, map, size, 0) }).map(drop)
    }
}
