//! Who holds something for longer than the kernel can be told of: a process, by a number that is never given to another.
//!
//! A process number alone comes round. Beside it stands the inode of the process's pidfd, which is unique until the next
//! boot from Linux 6.9 on; on older kernels, and where a seccomp filter denies pidfds, the time at which the process
//! started, in ticks of 10 ms. A number means a process in one PID namespace only: see [`pid_namespace`].

use std::{
    fs,
    os::{fd::AsFd, unix::fs::MetadataExt},
    process,
};

use mp_os::{Error, PidFd, Result};
use nix::{
    libc,
    sys::{stat::fstat, statfs::fstatfs},
};

use crate::{
    robust::{self, Holder, Page},
    sys,
};

/// A process, in 64 bits that are not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessId(
    /// From the top: 22 bits of the process number, which Linux keeps below 2^22; one that says what the rest is, an inode
    /// or a start time; 41 of that, zero where it is not known.
    u64,
);

const NUMBER_BITS: u32 = 41;
const NUMBER: u64 = (1 << NUMBER_BITS) - 1;
const IS_INODE: u64 = 1 << NUMBER_BITS;
const PID_SHIFT: u32 = NUMBER_BITS + 1;

/// `PID_FS_MAGIC` of `linux/magic.h`: pidfds have inodes of their own.
const PIDFS: i64 = 0x5049_4446;

impl ProcessId {
    /// This process.
    #[inline]
    pub(crate) fn current() -> Self {
        Self::of(robust::page())
    }

    /// The process that `holder` is a thread of: this one.
    #[inline(always)]
    pub(crate) fn of_thread(holder: Holder) -> Self {
        Self::of(holder.page())
    }

    #[inline(always)]
    fn of(page: Page) -> Self {
        Self::from_bits(page.process()).unwrap_or_else(Self::find_and_remember)
    }

    #[cold]
    fn find_and_remember() -> Self {
        let found = Self::find();
        robust::remember_process(found.0);
        found
    }

    /// The process that somebody wrote down as these bits; `None` for zero.
    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        (bits != 0).then_some(Self(bits))
    }

    #[inline]
    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    fn find() -> Self {
        let pid = process::id();
        let inode = PidFd::open(pid).ok().and_then(|process| inode(&process));
        let (kind, number) = match inode {
            Some(inode) => (IS_INODE, inode),
            None => (0, Stat::read(pid).map_or(0, |stat| stat.start)),
        };
        Self(u64::from(pid) << PID_SHIFT | kind | number & NUMBER)
    }

    const fn pid(self) -> u32 {
        (self.0 >> PID_SHIFT) as u32
    }

    /// Whether the process is certainly dead: a zombie is, a stopped one is not. In doubt, it lives.
    pub(crate) fn is_dead(self) -> bool {
        if self == Self::current() {
            return false;
        }
        match PidFd::open(self.pid()) {
            Ok(process) => {
                process.has_exited().unwrap_or(false) || self.is_another(inode(&process))
            }
            // No process has the number, or no longer as a process but as one of its threads.
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::ESRCH | libc::EINVAL | libc::ENOENT)
                ) =>
            {
                true
            }
            Err(_) => self.is_dead_without_pidfd(),
        }
    }

    /// Whether the process that has the number now got it later.
    fn is_another(self, inode: Option<u64>) -> bool {
        let now =
            if self.0 & IS_INODE != 0 { inode } else { Stat::read(self.pid()).map(|s| s.start) };
        let known = self.0 & NUMBER;
        known != 0 && now.is_some_and(|now| now & NUMBER != known)
    }

    fn is_dead_without_pidfd(self) -> bool {
        let gone = |stat: Stat| stat.is_dead() && stat.threads <= 1;
        !sys::exists(self.pid())
            || self.is_another(None)
            || Stat::read(self.pid()).is_some_and(gone)
    }
}

/// The inode of a process's pidfd, where the kernel gives each process one of its own.
fn inode(process: &PidFd) -> Option<u64> {
    let system = fstatfs(process.as_fd()).ok()?.filesystem_type();
    // The constant's type differs by architecture, its value does not.
    if system.0 as i64 != PIDFS {
        return None;
    }
    fstat(process.as_fd()).ok().map(|stat| stat.st_ino)
}

/// What `proc_pid_stat(5)` tells of a process or thread.
struct Stat {
    state: u8,
    threads: u64,
    /// In ticks since the boot.
    start: u64,
}

impl Stat {
    fn read(number: u32) -> Option<Self> {
        let stat = fs::read(format!("/proc/{number}/stat")).ok()?;
        // The name in parentheses may hold any character; the state follows the last one.
        let end = stat.iter().rposition(|&byte| byte == b')')?;
        let fields = String::from_utf8_lossy(stat.get(end + 1..)?).into_owned();
        let mut fields = fields.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let threads = fields.nth(16)?.parse().ok()?;
        let start = fields.nth(1)?.parse().ok()?;
        Some(Self { state, threads, start })
    }

    const fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

/// Whether a thread of this number exists that could still run: neither gone nor a zombie. In doubt, it does.
pub(crate) fn thread_lives(tid: u32) -> bool {
    sys::exists(tid) && !Stat::read(tid).is_some_and(|stat| stat.is_dead())
}

/// A number that stands for the PID namespace of this process, until the next boot.
///
/// What this crate writes into shared memory are thread and process numbers, which mean something else in another
/// namespace. Whoever makes memory that is to be shared writes this number into it, and whoever attaches compares it.
///
/// # Errors
///
/// Where `/proc` is not mounted.
///
/// # Examples
///
/// ```
/// assert_eq!(mp_sync::pid_namespace()?, mp_sync::pid_namespace()?);
/// # Ok::<(), mp_sync::Error>(())
/// ```
pub fn pid_namespace() -> Result<u64> {
    let path = "/proc/self/ns/pid";
    let file = fs::metadata(path)
        .map_err(|error| Error::new("identify", format!("the PID namespace `{path}`"), error))?;
    Ok(file.ino())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// The same process, as one without pidfds writes itself down.
    fn by_start(pid: u32) -> ProcessId {
        ProcessId(u64::from(pid) << PID_SHIFT | Stat::read(pid).unwrap().start)
    }

    #[test]
    fn the_living_and_the_dead() {
        assert!(!ProcessId::current().is_dead());
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let ids = [ProcessId(u64::from(child.id()) << PID_SHIFT), by_start(child.id())];
        for id in ids {
            assert!(!id.is_dead() && !id.is_dead_without_pidfd());
        }
        child.kill().unwrap();
        PidFd::open(child.id()).unwrap().wait_exit(mp_os::Deadline::never()).unwrap();
        for id in ids {
            assert!(id.is_dead() && id.is_dead_without_pidfd(), "a zombie is dead");
        }
        child.wait().unwrap();
        for id in ids {
            assert!(id.is_dead() && id.is_dead_without_pidfd());
        }
    }

    #[test]
    fn a_number_that_came_round() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let earlier = ProcessId(by_start(child.id()).0 - 1);
        assert!(earlier.is_dead() && earlier.is_dead_without_pidfd());
        let inode = inode(&PidFd::open(child.id()).unwrap());
        // Before Linux 6.9 all pidfds have one inode.
        if let Some(inode) = inode {
            let base = u64::from(child.id()) << PID_SHIFT | IS_INODE;
            assert!(!ProcessId(base | inode & NUMBER).is_dead());
            assert!(ProcessId(base | (inode - 1) & NUMBER).is_dead());
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
