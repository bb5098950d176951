use mp_os::{Error, Result};
use nix::libc::{self, c_long};

/// Which message to receive: the `msgtyp` and the flags of `msgrcv(2)`.
///
/// # Examples
///
/// ```
/// use mp_mqueue::sysv::{Key, MessageQueue, Select};
///
/// let queue = MessageQueue::create_new(Key::PRIVATE)?;
/// for kind in [5, 3, 4] {
///     queue.send(b"four", kind)?;
/// }
/// let mut buffer = [0; 2];
/// assert!(queue.recv(&mut buffer, Select::FIRST).is_err(), "too long: it stays in the queue");
///
/// let message = queue.recv(&mut buffer, Select::up_to(4).truncate())?;
/// assert_eq!((message.bytes, message.kind, message.truncated), (&b"fo"[..], 3, true));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Select {
    which: Which,
    truncate: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    First,
    Kind(i64),
    UpTo(i64),
    Except(i64),
}

impl Select {
    /// The oldest message.
    pub const FIRST: Self = Self::new(Which::First);

    const fn new(which: Which) -> Self {
        Self { which, truncate: false }
    }

    /// The oldest message of this kind.
    pub const fn kind(kind: i64) -> Self {
        Self::new(Which::Kind(kind))
    }

    /// The oldest message of the lowest kind that is at most this one.
    pub const fn up_to(kind: i64) -> Self {
        Self::new(Which::UpTo(kind))
    }

    /// The oldest message of any kind but this one (`MSG_EXCEPT`).
    #[doc(alias = "MSG_EXCEPT")]
    pub const fn except(kind: i64) -> Self {
        Self::new(Which::Except(kind))
    }

    /// Cuts a message that is longer than the buffer (`MSG_NOERROR`); its end is lost. Otherwise that is an error,
    /// and the message stays in the queue.
    #[doc(alias = "MSG_NOERROR")]
    #[must_use]
    pub const fn truncate(mut self) -> Self {
        self.truncate = true;
        self
    }

    /// As `msgrcv` takes it: the type and the flags.
    pub(super) fn to_raw(self, object: impl FnOnce() -> String) -> Result<(c_long, i32)> {
        let (kind, flags) = match self.which {
            Which::First => return Ok((0, self.flags())),
            Which::Kind(kind) => (kind, 0),
            Which::UpTo(kind) => (kind, 0),
            Which::Except(kind) => (kind, libc::MSG_EXCEPT),
        };
        let sign = if matches!(self.which, Which::UpTo(_)) { -1 } else { 1 };
        if kind <= 0 {
            return Err(bad_kind("receive from", object(), kind));
        }
        Ok((sign * kind, flags | self.flags()))
    }

    const fn flags(self) -> i32 {
        if self.truncate { libc::MSG_NOERROR } else { 0 }
    }
}

/// The error of a message type that is not above zero.
pub(super) fn bad_kind(verb: &'static str, object: String, kind: i64) -> Error {
    Error::invalid_input(verb, object, format!("{kind} is no kind of message: it must be above 0"))
}
