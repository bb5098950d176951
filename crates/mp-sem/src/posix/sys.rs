//! The `sem_*` calls and the memory that a semaphore lies in.
//!
//! # Safety
//!
//! [`Raw`] owns a place in shared memory that holds a `sem_t`: one that `sem_open` gave, until `sem_close`, or one in a
//! mapping of its own, until `munmap`. Other processes change the place at any time, so no reference to it is ever formed;
//! the C library reads and writes it with atomics. It holds no pointers: what a peer writes into it can make the count
//! wrong, but not a read or a write go astray.

#![allow(unsafe_code, reason = "system calls, and owns raw memory")]

use std::{
    ffi::{CStr, OsStr, c_void},
    fs, io,
    mem::size_of,
    num::NonZeroUsize,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    ptr::NonNull,
};

use mp_os::{Deadline, cvt, retry};
use nix::{
    fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl},
    libc::{self, c_char, c_int, c_uint, clockid_t, sem_t, timespec},
    sys::{
        memfd::{MFdFlags, memfd_create},
        mman::{MapFlags, ProtFlags, mmap},
        stat::fstat,
    },
    unistd::{SysconfVar, ftruncate, sysconf},
};

// What nix's libc does not declare. `sem_clockwait` came with glibc 2.30.
unsafe extern "C" {
    fn sem_open(name: *const c_char, flags: c_int, ...) -> *mut sem_t;
    fn sem_close(sem: *mut sem_t) -> c_int;
    fn sem_unlink(name: *const c_char) -> c_int;
    fn sem_getvalue(sem: *mut sem_t, value: *mut c_int) -> c_int;
    fn sem_clockwait(sem: *mut sem_t, clock: clockid_t, deadline: *const timespec) -> c_int;
}

/// The size of a semaphore in bytes; it must be aligned to a word.
const SIZE: usize = size_of::<sem_t>();

/// A file that is too short, which somebody has cut or which never was a semaphore: the C library would map it, and each use
/// would be a deadly `SIGBUS`.
fn check_file(name: &CStr) -> io::Result<()> {
    let name = name.to_bytes();
    let path = [&b"/dev/shm/sem."[..], name.strip_prefix(b"/").unwrap_or(name)].concat();
    match fs::metadata(OsStr::from_bytes(&path)) {
        Ok(file) if file.is_file() && file.len() < SIZE as u64 => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "it is too short for a semaphore"))
        }
        // The C library tells what is wrong.
        _ => Ok(()),
    }
}

/// A semaphore in shared memory.
pub(super) struct Raw {
    sem: NonNull<sem_t>,
    place: Place,
}

enum Place {
    /// The C library keeps the mapping until `sem_close`.
    Named,
    /// A shared mapping of ours, and the memory it shows.
    Mapped { start: NonNull<c_void>, len: usize, memory: OwnedFd, offset: usize },
}

// SAFETY: a process-shared semaphore may be used by any thread of any process.
unsafe impl Send for Raw {}
// SAFETY: as above.
unsafe impl Sync for Raw {}

impl Raw {
    pub(super) fn create_new(name: &CStr, mode: u32, value: u32) -> io::Result<Self> {
        let flags = libc::O_CREAT | libc::O_EXCL;
        // SAFETY: `name` is a C string; with `O_CREAT` the call takes a mode and a value, both of the size of an int.
        let sem = unsafe { sem_open(name.as_ptr(), flags, mode as c_uint, value as c_uint) };
        Self::named(sem)
    }

    pub(super) fn open(name: &CStr) -> io::Result<Self> {
        check_file(name)?;
        // SAFETY: `name` is a C string.
        Self::named(unsafe { sem_open(name.as_ptr(), 0) })
    }

