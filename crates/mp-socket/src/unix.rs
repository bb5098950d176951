//! What the three types of Unix sockets have in common.

use std::{
    io,
    net::Shutdown,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use mp_os::{Deadline, Error, Result, TimeoutError, retry};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::{
        socket::{
            self, AddressFamily, SockFlag, SockType, UnixAddr, getpeername, getsockname,
            setsockopt, sockopt,
        },
        time::{TimeVal, TimeValLike},
    },
};

use crate::Address;

pub(crate) fn new(kind: SockType, flags: SockFlag) -> nix::Result<OwnedFd> {
    socket::socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC | flags, None)
}

pub(crate) fn pair(kind: SockType, object: &'static str) -> Result<(OwnedFd, OwnedFd)> {
    socket::socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC)
        .map_err(|errno| Error::new("create", object, errno.into()))
}

/// A new socket that is connected to `address`; waits while the listener's backlog is full.
///
/// For that the kernel has no readiness, but it has a timeout, `SO_SNDTIMEO`: set while the socket is ours alone.
pub(crate) fn connect(
    kind: SockType,
    address: &Address,
    deadline: Deadline,
    object: &'static str,
) -> Result<OwnedFd, TimeoutError> {
    let connected = match deadline.instant() {
        None => connect_blocking(kind, address).map(Some),
        Some(_) => connect_until(kind, address, deadline),
    };
    connected.map_err(|error| connect_error(error, address, object))?.ok_or(TimeoutError::TimedOut)
}

fn connect_blocking(kind: SockType, address: &Address) -> io::Result<OwnedFd> {
    let socket = new(kind, SockFlag::empty())?;
    retry(|| Ok(socket::connect(socket.as_raw_fd(), address.as_raw())?))?;
    Ok(socket)
}

fn connect_until(
    kind: SockType,
    address: &Address,
    deadline: Deadline,
) -> io::Result<Option<OwnedFd>> {
    let socket = new(kind, SockFlag::SOCK_NONBLOCK)?;
    loop {
        match socket::connect(socket.as_raw_fd(), address.as_raw()) {
            Ok(()) => break,
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        match deadline.remaining() {
            Some(Duration::ZERO) => return Ok(None),
            left => set_send_timeout(&socket, left.unwrap_or_default())?,
        }
        set_blocking(&socket)?;
    }
    set_blocking(&socket)?;
    set_send_timeout(&socket, Duration::ZERO)?;
    Ok(Some(socket))
}

/// Zero waits for ever, and what is less than a microsecond would be zero.
fn set_send_timeout(socket: &OwnedFd, timeout: Duration) -> nix::Result<()> {
    let micros = i64::try_from(timeout.as_nanos().div_ceil(1000)).unwrap_or(i64::MAX);
    setsockopt(socket, sockopt::SendTimeout, &TimeVal::microseconds(micros.min(1 << 50)))
}

fn set_blocking(socket: &OwnedFd) -> nix::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(socket, FcntlArg::F_GETFL)?);
    fcntl(socket, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK)).map(drop)
}

pub(crate) fn connect_error(cause: io::Error, address: &Address, object: &'static str) -> Error {
    let hint = match cause.raw_os_error() {
        Some(nix::libc::ECONNREFUSED) => "nobody listens there any more",
        Some(nix::libc::EPROTOTYPE) => "another type of socket listens there",
        _ => return Error::new("connect", format!("{object} to `{address}`"), cause),
    };
    Error::new("connect", format!("{object} to `{address}`"), cause).with_hint(hint)
}

/// `shutdown(2)`, of a socket of any domain.
pub(crate) fn shutdown(socket: BorrowedFd<'_>, how: Shutdown, object: &'static str) -> Result<()> {
    let how = match how {
        Shutdown::Read => socket::Shutdown::Read,
        Shutdown::Write => socket::Shutdown::Write,
        Shutdown::Both => socket::Shutdown::Both,
    };
    socket::shutdown(socket.as_raw_fd(), how)
        .map_err(|errno| Error::new("shut down", object, errno.into()))
}

