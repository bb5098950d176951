//! Waiting for readiness of file descriptors, until a deadline and whatever signals arrive.
//!
//! Readiness includes hang-up and error: the operation that follows reports them, so a peer's death ends a wait.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use nix::poll::{PollFd, PollFlags};

use crate::{
    Deadline, PidFd, Result,
    cvt::{is_interrupted, would_block},
    sys,
};

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Data, a connection, an exit (of a pidfd), end of file or an error.
    Readable,
    /// Room to write, or an error.
    Writable,
}

/// `ppoll(2)` on one descriptor: true once `fd` is ready, false when `deadline` has passed first.
///
/// # Errors
///
/// What `ppoll(2)` fails with; [`InvalidInput`](io::ErrorKind::InvalidInput) (`EBADF`) for a closed descriptor.
///
/// # Examples
///
/// ```
/// use mp_os::{Deadline, poll};
/// use std::{io::Write, os::fd::AsFd, time::Duration};
///
/// let (reader, mut writer) = std::io::pipe()?;
/// let soon = Deadline::after(Duration::from_millis(1));
/// assert!(!poll::wait(reader.as_fd(), poll::Interest::Readable, soon)?);
/// writer.write_all(b"x")?;
/// assert!(poll::wait(reader.as_fd(), poll::Interest::Readable, Deadline::never())?);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn wait(fd: BorrowedFd<'_>, interest: Interest, deadline: Deadline) -> io::Result<bool> {
    let mut fds = [poll_fd(fd, interest)];
    Ok(poll(&mut fds, deadline)? > 0)
}

/// `ppoll(2)` on many descriptors: the indexes of those that are ready, none when `deadline` has passed first.
///
/// # Errors
///
/// As for [`wait`].
pub fn wait_many(fds: &[(BorrowedFd<'_>, Interest)], deadline: Deadline) -> io::Result<Vec<usize>> {
    let mut polled: Vec<_> = fds.iter().map(|&(fd, interest)| poll_fd(fd, interest)).collect();
    if poll(&mut polled, deadline)? == 0 {
        return Ok(Vec::new());
    }
    Ok(polled
        .iter()
        .enumerate()
        .filter(|(_, fd)| fd.any() == Some(true))
        .map(|(index, _)| index)
        .collect())
}

/// What can be waited for together with others, whatever it is: see [`select`].
///
/// A descriptor whose readiness the kernel keeps has nothing to [`arm`](Self::arm): a socket, a pipe, a [`PidFd`]. What has
/// its state in shared memory does, so that nobody makes system calls for pollers that are not there: a ring.
pub trait Source {
    /// The descriptor to poll. It stays the same, so it may be registered once, with epoll or an async runtime.
    fn descriptor(&self) -> BorrowedFd<'_>;

    /// What to poll it for.
    fn interest(&self) -> Interest {
        Interest::Readable
    }

    /// Makes the descriptor say what is so now, and tell when it changes. To be called before each wait, and not needed
    /// where the source is used until it would block.
    ///
    /// # Errors
    ///
    /// Where the operating system refuses, or the source is damaged.
    fn arm(&self) -> Result<()> {
        Ok(())
    }
}

impl Source for BorrowedFd<'_> {
    fn descriptor(&self) -> BorrowedFd<'_> {
        *self
    }
}

impl Source for OwnedFd {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

impl Source for PidFd {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

/// The indexes of those `sources` that are ready, as soon as there is one; none when `deadline` has passed first.
///
/// # Errors
///
/// Those of [`Source::arm`] and of [`wait_many`].
///
/// # Examples
///
/// ```
/// use mp_os::{Deadline, PidFd, poll::select};
/// use std::os::fd::OwnedFd;
///
/// let mut child = std::process::Command::new("true").spawn()?;
/// let process = PidFd::open(child.id())?;
/// let (reader, _writer) = std::io::pipe()?;
/// let silent = OwnedFd::from(reader);
/// assert_eq!(select(&[&silent, &process], Deadline::never())?, [1]);
/// # child.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn select(sources: &[&dyn Source], deadline: Deadline) -> Result<Vec<usize>> {
    let fds: Vec<_> =
        sources.iter().map(|source| (source.descriptor(), source.interest())).collect();
    let failed = |error| crate::Error::new("wait for", "one of several descriptors", error);
    let now = Deadline::after(Duration::ZERO);
    loop {
        sources.iter().try_for_each(|source| source.arm())?;
        let ready = wait_many(&fds, now).map_err(failed)?;
        if !ready.is_empty() || deadline.is_past() {
            return Ok(ready);
        }
        // What this sees may be gone by now: others take from the same sources.
        wait_many(&fds, deadline).map_err(failed)?;
    }
}

/// The pauses between looks at what has no event to wait for: each is twice as long as the one before.
///
/// # Examples
///
/// ```
/// use mp_os::{Deadline, poll::Pauses};
/// use std::time::{Duration, Instant};
///
/// let mut pauses = Pauses::new(Duration::from_micros(50), Duration::from_millis(5));
/// let start = Instant::now();
/// for _ in 0..3 {
///     pauses.pause(Deadline::never())?;
/// }
/// assert!(start.elapsed() >= Duration::from_micros(50 + 100 + 200));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Pauses {
    next: Duration,
    longest: Duration,
}

