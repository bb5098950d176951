use std::{error, fmt, io};

use mp_os::{Error, TimeoutError};

use crate::{DecodeError, EncodeError};

/// Why a message was not sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// The peer is gone: every handle of the other end is closed.
    Closed,
    /// The queue stayed full until the deadline.
    TimedOut,
    /// The value could not be serialized.
    Encode(EncodeError),
    /// The operating system refused it.
    Os(Error),
}

impl From<TimeoutError> for SendError {
    fn from(error: TimeoutError) -> Self {
        match error {
            TimeoutError::TimedOut => Self::TimedOut,
            error => match Error::from(error) {
                error if is_closed(&error) => Self::Closed,
                error => Self::Os(error),
            },
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the other end of the connection is closed"),
            Self::TimedOut => f.write_str("the queue of the connection stayed full"),
            Self::Encode(error) => error.fmt(f),
            Self::Os(error) => error.fmt(f),
        }
    }
}

impl error::Error for SendError {}

/// Why no message was received.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecvError {
    /// The peer is gone, and what it sent is received: every handle of the other end is closed.
    Closed,
    /// No message came until the deadline.
    TimedOut,
    /// The message is not a value of this type. It is gone; the next one can be received.
    Undecodable(DecodeError),
    /// The message, which is here, is longer than the buffer that it was to be received into.
    #[doc(alias = "BufferTooShort")]
    TooLong(Vec<u8>),
    /// The operating system refused it.
    Os(Error),
}

impl From<TimeoutError> for RecvError {
    fn from(error: TimeoutError) -> Self {
        match error {
            TimeoutError::TimedOut => Self::TimedOut,
            error => Self::Os(error.into()),
        }
    }
}

impl From<Error> for RecvError {
    fn from(error: Error) -> Self {
        Self::Os(error)
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the other end of the connection is closed"),
            Self::TimedOut => f.write_str("no message came"),
            Self::Undecodable(error) => error.fmt(f),
            Self::TooLong(message) => {
                write!(f, "the buffer is shorter than the message of {} bytes", message.len())
            }
            Self::Os(error) => error.fmt(f),
        }
    }
}

impl error::Error for RecvError {}

fn is_closed(error: &Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}
