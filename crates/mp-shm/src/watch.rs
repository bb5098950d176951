use std::{io, os::fd::AsFd, path::Path};

use mp_os::{
    Deadline,
    poll::{self, Interest},
};
use nix::{
    errno::Errno,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify},
};

use crate::{Error, Result, TimeoutError};

/// Calls `open` at once and after every change in `directory`, until it finds what it opens complete.
pub(crate) fn watch<T>(
    directory: &Path,
    deadline: Deadline,
    mut open: impl FnMut() -> Result<T>,
) -> Result<T, TimeoutError> {
    let fail = |error: io::Error| {
        let object = format!("directory `{}`", directory.display());
        Error::new("watch", object, error)
            .with_hint("`sysctl fs.inotify.max_user_instances` bounds the watchers of a user")
    };
    let changes = AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_MODIFY
        | AddWatchFlags::IN_ATTRIB;
    // Watched before the first look, so that no change falls between the two.
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)
        .and_then(|inotify| inotify.add_watch(directory, changes).map(|_| inotify))
        .map_err(|errno| fail(errno.into()))?;
    loop {
        match open() {
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::WouldBlock) => {}
            result => return Ok(result?),
        }
        if !poll::wait(inotify.as_fd(), Interest::Readable, deadline).map_err(fail)? {
            return Err(TimeoutError::TimedOut);
        }
        match inotify.read_events() {
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return Err(fail(errno.into()).into()),
        }
    }
}