impl Pauses {
    /// From `first` up to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// Sleeps for the next pause, or until `deadline`.
    ///
    /// # Errors
    ///
    /// As for [`wait`].
    pub fn pause(&mut self, deadline: Deadline) -> io::Result<()> {
        wait_many(&[], deadline.or_after(self.next))?;
        self.next = (self.next * 2).min(self.longest);
        Ok(())
    }
}

/// Attempts `operation` on `fd` until it does not say [`WouldBlock`](io::ErrorKind::WouldBlock), waiting in between: its
/// result, `None` when `deadline` has passed first. At least one attempt is made.
///
/// The argument of `operation` is whether it may block: only where `deadline` is never, so that the common case is one
/// system call. It is attempted again too where a signal interrupted it.
///
/// # Errors
///
/// Any other error of `operation`, and what `ppoll(2)` fails with.
///
/// # Examples
///
/// ```
/// use mp_os::{Deadline, poll};
/// use std::{io, net::UdpSocket, os::fd::AsFd, time::Duration};
///
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// socket.set_nonblocking(true)?;
/// let soon = Deadline::after(Duration::from_millis(1));
/// let received = poll::until(socket.as_fd(), poll::Interest::Readable, soon, |_| socket.recv(&mut [0; 9]))?;
/// assert_eq!(received, None);
/// # Ok::<(), io::Error>(())
/// ```
#[inline]
pub fn until<T>(
    fd: BorrowedFd<'_>,
    interest: Interest,
    deadline: Deadline,
    mut operation: impl FnMut(bool) -> io::Result<T>,
) -> io::Result<Option<T>> {
    match operation(deadline.is_never()) {
        Ok(value) => Ok(Some(value)),
        Err(error) => until_ready(fd, interest, deadline, operation, error),
    }
}

/// [`until`] where the first attempt has failed with `error`. Apart, so that the other case is short enough to be inlined.
#[cold]
fn until_ready<T>(
    fd: BorrowedFd<'_>,
    interest: Interest,
    deadline: Deadline,
    mut operation: impl FnMut(bool) -> io::Result<T>,
    mut error: io::Error,
) -> io::Result<Option<T>> {
    loop {
        if would_block(&error) {
            // Who does not wait has been told already that it would have to, and need not ask a second time.
            if deadline.is_past() || !wait(fd, interest, deadline)? {
                return Ok(None);
            }
        } else if !is_interrupted(&error) {
            return Err(error);
        }
        match operation(deadline.is_never()) {
            Ok(value) => return Ok(Some(value)),
            Err(next) => error = next,
        }
    }
}

fn poll_fd(fd: BorrowedFd<'_>, interest: Interest) -> PollFd<'_> {
    let flags = match interest {
        Interest::Readable => PollFlags::POLLIN,
        Interest::Writable => PollFlags::POLLOUT,
    };
    PollFd::new(fd, flags)
}

/// The number of ready descriptors, zero when `deadline` has passed.
fn poll(fds: &mut [PollFd<'_>], deadline: Deadline) -> io::Result<usize> {
    loop {
        match sys::ppoll(fds, deadline.to_relative()) {
            // A timer of the kernel counts from its own clock reading: look again rather than be early.
            Ok(0) if !deadline.is_past() => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(_)
                if fds
                    .iter()
                    .any(|fd| fd.revents().is_some_and(|r| r.contains(PollFlags::POLLNVAL))) =>
            {
                return Err(io::Error::from_raw_os_error(nix::libc::EBADF));
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::fd::AsFd,
        time::{Duration, Instant},
    };

    use super::*;

    #[test]
    fn a_deadline_is_never_early() {
        let (reader, _writer) = io::pipe().unwrap();
        for micros in [0, 1, 300, 1_500] {
            let start = Instant::now();
            let timeout = Duration::from_micros(micros);
            assert!(!wait(reader.as_fd(), Interest::Readable, Deadline::after(timeout)).unwrap());
            assert!(start.elapsed() >= timeout);
        }
    }

    #[test]
    fn a_closed_peer_ends_the_wait() {
        let (reader, writer) = io::pipe().unwrap();
        drop(writer);
        assert!(wait(reader.as_fd(), Interest::Readable, Deadline::never()).unwrap());
    }

    #[test]
    fn the_ready_ones_of_many_are_named() {
        let (quiet, _keep) = io::pipe().unwrap();
        let (closed, writer) = io::pipe().unwrap();
        drop(writer);
        let fds = [(quiet.as_fd(), Interest::Readable), (closed.as_fd(), Interest::Readable)];
        assert_eq!(wait_many(&fds, Deadline::never()).unwrap(), [1]);
        assert!(wait_many(&fds[..1], Deadline::after(Duration::ZERO)).unwrap().is_empty());
    }
}
