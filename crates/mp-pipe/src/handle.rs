use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::OnceLock,
};

use nix::fcntl::OFlag;

use crate::sys;

/// The descriptor of an end, and where the kernel cannot be told in one call not to wait, the same end a second time.
#[derive(Debug)]
pub(crate) struct Handle {
    fd: OwnedFd,
    /// Opened when it is first needed, and nonblocking: a state of its own, which nobody else has to do with.
    anew: OnceLock<OwnedFd>,
}

impl Handle {
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        self.fd.try_clone().map(Self::from)
    }

    /// The nonblocking one, where it is open already.
    pub(crate) fn known_anew(&self) -> Option<BorrowedFd<'_>> {
        self.anew.get().map(AsFd::as_fd)
    }

    /// The nonblocking one.
    pub(crate) fn anew(&self, access: OFlag) -> io::Result<BorrowedFd<'_>> {
        match self.known_anew() {
            Some(anew) => Ok(anew),
            None => {
                let anew = sys::open_anew(self.as_fd(), access)?;
                Ok(self.anew.get_or_init(|| anew).as_fd())
            }
        }
    }
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<OwnedFd> for Handle {
    fn from(fd: OwnedFd) -> Self {
        Self { fd, anew: OnceLock::new() }
    }
}

impl From<Handle> for OwnedFd {
    fn from(handle: Handle) -> Self {
        handle.fd
    }
}