    fn named(sem: *mut sem_t) -> io::Result<Self> {
        // `SEM_FAILED` is the null pointer.
        let sem = NonNull::new(sem).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { sem, place: Place::Named })
    }

    /// A semaphore in memory of its own: a memfd, sealed so that nobody can take it away.
    pub(super) fn anonymous(value: u32) -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let memory = memfd_create(c"semaphore", flags)?;
        ftruncate(&memory, SIZE as libc::off_t)?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&memory, FcntlArg::F_ADD_SEALS(seals))?;
        Self::create_in(memory.as_fd(), 0, value)
    }

    /// `sem_init` at a place that [`check_place`] has accepted.
    pub(super) fn create_in(memory: BorrowedFd<'_>, offset: usize, value: u32) -> io::Result<Self> {
        // So that a full file system is an error here and not a SIGBUS at the first write.
        let (start, len) = (offset as libc::off_t, SIZE as libc::off_t);
        fallocate(memory, FallocateFlags::empty(), start, len)?;
        let raw = Self::open_in(memory, offset)?;
        // SAFETY: the place is mapped, writable, aligned and large enough.
        cvt(unsafe { libc::sem_init(raw.sem.as_ptr(), 1, value) })?;
        Ok(raw)
    }

    /// The semaphore at a place that [`check_place`] has accepted and somebody has initialised.
    pub(super) fn open_in(memory: BorrowedFd<'_>, offset: usize) -> io::Result<Self> {
        let memory = memory.try_clone_to_owned()?;
        let page = sysconf(SysconfVar::PAGE_SIZE)?.unwrap_or(4096).unsigned_abs() as usize;
        let within = offset % page;
        let first = (offset - within) as libc::off_t;
        let len = NonZeroUsize::MIN.saturating_add(within + SIZE - 1);
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses touches no other memory.
        let start = unsafe { mmap(None, len, protection, MapFlags::MAP_SHARED, &memory, first) }?;
        // SAFETY: the mapping has `within + SIZE` bytes.
        let sem = unsafe { start.byte_add(within) }.cast();
        Ok(Self { sem, place: Place::Mapped { start, len: len.get(), memory, offset } })
    }

    /// The memory of a semaphore without a name.
    pub(super) fn memory(&self) -> Option<BorrowedFd<'_>> {
        match &self.place {
            Place::Named => None,
            Place::Mapped { memory, .. } => Some(memory.as_fd()),
        }
    }

    /// Where it lies in its memory.
    pub(super) fn offset(&self) -> usize {
        match self.place {
            Place::Named => 0,
            Place::Mapped { offset, .. } => offset,
        }
    }

    /// Whether both are the same semaphore, opened by name: a process gets the same address each time.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.sem == other.sem
    }

    /// Takes a permit; `WouldBlock` where there is none when `deadline` has passed.
    #[inline]
    pub(super) fn wait(&self, deadline: Deadline) -> io::Result<()> {
        let sem = self.sem.as_ptr();
        // A deadline is not looked at before it has to be: the clock costs more than a permit.
        let taken = match deadline.is_never() {
            // SAFETY: the place holds a semaphore as long as `self` lives.
            true => cvt(unsafe { libc::sem_wait(sem) }),
            // SAFETY: as above.
            false => cvt(unsafe { libc::sem_trywait(sem) }),
        };
        match taken {
            Ok(_) => Ok(()),
            Err(error) => self.wait_on(deadline, error),
        }
    }

    /// [`wait`](Self::wait) where the first attempt has failed with `error`.
    #[cold]
    fn wait_on(&self, deadline: Deadline, error: io::Error) -> io::Result<()> {
        // By number: a kind is looked up in a table, which takes as long as `sem_trywait`.
        match error.raw_os_error() {
            Some(libc::EINTR) => self.wait_until(deadline),
            Some(libc::EAGAIN) if !deadline.is_past() => self.wait_until(deadline),
            _ => Err(error),
        }
    }

    /// [`wait`](Self::wait) where there is no permit yet.
    fn wait_until(&self, deadline: Deadline) -> io::Result<()> {
        let sem = self.sem.as_ptr();
        let taken = retry(|| match deadline.to_monotonic() {
            // SAFETY: the place holds a semaphore as long as `self` lives.
            None => cvt(unsafe { libc::sem_wait(sem) }),
            Some(time) => {
                // SAFETY: as above, and `time` is valid for reads.
                cvt(unsafe { sem_clockwait(sem, libc::CLOCK_MONOTONIC, &raw const time) })
            }
        });
        match taken {
            // Once more, without waiting or, should the clock be behind its own alarm, for the rest.
            Err(error) if error.raw_os_error() == Some(libc::ETIMEDOUT) => self.wait(deadline),
            result => result.map(drop),
        }
    }

    #[inline]
    pub(super) fn post(&self) -> io::Result<()> {
        // SAFETY: the place holds a semaphore as long as `self` lives.
        cvt(unsafe { libc::sem_post(self.sem.as_ptr()) }).map(drop)
    }

    pub(super) fn value(&self) -> io::Result<u32> {
        let mut value = 0;
        // SAFETY: the place holds a semaphore as long as `self` lives, and `value` is valid for writes.
        cvt(unsafe { sem_getvalue(self.sem.as_ptr(), &raw mut value) })?;
        Ok(value.unsigned_abs())
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Both calls fail only for what is no semaphore or mapping, which the type rules out.
        match self.place {
            Place::Named => {
                // SAFETY: `sem_open` gave the semaphore, and nobody uses it after this.
                unsafe { sem_close(self.sem.as_ptr()) };
            }
            Place::Mapped { start, len, .. } => {
                // SAFETY: the mapping is ours, and nobody uses it after this.
                unsafe { libc::munmap(start.as_ptr(), len) };
            }
        }
    }
}

pub(super) fn unlink(name: &CStr) -> io::Result<()> {
    // SAFETY: `name` is a C string.
    cvt(unsafe { sem_unlink(name.as_ptr()) }).map(drop)
}

/// Why there can be no semaphore at `offset` of `memory`, if there cannot.
pub(super) fn check_place(
    memory: BorrowedFd<'_>,
    offset: usize,
) -> io::Result<Option<&'static str>> {
    let size = usize::try_from(fstat(memory)?.st_size).unwrap_or(0);
    Ok(if !offset.is_multiple_of(align_of::<sem_t>()) {
        Some("the offset is not a multiple of 8")
    } else if offset.checked_add(SIZE).is_none_or(|end| end > size) {
        Some("the memory ends before the semaphore would, which has 32 bytes")
    } else {
        None
    })
}
