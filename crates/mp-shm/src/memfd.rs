//! Files in memory that have no name: creating, reserving, sealing and verifying them.

use std::{
    ffi::CString,
    fs, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use mp_os::retry;
use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl},
    libc,
    sys::{
        memfd::{MFdFlags, memfd_create},
        resource::{Resource, getrlimit},
        stat::{SFlag, fstat},
    },
    unistd::ftruncate,
};

use crate::{Error, Result};

/// The seals without which a peer could change the size under us, which turns an access into `SIGBUS`.
pub(crate) const FIXED_SIZE: SealFlag =
    SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_GROW).union(SealFlag::F_SEAL_SEAL);

/// The seals of a segment that nobody but its creator can map writable.
pub(crate) const READ_ONLY: SealFlag = FIXED_SIZE.union(SealFlag::F_SEAL_FUTURE_WRITE);

/// The seals of a segment that can grow: nothing that a peer has mapped goes away.
pub(crate) const GROWABLE: SealFlag = SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_SEAL);

/// Reserved at a time, so that a storm of signals cannot keep one long reservation from ever completing.
const RESERVE_STEP: u64 = 2 << 20;

/// Below this, reading how much memory is available would cost more than it saves.
const WORTH_CHECKING: u64 = 16 << 20;

/// The longest name of a memfd in bytes: `NAME_MAX` less the prefix `memfd:`.
const NAME_MAX: usize = 249;

/// An empty memfd that can be sealed, and never executed where the kernel knows how to say so.
pub(crate) fn create(name: &str) -> Result<OwnedFd> {
    let refuse = |reason| Err(Error::invalid_input("create", object(name), reason));
    if name.len() > NAME_MAX {
        return refuse("the name has more than 249 bytes");
    }
    let Ok(c_name) = CString::new(name) else { return refuse("the name has a NUL") };
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let no_exec = flags | MFdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL);
    match memfd_create(&*c_name, no_exec) {
        // Linux before 6.3 does not know the flag.
        Err(Errno::EINVAL) => memfd_create(&*c_name, flags),
        result => result,
    }
    .map_err(|errno| Error::new("create", object(name), errno.into()))
}

/// A memfd of `len` bytes, reserved in full, with `seals`.
pub(crate) fn create_reserved(name: &str, len: usize, seals: SealFlag) -> Result<OwnedFd> {
    let object = object(name);
    check_not_empty(&object, len as u64)?;
    let fd = create(name)?;
    reserve(fd.as_fd(), &object, 0, len as u64)?;
    seal(fd.as_fd(), &object, seals)?;
    Ok(fd)
}

/// Memory of no bytes could not be mapped, and nothing could be done with it.
pub(crate) fn check_not_empty(object: &str, len: u64) -> Result<()> {
    if len == 0 {
        return Err(Error::invalid_input("create", object, "the length is zero"));
    }
    Ok(())
}

/// Sets the size without reserving memory.
pub(crate) fn set_len(fd: BorrowedFd<'_>, object: &str, len: u64) -> Result<()> {
    let size = checked_size(object, len)?;
    retry(|| Ok(ftruncate(fd, size)?)).map_err(|error| Error::new("size", object, error))
}

/// Sets the size and reserves the memory from `old_len`, so that lack of it is an error here and not `SIGBUS` later.
pub(crate) fn reserve(fd: BorrowedFd<'_>, object: &str, old_len: u64, len: u64) -> Result<()> {
    checked_size(object, len)?;
    check_available(object, len.saturating_sub(old_len))?;
    let mut start = old_len;
    while start < len {
        let step = RESERVE_STEP.min(len - start);
        let (offset, size) = (checked_size(object, start)?, checked_size(object, step)?);
        retry(|| Ok(fallocate(fd, FallocateFlags::empty(), offset, size)?))
            .map_err(|error| out_of_memory("reserve memory for", object.to_owned(), error))?;
        start += step;
    }
    Ok(())
}

