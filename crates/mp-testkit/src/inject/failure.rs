//! Which system calls fail with which error.

use std::fs;

use nix::{errno::Errno, libc, unistd::Pid};

use super::sys::Call;

/// An error that a system call may return at any time, whoever calls it with whatever arguments.
///
/// Only calls that document the error are made to fail with it; what fails otherwise is the test's own invention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// `EINTR`: a signal came while the call waited.
    Interrupted,
    /// `EAGAIN`: at a limit of processes, or not ready after all.
    Again,
    /// `ENOMEM`: no kernel memory. Memory of the allocator is not refused, because Rust programs abort there; nor is giving
    /// memory back, which nobody could do anything about.
    NoMemory,
    /// `EMFILE`: at the limit of descriptors.
    NoDescriptors,
    /// `ENOSPC`: no memory, or no room on a disk, for what a file is to hold.
    NoSpace,
}

impl Failure {
    /// Those that any program may meet: all but the ones of files.
    pub const ALL: [Self; 4] =
        [Self::Interrupted, Self::Again, Self::NoMemory, Self::NoDescriptors];

    pub(super) const fn errno(self) -> Errno {
        match self {
            Self::Interrupted => Errno::EINTR,
            Self::Again => Errno::EAGAIN,
            Self::NoMemory => Errno::ENOMEM,
            Self::NoDescriptors => Errno::EMFILE,
            Self::NoSpace => Errno::ENOSPC,
        }
    }

    /// Whether `call`, which `task` is about to make, may fail so.
    pub(super) fn may_meet(self, task: Pid, call: &Call) -> bool {
        let number = call.number;
        let (everywhere, here) = match self {
            Self::Interrupted => (INTERRUPTED, INTERRUPTED_HERE),
            Self::Again => (AGAIN, AGAIN_HERE),
            Self::NoMemory => (NO_MEMORY, NO_MEMORY_HERE),
            Self::NoDescriptors => (NO_DESCRIPTORS, NO_DESCRIPTORS_HERE),
            Self::NoSpace => (NO_SPACE, NO_SPACE_HERE),
        };
        (everywhere.contains(&number) || here.contains(&number))
            && match number {
                libc::SYS_futex => waits(call),
                libc::SYS_mmap => !is_heap(call),
                libc::SYS_mprotect => writes(call.arguments[2]),
                libc::SYS_fcntl => duplicates(call),
                // Only who waits is interrupted, and only who does not is to come again.
                number if TRANSFERS.contains(&number) => match self {
                    Self::Interrupted => !is_nonblocking(task, call),
                    Self::Again => is_nonblocking(task, call),
                    Self::NoMemory | Self::NoDescriptors | Self::NoSpace => true,
                },
                _ => true,
            }
    }

    /// Whether all calls of this number may fail so for a while. Who repeats an interrupted call, or waits until a descriptor
    /// is ready, does as it should, and would do so for ever.
    pub(super) fn may_last(self, number: i64) -> bool {
        match self {
            Self::Interrupted => false,
            Self::Again => STARTS.contains(&number) || AGAIN_HERE.contains(&number),
            // Who can receive nothing at all cannot hear of a child either.
            Self::NoMemory => number != libc::SYS_recvmsg,
            Self::NoDescriptors | Self::NoSpace => true,
        }
    }
}

/// `FUTEX_WAIT` and `FUTEX_WAIT_BITSET`.
fn waits(call: &Call) -> bool {
    const WAIT: u64 = libc::FUTEX_WAIT as u64;
    const WAIT_BITSET: u64 = libc::FUTEX_WAIT_BITSET as u64;
    // Without the flags.
    matches!(call.arguments[1] & 0x7f, WAIT | WAIT_BITSET)
}

/// Whether an `mmap` is memory to use at once, without which a Rust program aborts: of the allocator, or the stack for signals
/// that each thread begins with. Stacks of threads become writable later.
fn is_heap(call: &Call) -> bool {
    let [_, _, protection, flags, ..] = call.arguments;
    flags & u64::from(libc::MAP_ANONYMOUS.cast_unsigned()) != 0 && writes(protection)
}

