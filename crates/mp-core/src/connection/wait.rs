use std::{
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use mp_os::{
    Deadline,
    poll::{self, Source},
};

use crate::{Process, Result};

/// Waits until one of `sources` is ready, and returns the positions of all that are.
///
/// A [`Connection`](crate::Connection) is ready when there is a message, and from when the other end is closed; a
/// [`Process`](crate::Process) from when it has ended; a [`Queue`](crate::Queue) when there is an item or it is closed; any
/// other descriptor, of a socket or a file that [`AsFd`](std::os::fd::AsFd) has, when it can be read. Somebody else may
/// take what was ready before the caller does, so a `try_` form comes next. The same source may stand in several places.
///
/// # Errors
///
/// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where there is nothing to wait for; what `ppoll(2)` fails with.
///
/// # Examples
///
/// ```
/// use mp_core::{Process, Queue, pipe, wait};
///
/// let (ours, _theirs) = pipe()?;
/// let queue: Queue<u32> = Queue::bounded(4)?;
/// let child = Process::spawn(|()| (), ())?;
/// assert_eq!(wait(&[&ours, &child, &queue])?, [1], "the child has ended");
/// queue.put(7)?;
/// assert_eq!(wait(&[&ours, &child, &queue])?, [1, 2]);
///
/// let stream = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
/// # use std::os::fd::AsFd;
/// assert_eq!(mp_core::try_wait(&[&ours, &stream.as_fd()])?, [0; 0], "nothing is ready");
/// child.join()?;
/// # Ok::<(), mp_core::Error>(())
/// ```
pub fn wait(sources: &[&dyn Source]) -> Result<Vec<usize>> {
    if sources.is_empty() {
        let reason = "without a deadline that would be for ever";
        return Err(mp_os::Error::invalid_input("wait for", "nothing", reason).into());
    }
    wait_until(sources, Deadline::never())
}

/// [`wait`] without waiting: none where none is ready.
///
/// # Errors
///
/// What `ppoll(2)` fails with.
pub fn try_wait(sources: &[&dyn Source]) -> Result<Vec<usize>> {
    wait_timeout(sources, Duration::ZERO)
}

/// [`wait`] for at most `timeout`: none when that has passed. It passes for no sources, too.
///
/// # Errors
///
/// What `ppoll(2)` fails with.
pub fn wait_timeout(sources: &[&dyn Source], timeout: Duration) -> Result<Vec<usize>> {
    wait_until(sources, Deadline::after(timeout))
}

/// [`wait`] until `deadline` at the latest: none when that has passed.
///
/// # Errors
///
/// What `ppoll(2)` fails with.
pub fn wait_deadline(sources: &[&dyn Source], deadline: Instant) -> Result<Vec<usize>> {
    wait_until(sources, Deadline::at(deadline))
}

fn wait_until(sources: &[&dyn Source], deadline: Deadline) -> Result<Vec<usize>> {
    Ok(poll::select(sources, deadline)?)
}

/// Its end.
impl<R> Source for Process<R> {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}
