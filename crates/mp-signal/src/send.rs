use std::{
    fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    process::Child,
};

use mp_os::PidFd;
use nix::libc;

use crate::{Error, Result, Signal, Value, sys};

/// Whom to signal.
///
/// Made from a process number, a [`PidFd`] or a [`std::process::Child`]. Numbers are reused: one of a process that
/// somebody may reap meanwhile can come to mean another process; a pidfd never does.
///
/// # Examples
///
/// ```
/// use mp_signal::{Signal, send};
/// use std::{os::unix::process::ExitStatusExt, process::Command};
///
/// let mut child = Command::new("sleep").arg("60").spawn()?;
/// send(&child, Signal::TERM)?;
/// assert_eq!(child.wait()?.signal(), Some(Signal::TERM.as_raw()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Target<'fd> {
    /// Any thread of the process with this number that does not block the signal.
    Process(u32),
    /// One thread of a process.
    Thread {
        /// The process.
        process: u32,
        /// The number of the thread, as `gettid(2)` tells it.
        thread: u32,
    },
    /// Every process of the group with this number, two at least: 1 cannot be told from "everybody".
    Group(u32),
    /// The process of a pidfd.
    PidFd(BorrowedFd<'fd>),
}

impl Target<'static> {
    /// The calling thread: what `raise(3)` signals.
    #[doc(alias("raise", "gettid"))]
    pub fn this_thread() -> Self {
        Self::Thread { process: std::process::id(), thread: sys::thread_id() }
    }
}

impl From<u32> for Target<'_> {
    fn from(process: u32) -> Self {
        Self::Process(process)
    }
}

impl From<&Child> for Target<'_> {
    fn from(child: &Child) -> Self {
        Self::Process(child.id())
    }
}

impl<'fd> From<&'fd PidFd> for Target<'fd> {
    fn from(pidfd: &'fd PidFd) -> Self {
        Self::PidFd(pidfd.as_fd())
    }
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(process) => write!(f, "process {process}"),
            Self::Thread { process, thread } => write!(f, "thread {thread} of process {process}"),
            Self::Group(group) => write!(f, "process group {group}"),
            Self::PidFd(fd) => write!(f, "the process of pidfd {}", fd.as_raw_fd()),
        }
    }
}

/// `kill(2)`, `tgkill(2)`, `pidfd_send_signal(2)`—Sends `signal`.
///
/// A standard signal that is pending already stays pending once. Sending never waits.
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput), before any call, for numbers that `kill(2)` takes for "my group" or
/// "everybody"; `ESRCH` where there is no such target, `EPERM` where it belongs to somebody else.
///
/// # Examples
///
/// ```
/// use mp_signal::{Signal, exists, send};
///
/// let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
/// assert!(exists(&child)?);
/// send(&child, Signal::KILL)?;
/// child.wait().unwrap();
/// # Ok::<(), mp_signal::Error>(())
/// ```
#[doc(alias("kill", "killpg", "tgkill", "raise", "pidfd_send_signal"))]
pub fn send<'fd>(target: impl Into<Target<'fd>>, signal: Signal) -> Result<()> {
    let target = target.into();
    deliver(target, signal.as_raw()).map_err(|error| explain(target, Some(signal), error))
}

/// `kill(2)` with signal 0—Whether the target exists: a zombie does, and so does one that may not be signalled.
///
/// # Errors
///
/// As for [`send`], but for `ESRCH` and `EPERM`, which are answers.
pub fn exists<'fd>(target: impl Into<Target<'fd>>) -> Result<bool> {
    let target = target.into();
    match deliver(target, 0) {
        Ok(()) => Ok(true),
        Err(error) => match error.raw_os_error() {
            Some(libc::ESRCH) => Ok(false),
            Some(libc::EPERM) => Ok(true),
            _ => Err(explain(target, None, error)),
        },
    }
}

/// `sigqueue(3)`, `rt_tgsigqueueinfo(2)`, `pidfd_send_signal(2)`—Sends `signal` with a `value`.
///
/// Real-time signals queue: each arrives, those of one number in the order sent. A standard signal carries a value too,
/// but while one is pending further ones are dropped, values and all.
///
/// # Errors
///
/// As for [`send`]. [`WouldBlock`](io::ErrorKind::WouldBlock) (`EAGAIN`), with a hint, where the receiver's user has as
/// many signals pending as its `RLIMIT_SIGPENDING` allows; [`Unsupported`](io::ErrorKind::Unsupported), before any call,
/// for a group, since the kernel has no such call.
#[doc(alias("sigqueue", "pthread_sigqueue", "rt_sigqueueinfo", "rt_tgsigqueueinfo"))]
pub fn queue<'fd>(
    target: impl Into<Target<'fd>>,
    signal: Signal,
    value: impl Into<Value>,
) -> Result<()> {
    let (target, value) = (target.into(), value.into());
    match target {
        Target::Process(process) => {
            number(process).and_then(|pid| sys::queue_to_process(pid, signal, value))
        }
        Target::Thread { process, thread } => number(process).and_then(|pid| {
            number(thread).and_then(|tid| sys::queue_to_thread(pid, tid, signal, value))
        }),
        Target::PidFd(fd) => sys::queue_to_pidfd(fd, signal, value),
        Target::Group(_) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the kernel has no call that sends a value to a group",
        )),
    }
    .map_err(|error| explain(target, Some(signal), error))
}

/// Sends a signal by number, zero included.
fn deliver(target: Target<'_>, signal: i32) -> io::Result<()> {
    match target {
        Target::Process(process) => sys::kill(number(process)?, signal),
        Target::Thread { process, thread } => {
            sys::tgkill(number(process)?, number(thread)?, signal)
        }
        Target::Group(1) => Err(refused("-1 means every process")),
        Target::Group(group) => sys::kill(-number(group)?, signal),
        Target::PidFd(fd) => sys::pidfd_send(fd, signal),
    }
}

/// A process number as C has it: positive, so that it is neither "my group" nor a group nor "everybody".
fn number(number: u32) -> io::Result<i32> {
    match i32::try_from(number) {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(refused("process numbers are 1 to 2147483647")),
    }
}

fn refused(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

fn explain(target: Target<'_>, signal: Option<Signal>, error: io::Error) -> Error {
    let errno = error.raw_os_error();
    let what = signal.map_or("signal 0", Signal::name);
    let error = Error::new("send", format!("{what} to {target}"), error);
    match errno {
        Some(libc::EAGAIN) => error.with_hint(
            "`ulimit -i` (RLIMIT_SIGPENDING) bounds the pending signals of the receiver's user",
        ),
        Some(libc::EPERM) => {
            error.with_hint("the receiver runs as another user, which takes CAP_KILL")
        }
        _ => error,
    }
}
