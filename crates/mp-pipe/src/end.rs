//! What all ends of pipes have in common.

use std::os::fd::BorrowedFd;

use mp_os::{Error, Result};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::stat::{SFlag, fstat},
};

/// `F_GETPIPE_SZ`.
pub(crate) fn capacity(fd: BorrowedFd<'_>, object: &'static str) -> Result<usize> {
    fcntl(fd, FcntlArg::F_GETPIPE_SZ)
        .map(|bytes| bytes.unsigned_abs() as usize)
        .map_err(|errno| Error::new("read the capacity of", object, errno.into()))
}

/// `F_SETPIPE_SZ`.
pub(crate) fn set_capacity(
    fd: BorrowedFd<'_>,
    bytes: usize,
    object: &'static str,
) -> Result<usize> {
    let requested = i32::try_from(bytes).map_err(|_| {
        Error::invalid_input("resize", object, "2 GiB is more than a pipe can hold")
    })?;
    fcntl(fd, FcntlArg::F_SETPIPE_SZ(requested)).map(|bytes| bytes.unsigned_abs() as usize).map_err(
        |errno| {
            let error = Error::new("resize", object, errno.into());
            match errno {
                Errno::EPERM => error.with_hint(
                    "/proc/sys/fs/pipe-max-size bounds the capacity without CAP_SYS_RESOURCE, \
                     /proc/sys/fs/pipe-user-pages-soft that of all pipes of a user",
                ),
                Errno::EBUSY => error.with_hint("it holds more bytes than that"),
                _ => error,
            }
        },
    )
}

/// Refuses a descriptor that is not a pipe's end of this access.
pub(crate) fn check(fd: BorrowedFd<'_>, access: OFlag, object: &'static str) -> Result<()> {
    let fail = |errno: Errno| Error::new("adopt", object, errno.into());
    let kind = SFlag::from_bits_truncate(fstat(fd).map_err(fail)?.st_mode) & SFlag::S_IFMT;
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL).map_err(fail)?);
    let has = flags & OFlag::O_ACCMODE;
    if kind == SFlag::S_IFIFO && (has == access || has == OFlag::O_RDWR) {
        return Ok(());
    }
    Err(Error::invalid_input("adopt", object, "the descriptor is not such an end of a pipe"))
}

/// Writes what every end of a pipe can do, around its only field.
macro_rules! end {
    ($end:ident, $access:ident, $object:literal) => {
        impl $end {
            const OBJECT: &str = $object;

            /// The end that `fd` is, if it is one; `fd` is closed otherwise.
            ///
            /// For descriptors that were inherited or received; [`From`] does not ask.
            ///
            /// # Errors
            ///
            /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) for anything else.
            pub fn from_fd(fd: ::std::os::fd::OwnedFd) -> ::mp_os::Result<Self> {
                use ::std::os::fd::AsFd;

                $crate::end::check(fd.as_fd(), ::nix::fcntl::OFlag::$access, $object)?;
                Ok(Self::from(fd))
            }

            /// `dup(2)`—Another handle of the same end. The pipe's end is closed when the last one is.
            ///
            /// # Errors
            ///
            /// `EMFILE` at the limit of descriptors.
            pub fn try_clone(&self) -> ::mp_os::Result<Self> {
                let clone = self.0.try_clone();
                clone.map(Self).map_err(|error| ::mp_os::Error::new("duplicate", $object, error))
            }

            /// `F_GETPIPE_SZ`—How many bytes the pipe holds at most; 64 KiB unless it was set.
            ///
            /// # Errors
            ///
            /// `EBADF` where the descriptor is not a pipe.
            #[doc(alias = "F_GETPIPE_SZ")]
            pub fn capacity(&self) -> ::mp_os::Result<usize> {
                $crate::end::capacity(::std::os::fd::AsFd::as_fd(self), $object)
            }

            /// `F_SETPIPE_SZ`—Sets how many bytes the pipe holds: the capacity it got, rounded up to a power of two
            /// pages.
            ///
            /// # Errors
            ///
            /// `EPERM` above the limit of an ordinary user, `EBUSY` where it holds more than that now.
            #[doc(alias = "F_SETPIPE_SZ")]
            pub fn set_capacity(&self, bytes: usize) -> ::mp_os::Result<usize> {
                $crate::end::set_capacity(::std::os::fd::AsFd::as_fd(self), bytes, $object)
            }
        }

        impl ::std::os::fd::AsFd for $end {
            fn as_fd(&self) -> ::std::os::fd::BorrowedFd<'_> {
                self.0.as_fd()
            }
        }

        impl ::std::os::fd::AsRawFd for $end {
            fn as_raw_fd(&self) -> ::std::os::fd::RawFd {
                ::std::os::fd::AsFd::as_fd(&self.0).as_raw_fd()
            }
        }

        /// Unchecked, as in std; see `from_fd`.
        impl From<::std::os::fd::OwnedFd> for $end {
            fn from(fd: ::std::os::fd::OwnedFd) -> Self {
                Self(fd.into())
            }
        }

        impl From<$end> for ::std::os::fd::OwnedFd {
            fn from(end: $end) -> Self {
                end.0.into()
            }
        }

        /// For a child process's standard stream.
        impl From<$end> for ::std::process::Stdio {
            fn from(end: $end) -> Self {
                ::std::os::fd::OwnedFd::from(end).into()
            }
        }
    };
}

pub(crate) use end;