pub(crate) fn local_address(socket: BorrowedFd<'_>, object: &'static str) -> Result<Address> {
    name(getsockname::<UnixAddr>(socket.as_raw_fd()), object)
}

pub(crate) fn peer_address(socket: BorrowedFd<'_>, object: &'static str) -> Result<Address> {
    name(getpeername::<UnixAddr>(socket.as_raw_fd()), object)
}

fn name(address: nix::Result<UnixAddr>, object: &'static str) -> Result<Address> {
    address
        .map(|address| Address::from_raw(Some(address)))
        .map_err(|errno| Error::new("name", object, errno.into()))
}

/// Writes what every Unix socket can do, around its only field and its `NATURE`.
macro_rules! unix_socket {
    ($socket:ident, $kind:ident, $number:ident) => {
        impl $socket {
            /// The most file descriptors that go in one piece.
            pub const MAX_FDS: usize = $crate::sys::MAX_FDS;

            /// `socketpair(2)`—Two connected sockets without names, close-on-exec.
            ///
            /// # Errors
            ///
            /// `EMFILE`, `ENFILE` or `ENOMEM` at a limit.
            #[doc(alias = "socketpair")]
            pub fn pair() -> ::mp_os::Result<(Self, Self)> {
                let kind = ::nix::sys::socket::SockType::$kind;
                let (left, right) = $crate::unix::pair(kind, Self::NATURE.object)?;
                Ok((Self::from(left), Self::from(right)))
            }

            /// The socket that `fd` is, if it is one of this type; `fd` is closed otherwise.
            ///
            /// For descriptors that were inherited or received; [`From`] does not ask.
            ///
            /// # Errors
            ///
            /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) for another type of socket, `ENOTSOCK` where it is
            /// none.
            pub fn from_fd(fd: ::std::os::fd::OwnedFd) -> ::mp_os::Result<Self> {
                use ::std::os::fd::AsFd;

                let (domains, kind) = (&[::nix::libc::AF_UNIX], ::nix::libc::$number);
                $crate::message::check_type(fd.as_fd(), domains, kind, Self::NATURE.object)?;
                Ok(Self::from(fd))
            }

            /// `dup(2)`—Another handle of the same socket.
            ///
            /// # Errors
            ///
            /// `EMFILE` at the limit of descriptors.
            pub fn try_clone(&self) -> ::mp_os::Result<Self> {
                self.0
                    .try_clone()
                    .map(Self::from)
                    .map_err(|error| ::mp_os::Error::new("duplicate", Self::NATURE.object, error))
            }

            /// `getsockname(2)`—The name of this end.
            ///
            /// # Errors
            ///
            /// What `getsockname(2)` fails with.
            #[doc(alias = "getsockname")]
            pub fn local_address(&self) -> ::mp_os::Result<$crate::Address> {
                $crate::unix::local_address(::std::os::fd::AsFd::as_fd(self), Self::NATURE.object)
            }

            /// `getpeername(2)`—The name of the other end.
            ///
            /// # Errors
            ///
            /// `ENOTCONN` where there is none.
            #[doc(alias = "getpeername")]
            pub fn peer_address(&self) -> ::mp_os::Result<$crate::Address> {
                $crate::unix::peer_address(::std::os::fd::AsFd::as_fd(self), Self::NATURE.object)
            }

            /// `SO_PEERCRED`—Who made the other end.
            ///
            /// # Errors
            ///
            /// `ENOTCONN` where there is none.
            #[doc(alias = "SO_PEERCRED")]
            pub fn peer_credentials(&self) -> ::mp_os::Result<$crate::Credentials> {
                $crate::peer::credentials(::std::os::fd::AsFd::as_fd(self), Self::NATURE.object)
            }

            /// `SO_PEERPIDFD`—The process that made the other end, as a descriptor (Linux 6.5).
            ///
            /// Unlike a process number it cannot come to mean another process.
            ///
            /// # Errors
            ///
            /// `ENOPROTOOPT` before Linux 6.5; `EINVAL` or `ESRCH` where the process was reaped already.
            #[doc(alias = "SO_PEERPIDFD")]
            pub fn peer_pidfd(&self) -> ::mp_os::Result<::mp_os::PidFd> {
                $crate::peer::pidfd(::std::os::fd::AsFd::as_fd(self), Self::NATURE.object)
            }
        }
    };
}