/// Refuses to reserve more memory than there is: the kernel would begin, and end it by killing processes.
pub(crate) fn check_available(object: &str, len: u64) -> Result<()> {
    if len < WORTH_CHECKING {
        return Ok(());
    }
    // Without /proc nothing is known, and the reservation shows.
    let Some(available) =
        fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text))
    else {
        return Ok(());
    };
    if len <= available {
        return Ok(());
    }
    let reason = Error::new("reserve memory for", object, Errno::ENOMEM.into());
    Err(reason.with_hint(format!("{available} bytes are available, of which {len} were asked for")))
}

/// The bytes that can be had without swapping out, and those that can be swapped out, according to `proc_meminfo(5)`.
fn available(meminfo: &str) -> Option<u64> {
    let field = |name| {
        let value = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    Some((field("MemAvailable:")? + field("SwapFree:")?) * 1024)
}

/// `len` for the C calls, unless it is beyond `RLIMIT_FSIZE`: the kernel would answer that with a deadly `SIGXFSZ`.
pub(crate) fn checked_size(object: &str, len: u64) -> Result<i64> {
    let (limit, _) = getrlimit(Resource::RLIMIT_FSIZE)
        .map_err(|errno| Error::new("size", object, errno.into()))?;
    match i64::try_from(len) {
        Ok(size) if len <= limit => Ok(size),
        Ok(_) => Err(Error::new("size", object, Errno::EFBIG.into())
            .with_hint("`ulimit -f` (RLIMIT_FSIZE) bounds shared memory too")),
        Err(_) => Err(Error::invalid_input("size", object, format!("nothing has {len} bytes"))),
    }
}

/// An error of a call that needs memory, with a hint where that is what lacks.
pub(crate) fn out_of_memory(verb: &'static str, object: String, error: io::Error) -> Error {
    let hint = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSPC | Errno::ENOMEM) => Some(
            "so much memory is not to be had: see `df /dev/shm` for what has a name, the memory limit of the control \
             group, and `vm.overcommit_memory`",
        ),
        _ => None,
    };
    let error = Error::new(verb, object, error);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Adds `seals`.
pub(crate) fn seal(fd: BorrowedFd<'_>, object: &str, seals: SealFlag) -> Result<()> {
    fcntl(fd, FcntlArg::F_ADD_SEALS(seals))
        .map(drop)
        .map_err(|errno| Error::new("seal", object, errno.into()))
}

/// The size of a descriptor that came from somebody else, once it is known that it is a file with (at least) `seals`.
pub(crate) fn verify(fd: &OwnedFd, seals: SealFlag) -> Result<u64> {
    let received = || "received shared memory segment";
    let refuse = |reason: String| Err(Error::invalid_input("use", received(), reason));
    let stat = fstat(fd).map_err(|errno| Error::new("use", received(), errno.into()))?;
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return refuse("the descriptor is not a file".to_owned());
    }
    let found = fcntl(fd.as_fd(), FcntlArg::F_GET_SEALS)
        .map_or(SealFlag::empty(), SealFlag::from_bits_retain);
    let missing = seals - found;
    if !missing.is_empty() {
        return refuse(format!("it lacks the seals {missing:?}"));
    }
    match u64::try_from(stat.st_size) {
        Ok(0) | Err(_) => refuse("it is empty".to_owned()),
        Ok(len) => Ok(len),
    }
}

/// The path by which a descriptor can be linked or opened again.
pub(crate) fn proc_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// How errors call the segment `name`.
pub(crate) fn object(name: &str) -> String {
    format!("shared memory segment `{}`", name.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_does_not_exist_is_refused_before_it_is_taken() {
        assert_eq!(available("MemAvailable:   5 kB\nSwapFree:  3 kB\n"), Some(8192));
        assert_eq!(available("MemTotal: 5 kB\n"), None);
        let error = check_available("x", u64::MAX / 2).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOMEM));
        assert!(error.hint().unwrap().contains("were asked for"), "{error}");
    }
}
