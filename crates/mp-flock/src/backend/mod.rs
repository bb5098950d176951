//! The three kinds of lock that Linux has on files: what each of them is, and its calls.

mod flock;
mod ofd;
mod posix;

use std::{fmt, io, os::fd::BorrowedFd};

pub use self::{flock::Flock, ofd::Ofd, posix::Posix};
use crate::{ByteRange, Holder, Result};

/// Whether others may hold the lock at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// With others who share: readers.
    Shared,
    /// Alone: a writer.
    Exclusive,
}

/// Which of the three kinds, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// [`Flock`]
    Flock,
    /// [`Posix`]
    Posix,
    /// [`Ofd`]
    Ofd,
}

/// As in `/proc/locks`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flock => "FLOCK",
            Self::Posix => "POSIX",
            Self::Ofd => "OFDLCK",
        })
    }
}

/// One of [`Flock`], [`Posix`], [`Ofd`].
pub trait Backend: Mechanism {}

impl<B: Mechanism> Backend for B {}

/// A kind that can lock some bytes of a file: [`Posix`] or [`Ofd`].
pub trait RangeBackend: Backend {}

/// The calls of one kind.
#[expect(unnameable_types, reason = "sealed: the kinds are the kernel's")]
pub trait Mechanism: Copy + fmt::Debug {
    const KIND: Kind;

    /// Whether changing the mode of a lock that is held gives it up first.
    const CONVERTS_BY_RELEASING: bool;

    /// Takes or, with `None`, releases the lock; without `wait` it fails with `EAGAIN` rather than wait.
    fn set(fd: BorrowedFd<'_>, mode: Option<Mode>, range: ByteRange, wait: bool) -> io::Result<()>;

    /// A lock that prevents this one from being taken now.
    fn conflict(fd: BorrowedFd<'_>, mode: Mode, range: ByteRange) -> Result<Option<Holder>>;
}
