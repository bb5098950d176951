//! The system calls of this crate.
//!
//! # Safety
//!
//! The functions that take a range of memory are safe to call with any range: each only changes how the kernel treats
//! pages, or writes them back, and answers a range that is not mapped with an error. The two that could take pages away
//! from under somebody are `unsafe` themselves, or belong to the one owner of the pages.

#![allow(unsafe_code, reason = "system calls")]

use std::{
    fs::File,
    io::{self, IoSlice, IoSliceMut},
    num::NonZeroUsize,
    os::unix::fs::FileExt,
    ptr::NonNull,
};

use mp_os::cvt;
use nix::{
    errno::Errno,
    libc::{self, c_void},
    sys::{
        mman::{self, MapFlags, MsFlags, ProtFlags},
        uio::{RemoteIoVec, process_vm_readv, process_vm_writev},
    },
    unistd::Pid,
};

/// A range of whole pages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageRange {
    start: NonNull<c_void>,
    len: usize,
}

impl PageRange {
    /// The pages that hold `len` bytes at `ptr`; `None` for a null pointer.
    pub(crate) fn around(ptr: *mut u8, len: usize) -> Option<Self> {
        let before = ptr.addr() % page_size();
        let start = NonNull::new(ptr.wrapping_sub(before))?.cast();
        Some(Self { start, len: len + before })
    }
}

/// The size of a page in bytes.
pub(crate) fn page_size() -> usize {
    // SAFETY: a constant number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// `madvise(2)`, only with an `advice` that keeps the contents.
pub(crate) fn madvise(pages: PageRange, advice: libc::c_int) -> io::Result<()> {
    // SAFETY: the advice keeps the contents; unmapped pages are an error.
    cvt(unsafe { libc::madvise(pages.start.as_ptr(), pages.len, advice) }).map(drop)
}

pub(crate) fn mlock(pages: PageRange) -> io::Result<()> {
    // SAFETY: locking pages does not change them; unmapped pages are an error.
    Ok(unsafe { mman::mlock(pages.start, pages.len) }?)
}

pub(crate) fn munlock(pages: PageRange) -> io::Result<()> {
    // SAFETY: unlocking pages does not change them; unmapped pages are an error.
    Ok(unsafe { mman::munlock(pages.start, pages.len) }?)
}

pub(crate) fn msync(pages: PageRange, flags: MsFlags) -> io::Result<()> {
    // SAFETY: writing pages back does not change them; unmapped pages are an error.
    Ok(unsafe { mman::msync(pages.start, pages.len, flags) }?)
}

/// # Safety
///
/// Whoever relies on the old protection is gone.
pub(crate) unsafe fn mprotect(pages: PageRange, writable: bool) -> io::Result<()> {
    let read_only = ProtFlags::PROT_READ;
    let protection = if writable { read_only | ProtFlags::PROT_WRITE } else { read_only };
    // SAFETY: the caller promises that nobody needs the old protection.
    Ok(unsafe { mman::mprotect(pages.start, pages.len, protection) }?)
}

/// Pages of no file, which it unmaps when dropped.
#[derive(Debug)]
pub(crate) struct AnonymousPages(PageRange);

// SAFETY: pages belong to the process, not to a thread.
unsafe impl Send for AnonymousPages {}

// SAFETY: as above; nothing is done with a shared reference.
unsafe impl Sync for AnonymousPages {}

impl AnonymousPages {
    /// New pages of zeroes, shared with children that are forked later.
    pub(crate) fn map(len: NonZeroUsize, flags: MapFlags) -> io::Result<Self> {
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_SHARED | flags;
        // SAFETY: the kernel chooses a free place.
        let start = unsafe { mman::mmap_anonymous(None, len, protection, flags) }?;
        Ok(Self(PageRange { start, len: len.get() }))
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.0.start.as_ptr().cast()
    }
}

impl Drop for AnonymousPages {
    fn drop(&mut self) {
        // SAFETY: these pages are ours, and nobody borrows them any more. The call cannot fail for a whole mapping.
        let _ = unsafe { mman::munmap(self.0.start, self.0.len) };
    }
}

/// Copies from `from` until `to` is full or a page is not there any more: the number of bytes copied.
///
/// The kernel copies, and answers a page that lies beyond the end of its file with `EFAULT` where an access of ours
/// would be met with `SIGBUS`.
pub(crate) fn read_guarded(from: *const u8, to: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < to.len() {
        let start = from.addr() + done;
        let remote = [RemoteIoVec { base: start, len: to.len() - done }];
        let local = &mut to[done..];
        let count = match process_vm_readv(this_process(), &mut [IoSliceMut::new(local)], &remote) {
            Err(Errno::ENOSYS | Errno::EPERM) => {
                own_memory(|memory| memory.read_at(local, start as u64))
            }
            result => result.map_err(io::Error::from),
        };
        match part(count)? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}

/// Copies `from` to `to` until a page is not there any more: the number of bytes copied.
///
/// # Safety
///
/// `to` is writable memory of `from.len()` bytes, or has been, of which nobody has a reference.
pub(crate) unsafe fn write_guarded(from: &[u8], to: *mut u8) -> io::Result<usize> {
    let mut done = 0;
    while done < from.len() {
        let start = to.addr() + done;
        let remote = [RemoteIoVec { base: start, len: from.len() - done }];
        let local = &from[done..];
        let count = match process_vm_writev(this_process(), &[IoSlice::new(local)], &remote) {
            Err(Errno::ENOSYS | Errno::EPERM) => {
                own_memory(|memory| memory.write_at(local, start as u64))
            }
            result => result.map_err(io::Error::from),
        };
        match part(count)? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}

fn this_process() -> Pid {
    Pid::this()
}

/// For where a seccomp profile forbids the other call.
fn own_memory(operation: impl FnOnce(&File) -> io::Result<usize>) -> io::Result<usize> {
    operation(&File::options().read(true).write(true).open("/proc/self/mem")?)
}

/// The length of a copy, which is zero where its first page is not there.
fn part(count: io::Result<usize>) -> io::Result<usize> {
    match count {
        // The second from /proc/self/mem.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EFAULT | libc::EIO)) => Ok(0),
        count => count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_memory_stands_in_for_the_guarded_copy() {
        let bytes = *b"copy me";
        let address = bytes.as_ptr().addr() as u64;
        let mut copy = [0; 7];
        assert_eq!(own_memory(|memory| memory.read_at(&mut copy, address)).unwrap(), 7);
        assert_eq!(copy, bytes);
        let nowhere = own_memory(|memory| memory.read_at(&mut copy, 0));
        assert_eq!(part(nowhere).unwrap(), 0);
    }
}
