use std::fmt;

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
    /// [`Flock`](crate::Flock)
    Flock,
    /// [`Posix`](crate::Posix)
    Posix,
    /// [`Ofd`](crate::Ofd)
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
