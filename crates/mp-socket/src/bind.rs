//! Names for sockets: taking over the path that a dead one left.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::FileTypeExt,
    },
    path::Path,
    time::Duration,
};

use mp_os::{CreatedFile, Deadline, Error, poll};
use nix::{
    errno::Errno,
    sys::socket::{self, SockFlag, SockType},
};

use crate::{Address, unix};

/// How long another process may take to bind in the same directory.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often to look whether it is done: `flock(2)` has no timeout.
const SLICE: Duration = Duration::from_millis(1);

/// A new socket at `address`, made ready by `prepare`; and its file, which is unlinked on drop.
///
/// A path is bound and made ready while the directory is locked (`flock(2)`): between `bind(2)` and `listen(2)` a socket
/// looks dead to others who would bind the same path, and two who find a dead one must not both replace it. Programs that
/// use another library do not take the lock, and have that race.
pub(crate) fn bind(
    kind: SockType,
    address: &Address,
    prepare: impl FnOnce(&OwnedFd) -> io::Result<()>,
) -> io::Result<(OwnedFd, Option<CreatedFile>)> {
    let socket = unix::new(kind, SockFlag::empty())?;
    let bind = || socket::bind(socket.as_raw_fd(), address.as_raw());
    let Some(path) = address.as_path() else {
        bind()?;
        prepare(&socket)?;
        return Ok((socket, None));
    };
    let lock = lock_directory(path)?;
    match bind() {
        Err(Errno::EADDRINUSE) if lock.is_some() && is_dead(kind, address, path) => {
            fs::remove_file(path)?;
            bind()?;
        }
        result => result?,
    }
    let file = CreatedFile::new(path)?;
    prepare(&socket)?;
    Ok((socket, Some(file)))
}

/// Whether the file is a socket that nobody has open any more.
fn is_dead(kind: SockType, address: &Address, path: &Path) -> bool {
    // Connecting to a file that is no socket is refused too.
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    is_socket
        && unix::new(kind, SockFlag::SOCK_NONBLOCK)
            .and_then(|probe| socket::connect(probe.as_raw_fd(), address.as_raw()))
            == Err(Errno::ECONNREFUSED)
}

/// The locked directory of `path`; `None` where it may not be read or knows no locks.
fn lock_directory(path: &Path) -> io::Result<Option<File>> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let Ok(directory) = File::open(parent.unwrap_or(Path::new("."))) else { return Ok(None) };
    let deadline = Deadline::after(PATIENCE);
    loop {
        match directory.try_lock() {
            Ok(()) => return Ok(Some(directory)),
            Err(TryLockError::Error(_)) => return Ok(None),
            Err(TryLockError::WouldBlock) if deadline.is_past() => {
                let reason = "somebody else keeps its directory locked";
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, reason));
            }
            Err(TryLockError::WouldBlock) => {
                poll::wait_many(&[], deadline.or_after(SLICE))?;
            }
        }
    }
}

pub(crate) fn error(cause: io::Error, address: &Address, object: &'static str) -> Error {
    let is_used = cause.kind() == io::ErrorKind::AddrInUse;
    let error = Error::new("bind", format!("{object} to `{address}`"), cause);
    if is_used { error.with_hint("somebody uses it, or the file is no socket") } else { error }
}
