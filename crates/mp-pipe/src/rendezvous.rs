//! Opening a FIFO until a deadline.
//!
//! A blocking `open(2)` of a FIFO waits for the other end, and nothing but a signal ends it. So with a deadline an end is
//! opened without blocking, and the other end is looked for:
//!
//! * A reader can always be opened. Whether there is a writer is told, without taking a byte, by `tee(2)`: zero bytes
//!   where there is none, `EAGAIN` where there is. A writer's `open(2)`, blocking or not, succeeds from then on, and
//!   `inotify(7)` tells of it.
//! * A writer cannot be opened before there is a reader (`ENXIO`). `inotify(7)` tells when one has been opened, but one
//!   that blocks in `open(2)` has not been yet: it waits for us. Only looking again finds it, hence [`SLICE`].

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Duration,
};

use mp_os::{
    Deadline,
    poll::{self, Interest},
    retry,
};
use nix::{
    errno::Errno,
    fcntl::{self, FcntlArg, OFlag, SpliceFFlags, fcntl},
    sys::{
        inotify::{AddWatchFlags, InitFlags, Inotify},
        stat::{Mode, SFlag, fstat},
    },
};

/// How often to look where no event tells.
const SLICE: Duration = Duration::from_millis(10);

/// Opens an end to read from; `None` when no writer has come until `deadline`.
pub(crate) fn open_reader(path: &Path, deadline: Deadline) -> io::Result<Option<OwnedFd>> {
    if deadline.is_never() {
        return open(path, OFlag::O_RDONLY).map(Some);
    }
    let reader = open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
    let mut opened = Opened::Unwatched;
    while !has_writer(reader.as_fd())? {
        if !opened.wait(path, Some(reader.as_fd()), deadline)? {
            return Ok(None);
        }
    }
    block(reader).map(Some)
}

/// Opens an end to write to; `None` when no reader has come until `deadline`.
pub(crate) fn open_writer(path: &Path, deadline: Deadline) -> io::Result<Option<OwnedFd>> {
    if deadline.is_never() {
        return open(path, OFlag::O_WRONLY).map(Some);
    }
    let mut opened = Opened::Unwatched;
    loop {
        match open(path, OFlag::O_WRONLY | OFlag::O_NONBLOCK) {
            Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => {}
            result => return block(result?).map(Some),
        }
        if !opened.wait(path, None, deadline)? {
            return Ok(None);
        }
    }
}

/// Opens both ends as one descriptor, which never waits.
pub(crate) fn open_both(path: &Path) -> io::Result<OwnedFd> {
    open(path, OFlag::O_RDWR)
}

fn open(path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
    let fd = retry(|| Ok(fcntl::open(path, flags | OFlag::O_CLOEXEC, Mode::empty())?))?;
    let kind = SFlag::from_bits_truncate(fstat(&fd)?.st_mode) & SFlag::S_IFMT;
    if kind == SFlag::S_IFIFO {
        Ok(fd)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a FIFO"))
    }
}

/// Ends the nonblocking mode of a descriptor that nobody else has yet.
fn block(fd: OwnedFd) -> io::Result<OwnedFd> {
    let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
    fcntl(&fd, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(fd)
}

/// Whether the nonblocking `reader` has a writer, or had one since it was opened.
fn has_writer(reader: BorrowedFd<'_>) -> io::Result<bool> {
    if poll::wait(reader, Interest::Readable, Deadline::after(Duration::ZERO))? {
        // Bytes, or the hang-up after the last writer.
        return Ok(true);
    }
    let (_aside, copy) = io::pipe()?;
    match fcntl::tee(reader, &copy, 1, SpliceFFlags::SPLICE_F_NONBLOCK) {
        Ok(bytes) => Ok(bytes > 0),
        Err(Errno::EAGAIN) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

/// What tells that somebody has opened the file.
enum Opened {
    /// Nothing yet: the first look may already find the other end.
    Unwatched,
    /// Events.
    Watched(Inotify),
    /// No events are to be had: out of inotify instances, or no permission to read the file.
    Unwatchable,
}

impl Opened {
    /// Waits until it is time to look again; false when `deadline` has passed.
    fn wait(
        &mut self,
        path: &Path,
        reader: Option<BorrowedFd<'_>>,
        deadline: Deadline,
    ) -> io::Result<bool> {
        if deadline.is_past() {
            return Ok(false);
        }
        match self {
            Self::Unwatched => {
                // What happened before the watch causes no event, so look once more.
                *self = watch(path).map_or(Self::Unwatchable, Self::Watched);
                return Ok(true);
            }
            Self::Watched(events) => {
                let mut fds = vec![(events.as_fd(), Interest::Readable)];
                fds.extend(reader.map(|reader| (reader, Interest::Readable)));
                let slice = if reader.is_some() { deadline } else { deadline.or_after(SLICE) };
                poll::wait_many(&fds, slice)?;
                drain(events)?;
            }
            Self::Unwatchable => {
                let fds: Vec<_> =
                    reader.map(|reader| (reader, Interest::Readable)).into_iter().collect();
                poll::wait_many(&fds, deadline.or_after(SLICE))?;
            }
        }
        // Whatever came at the last moment is still found by a last look.
        Ok(true)
    }
}

fn watch(path: &Path) -> nix::Result<Inotify> {
    let events = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    events.add_watch(path, AddWatchFlags::IN_OPEN)?;
    Ok(events)
}

fn drain(events: &Inotify) -> io::Result<()> {
    match events.read_events() {
        Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
