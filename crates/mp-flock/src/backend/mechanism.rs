use std::{fmt, io, os::fd::BorrowedFd};

use super::{Kind, Mode};
use crate::{ByteRange, Holder, Result};

/// One of [`Flock`](crate::Flock), [`Posix`](crate::Posix), [`Ofd`](crate::Ofd).
pub trait Backend: Mechanism {}

impl<B: Mechanism> Backend for B {}

/// A kind that can lock some bytes of a file: [`Posix`](crate::Posix) or [`Ofd`](crate::Ofd).
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
