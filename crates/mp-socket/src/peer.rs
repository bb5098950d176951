use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use mp_os::{Error, PidFd, Result};
use nix::{
    errno::Errno,
    libc,
    sys::socket::{getsockopt, sockopt},
};

/// Who is at the other end of a Unix connection: `struct ucred`.
///
/// The kernel noted them when the peer called `connect(2)`, `listen(2)` or `socketpair(2)`; they cannot be forged, and
/// they do not change when the socket is handed to another process or when that one changes its user.
///
/// # Examples
///
/// ```
/// let (ours, _theirs) = mp_socket::UnixStream::pair()?;
/// assert_eq!(ours.peer_credentials()?.pid, std::process::id(), "of this process, so far");
/// # Ok::<(), mp_socket::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Credentials {
    /// The process, as this PID namespace numbers it; zero where it is outside.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

/// `SO_PEERCRED`.
pub(crate) fn credentials(socket: BorrowedFd<'_>, object: &'static str) -> Result<Credentials> {
    let fail = |error: Errno| Error::new("identify the peer of", object, error.into());
    let peer = getsockopt(&socket, sockopt::PeerCredentials).map_err(fail)?;
    if peer.pid() == 0 && peer.uid() == libc::uid_t::MAX {
        return Err(fail(Errno::ENOTCONN));
    }
    Ok(Credentials { pid: peer.pid().unsigned_abs(), uid: peer.uid(), gid: peer.gid() })
}

/// `SO_PEERPIDFD`.
pub(crate) fn pidfd(socket: BorrowedFd<'_>, object: &'static str) -> Result<PidFd> {
    getsockopt(&socket.as_fd(), sockopt::PeerPidfd).map(PidFd::from).map_err(|errno| {
        let error = Error::new("open the process of the peer of", object, io::Error::from(errno));
        match errno {
            Errno::ENOPROTOOPT => error.with_hint("SO_PEERPIDFD needs Linux 6.5"),
            Errno::EINVAL | Errno::ESRCH => error.with_hint("the peer was reaped already"),
            _ => error,
        }
    })
}
