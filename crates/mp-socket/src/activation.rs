//! Socket activation: sockets that a service manager opened and passes by inheritance.

use std::{
    env, fs, io,
    os::fd::{OwnedFd, RawFd},
    process,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use mp_os::{Error, Result};

use crate::sys;

/// `SD_LISTEN_FDS_START`: standard input, output and error come before.
const FIRST: RawFd = 3;

const COUNT: &str = "LISTEN_FDS";
const PID: &str = "LISTEN_PID";
const NAMES: &str = "LISTEN_FDNAMES";

/// The descriptors are taken once.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// A socket that came by inheritance.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inherited {
    /// What the manager calls it (`FileDescriptorName=`), if it says.
    pub name: Option<String>,
    /// The socket: make a [`UnixListener`](crate::UnixListener) or another type of it with its `from_fd`.
    pub fd: OwnedFd,
}

/// `sd_listen_fds(3)`—The sockets that the service manager has passed to this process, in its order; none where it was
/// started in another way.
///
/// Call it first in `main`: then the variables are removed too. In a process with several threads they stay, since nobody
/// can remove a variable safely there, and do no harm: they name this process only. In either case the sockets are taken
/// once, are close-on-exec from now on, and a second call gives none.
///
/// # Errors
///
/// [`InvalidData`](io::ErrorKind::InvalidData) for variables that are not of the protocol, `EBADF` where a descriptor is
/// not open.
///
/// # Examples
///
/// ```
/// use mp_socket::{Address, UnixListener, activation};
///
/// let listener = match activation::listen_fds()?.into_iter().next() {
///     Some(socket) => UnixListener::from_fd(socket.fd)?,
///     None => UnixListener::bind(&Address::abstract_name(format!("mp-doc-{}", std::process::id()))?)?,
/// };
/// # Ok::<(), mp_socket::Error>(())
/// ```
#[doc(alias = "sd_listen_fds")]
pub fn listen_fds() -> Result<Vec<Inherited>> {
    let [count, pid, names] = [COUNT, PID, NAMES].map(|name| env::var(name).ok());
    // Without, or inherited by a child of the process that they were meant for.
    let (Some(count), Some(pid)) = (count, pid) else { return Ok(Vec::new()) };
    if number(&pid, PID)? != process::id() || TAKEN.swap(true, Relaxed) {
        return Ok(Vec::new());
    }
    let count = number(&count, COUNT)?;
    let Some(end) = RawFd::try_from(count).ok().and_then(|count| FIRST.checked_add(count)) else {
        return Err(invalid(COUNT, &count.to_string()));
    };
    if has_one_thread() {
        for name in [COUNT, PID, NAMES] {
            sys::remove_variable(name);
        }
    }
    let mut names = names.iter().flat_map(|names| names.split(':')).map(str::to_owned);
    (FIRST..end)
        .map(|fd| {
            sys::inherit(fd)
                .map(|fd| Inherited { name: names.next().filter(|name| !name.is_empty()), fd })
                .map_err(|error| Error::new("inherit", format!("descriptor {fd}"), error))
        })
        .collect()
}

fn number(text: &str, variable: &str) -> Result<u32> {
    text.parse().map_err(|_| invalid(variable, text))
}

fn invalid(variable: &str, text: &str) -> Error {
    let reason = format!("`{}` is not a number of the protocol", text.escape_debug());
    let cause = io::Error::new(io::ErrorKind::InvalidData, reason);
    Error::new("read", format!("variable `{variable}`"), cause)
}

fn has_one_thread() -> bool {
    fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}