/// Rust panics in a new thread that cannot have a guard page, so only more access is refused.
fn writes(protection: u64) -> bool {
    protection & u64::from(libc::PROT_WRITE.cast_unsigned()) != 0
}

/// Whether a call of [`TRANSFERS`] returns at once, by a flag of its own or of its descriptor.
fn is_nonblocking(task: Pid, call: &Call) -> bool {
    let [fd, _, third, fourth, ..] = call.arguments;
    let flags = match call.number {
        libc::SYS_sendmsg | libc::SYS_recvmsg => third,
        libc::SYS_sendto | libc::SYS_recvfrom => fourth,
        _ => 0,
    };
    let info = fs::read_to_string(format!("/proc/{task}/fdinfo/{fd}")).unwrap_or_default();
    let of_fd = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let of_fd = of_fd.and_then(|octal| u64::from_str_radix(octal.trim(), 8).ok()).unwrap_or(0);
    flags & u64::from(libc::MSG_DONTWAIT.cast_unsigned()) != 0
        || of_fd & u64::from(libc::O_NONBLOCK.cast_unsigned()) != 0
}

fn duplicates(call: &Call) -> bool {
    let command = call.arguments[1];
    [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC]
        .iter()
        .any(|&dup| command == u64::from(dup.cast_unsigned()))
}

/// They move data over the descriptor that is their first argument.
const TRANSFERS: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
];

const INTERRUPTED: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_ppoll,
    libc::SYS_epoll_pwait,
    libc::SYS_futex,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_waitid,
    libc::SYS_wait4,
    libc::SYS_fallocate,
    libc::SYS_ftruncate,
];

const STARTS: &[libc::c_long] = &[libc::SYS_clone, libc::SYS_clone3];

const AGAIN: &[libc::c_long] = &[
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_futex,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_read,
];

const NO_MEMORY: &[libc::c_long] = &[
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_execve,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_openat,
    libc::SYS_memfd_create,
    libc::SYS_eventfd2,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_ppoll,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_pidfd_open,
    libc::SYS_ftruncate,
];

const NO_DESCRIPTORS: &[libc::c_long] = &[
    libc::SYS_openat,
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_pipe2,
    libc::SYS_dup,
    libc::SYS_fcntl,
    libc::SYS_epoll_create1,
    libc::SYS_eventfd2,
    libc::SYS_memfd_create,
    libc::SYS_pidfd_open,
    libc::SYS_clone,
];

const NO_SPACE: &[libc::c_long] = &[libc::SYS_fallocate, libc::SYS_pwrite64];

const NO_SPACE_HERE: &[libc::c_long] = &[];

// Calls that only this architecture has.
#[cfg(target_arch = "x86_64")]
const INTERRUPTED_HERE: &[libc::c_long] = &[libc::SYS_poll, libc::SYS_epoll_wait];
#[cfg(target_arch = "x86_64")]
const AGAIN_HERE: &[libc::c_long] = &[libc::SYS_fork, libc::SYS_vfork];
#[cfg(target_arch = "x86_64")]
const NO_MEMORY_HERE: &[libc::c_long] = &[libc::SYS_poll, libc::SYS_fork, libc::SYS_vfork];
#[cfg(target_arch = "x86_64")]
const NO_DESCRIPTORS_HERE: &[libc::c_long] = &[libc::SYS_open];

#[cfg(not(target_arch = "x86_64"))]
const INTERRUPTED_HERE: &[libc::c_long] = &[];
#[cfg(not(target_arch = "x86_64"))]
const AGAIN_HERE: &[libc::c_long] = &[];
#[cfg(not(target_arch = "x86_64"))]
const NO_MEMORY_HERE: &[libc::c_long] = &[];
#[cfg(not(target_arch = "x86_64"))]
const NO_DESCRIPTORS_HERE: &[libc::c_long] = &[];
