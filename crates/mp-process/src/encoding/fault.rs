//! What serde is told went wrong, in either direction.

use std::{error, fmt};

use serde::{de, ser};

/// Boxed, so that a result in a loop over many values is no larger than a pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault(Box<Cause>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The format's own.
    Format(postcard::Error),
    /// What a type has said.
    Refused(String),
}

impl Fault {
    pub(super) fn cause(&self) -> &Cause {
        &self.0
    }
}

impl From<postcard::Error> for Fault {
    #[cold]
    fn from(error: postcard::Error) -> Self {
        Self(Box::new(Cause::Format(error)))
    }
}

impl ser::Error for Fault {
    #[cold]
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self(Box::new(Cause::Refused(reason.to_string())))
    }
}

impl de::Error for Fault {
    #[cold]
    fn custom<T: fmt::Display>(reason: T) -> Self {
        ser::Error::custom(reason)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause() {
            Cause::Format(error) => error.fmt(f),
            Cause::Refused(reason) => f.write_str(reason),
        }
    }
}

impl error::Error for Fault {}
