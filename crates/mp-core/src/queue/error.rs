use std::{error, fmt};

use mp_channel::{PopError, PopTimeoutError, PushError, PushTimeoutError};
use mp_process::{DecodeError, EncodeError};

/// Why an item was not put into a [`Queue`](crate::Queue), with the item.
#[non_exhaustive]
pub enum PutError<T> {
    /// The queue was full: until the deadline, or now where the operation does not wait.
    Full(T),
    /// The queue is closed.
    Closed(T),
    /// The item can never fit.
    TooLarge {
        /// The item.
        item: T,
        /// Its length in bytes, serialized.
        len: usize,
        /// The most bytes that an item of this queue can have.
        max: usize,
    },
    /// The item cannot be serialized.
    Encode(T, EncodeError),
    /// The operating system refused, or the queue is damaged.
    Os(T, mp_os::Error),
}

impl<T> PutError<T> {
    /// The item.
    pub fn into_item(self) -> T {
        match self {
            Self::Full(item)
            | Self::Closed(item)
            | Self::TooLarge { item, .. }
            | Self::Encode(item, _)
            | Self::Os(item, _) => item,
        }
    }

    /// The same error about another item.
    fn about<U>(self, item: U) -> (T, PutError<U>) {
        match self {
            Self::Full(old) => (old, PutError::Full(item)),
            Self::Closed(old) => (old, PutError::Closed(item)),
            Self::TooLarge { item: old, len, max } => (old, PutError::TooLarge { item, len, max }),
            Self::Encode(old, error) => (old, PutError::Encode(item, error)),
            Self::Os(old, error) => (old, PutError::Os(item, error)),
        }
    }

    /// The error alone.
    pub(crate) fn without_item(self) -> PutError<()> {
        self.about(()).1
    }
}

impl PutError<()> {
    pub(super) fn with_item<T>(self, item: T) -> PutError<T> {
        self.about(item).1
    }
}

/// Without the item, which need not be printable for `unwrap` to be.
impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full(..)"),
            Self::Closed(_) => f.write_str("Closed(..)"),
            Self::TooLarge { len, max, .. } => f
                .debug_struct("TooLarge")
                .field("len", len)
                .field("max", max)
                .finish_non_exhaustive(),
            Self::Encode(_, error) => f.debug_tuple("Encode").field(error).finish_non_exhaustive(),
            Self::Os(_, error) => f.debug_tuple("Os").field(error).finish_non_exhaustive(),
        }
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("failed to put an item into a queue: it is full"),
            Self::Closed(_) => f.write_str("failed to put an item into a queue: it is closed"),
            Self::TooLarge { len, max, .. } => write!(
                f,
                "failed to put an item into a queue: it has {len} bytes, and the queue takes at most {max}"
            ),
            Self::Encode(_, error) => write!(f, "failed to put an item into a queue: {error}"),
            Self::Os(_, error) => error.fmt(f),
        }
    }
}

impl<T> error::Error for PutError<T> {}

impl From<EncodeError> for PutError<()> {
    fn from(error: EncodeError) -> Self {
        Self::Encode((), error)
    }
}

impl From<PushError> for PutError<()> {
    fn from(error: PushError) -> Self {
        PushTimeoutError::from(error).into()
    }
}

impl From<PushTimeoutError> for PutError<()> {
    fn from(error: PushTimeoutError) -> Self {
        match error {
            PushTimeoutError::TimedOut => Self::Full(()),
            PushTimeoutError::Closed => Self::Closed(()),
            PushTimeoutError::TooLarge { len, max } => Self::TooLarge { item: (), len, max },
            PushTimeoutError::Os(error) => Self::Os((), error),
            error => Self::Os((), unknown("put an item into", error)),
        }
    }
}

/// Why no item was taken out of a [`Queue`](crate::Queue).
#[derive(Debug)]
#[non_exhaustive]
pub enum GetError {
    /// The queue was empty: until the deadline, or now where the operation does not wait.
    Empty,
    /// The queue is closed and empty.
    Closed,
    /// The item that was taken out cannot be deserialized.
    Decode(DecodeError),
    /// The operating system refused, or the queue is damaged.
    Os(mp_os::Error),
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("failed to get an item from a queue: it is empty"),
            Self::Closed => {
                f.write_str("failed to get an item from a queue: it is closed and empty")
            }
            Self::Decode(error) => write!(f, "failed to get an item from a queue: {error}"),
            Self::Os(error) => error.fmt(f),
        }
    }
}

impl error::Error for GetError {}

impl From<DecodeError> for GetError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<PopError> for GetError {
    fn from(error: PopError) -> Self {
        PopTimeoutError::from(error).into()
    }
}

impl From<mp_os::Error> for GetError {
    fn from(error: mp_os::Error) -> Self {
        Self::Os(error)
    }
}

impl From<PopTimeoutError> for GetError {
    fn from(error: PopTimeoutError) -> Self {
        match error {
            PopTimeoutError::TimedOut => Self::Empty,
            PopTimeoutError::Closed => Self::Closed,
            PopTimeoutError::Os(error) => Self::Os(error),
            error => Self::Os(unknown("get an item from", error)),
        }
    }
}

/// An outcome that a later version of the ring has.
fn unknown(verb: &'static str, error: impl error::Error + Send + Sync + 'static) -> mp_os::Error {
    mp_os::Error::new(verb, "a queue", std::io::Error::other(error))
}