/// Writes the `connect` family of a type of connection.
macro_rules! connection {
    ($socket:ident, $kind:ident) => {
        impl $socket {
            /// `connect(2)`—A connection to the listener at `address`; waits while its backlog is full.
            ///
            /// # Errors
            ///
            /// [`NotFound`](std::io::ErrorKind::NotFound) where there is no such path,
            /// [`ConnectionRefused`](std::io::ErrorKind::ConnectionRefused) where nobody listens (any more), `EPROTOTYPE`
            /// where another type of socket does, [`PermissionDenied`](std::io::ErrorKind::PermissionDenied).
            pub fn connect(address: &$crate::Address) -> ::mp_os::Result<Self> {
                Ok(Self::connect_until(address, ::mp_os::Deadline::never())?)
            }

            /// [`connect`](Self::connect) without waiting.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](mp_os::TryError::WouldBlock) where the backlog is full; otherwise as there.
            pub fn try_connect(
                address: &$crate::Address,
            ) -> ::mp_os::Result<Self, ::mp_os::TryError> {
                let at_once = ::mp_os::Deadline::after(::std::time::Duration::ZERO);
                Ok(Self::connect_until(address, at_once)?)
            }

            /// [`connect`](Self::connect) for at most `timeout`.
            ///
            /// # Errors
            ///
            /// [`TimedOut`](mp_os::TimeoutError::TimedOut) when `timeout` has passed first; otherwise as there.
            pub fn connect_timeout(
                address: &$crate::Address,
                timeout: ::std::time::Duration,
            ) -> ::mp_os::Result<Self, ::mp_os::TimeoutError> {
                Self::connect_until(address, ::mp_os::Deadline::after(timeout))
            }

            /// [`connect`](Self::connect) until `deadline` at the latest.
            ///
            /// # Errors
            ///
            /// [`TimedOut`](mp_os::TimeoutError::TimedOut) when `deadline` has passed first; otherwise as there.
            pub fn connect_deadline(
                address: &$crate::Address,
                deadline: ::std::time::Instant,
            ) -> ::mp_os::Result<Self, ::mp_os::TimeoutError> {
                Self::connect_until(address, ::mp_os::Deadline::at(deadline))
            }

            fn connect_until(
                address: &$crate::Address,
                deadline: ::mp_os::Deadline,
            ) -> ::mp_os::Result<Self, ::mp_os::TimeoutError> {
                let kind = ::nix::sys::socket::SockType::$kind;
                $crate::unix::connect(kind, address, deadline, Self::NATURE.object).map(Self::from)
            }
        }
    };
}

/// Writes the conversions of a type whose only field is its descriptor.
macro_rules! descriptor {
    ($socket:ident) => {
        impl ::std::os::fd::AsFd for $socket {
            fn as_fd(&self) -> ::std::os::fd::BorrowedFd<'_> {
                self.0.as_fd()
            }
        }

        impl ::std::os::fd::AsRawFd for $socket {
            fn as_raw_fd(&self) -> ::std::os::fd::RawFd {
                self.0.as_raw_fd()
            }
        }

        /// Unchecked, as in std; see `from_fd`.
        impl From<::std::os::fd::OwnedFd> for $socket {
            fn from(fd: ::std::os::fd::OwnedFd) -> Self {
                Self(fd)
            }
        }

        impl From<$socket> for ::std::os::fd::OwnedFd {
            fn from(socket: $socket) -> Self {
                socket.0
            }
        }
    };
}

pub(crate) use {connection, descriptor, unix_socket};
