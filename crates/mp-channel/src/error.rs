//! What can come of a push or a pop besides success: one small type per operation.

use std::{error, fmt, io};

use mp_os::Error;

macro_rules! outcomes {
    ($($(#[$doc:meta])* $name:ident $(+ $large:ident)? { $($(#[$variant_doc:meta])* $variant:ident: $text:literal, $kind:ident;)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            $(
                /// The record can never fit.
                $large {
                    /// Its length in bytes.
                    len: usize,
                    /// The longest that fits, in bytes.
                    max: usize,
                },
            )?
            /// The operating system refused something, or a peer has damaged the ring
            /// ([`InvalidData`](std::io::ErrorKind::InvalidData)).
            Os(Error),
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($text),)*
                    $(Self::$large { len, max } => {
                        write!(f, "a record of {len} bytes can never fit into the ring, the longest has {max}")
                    })?
                    Self::Os(error) => error.fmt(f),
                }
            }
        }

        impl error::Error for $name {
            fn source(&self) -> Option<&(dyn error::Error + 'static)> {
                match self {
                    Self::Os(error) => error.source(),
                    _ => None,
                }
            }
        }

        impl From<Error> for $name {
            fn from(error: Error) -> Self {
                Self::Os(error)
            }
        }

        impl From<$name> for io::Error {
            fn from(outcome: $name) -> Self {
                let kind = match &outcome {
                    $($name::$variant => io::ErrorKind::$kind,)*
                    $($name::$large { .. } => io::ErrorKind::InvalidInput,)?
                    $name::Os(error) => error.kind(),
                };
                Self::new(kind, outcome)
            }
        }
    )*};
}

outcomes! {
    /// Why [`Ring::push`](crate::Ring::push) did not happen.
    PushError + TooLarge {
        /// The ring is closed.
        Closed: "the ring is closed", BrokenPipe;
    }

    /// Why [`Ring::try_push`](crate::Ring::try_push) did not happen.
    TryPushError + TooLarge {
        /// There is no room now.
        Full: "the ring is full", WouldBlock;
        /// The ring is closed.
        Closed: "the ring is closed", BrokenPipe;
    }

    /// Why [`Ring::push_timeout`](crate::Ring::push_timeout) did not happen.
    PushTimeoutError + TooLarge {
        /// There was no room before the deadline passed.
        TimedOut: "the ring was full until the deadline passed", TimedOut;
        /// The ring is closed.
        Closed: "the ring is closed", BrokenPipe;
    }

    /// Why [`Ring::pop`](crate::Ring::pop) did not happen.
    PopError {
        /// The ring is closed and drained.
        Closed: "the ring is closed and empty", BrokenPipe;
    }

    /// Why [`Ring::try_pop`](crate::Ring::try_pop) did not happen.
    TryPopError {
        /// There is no record now.
        Empty: "the ring is empty", WouldBlock;
        /// The ring is closed and drained.
        Closed: "the ring is closed and empty", BrokenPipe;
    }

    /// Why [`Ring::pop_timeout`](crate::Ring::pop_timeout) did not happen.
    PopTimeoutError {
        /// There was no record before the deadline passed.
        TimedOut: "the ring was empty until the deadline passed", TimedOut;
        /// The ring is closed and drained.
        Closed: "the ring is closed and empty", BrokenPipe;
    }
}

macro_rules! widen_push {
    ($($to:ident),*) => {$(
        impl From<PushError> for $to {
            fn from(error: PushError) -> Self {
                match error {
                    PushError::Closed => Self::Closed,
                    PushError::TooLarge { len, max } => Self::TooLarge { len, max },
                    PushError::Os(error) => Self::Os(error),
                }
            }
        }
    )*};
}

macro_rules! widen_pop {
    ($($to:ident),*) => {$(
        impl From<PopError> for $to {
            fn from(error: PopError) -> Self {
                match error {
                    PopError::Closed => Self::Closed,
                    PopError::Os(error) => Self::Os(error),
                }
            }
        }
    )*};
}

widen_push!(TryPushError, PushTimeoutError);
widen_pop!(TryPopError, PopTimeoutError);

/// A batch stopped before its end: so many of its records went in, in order, and the rest did not.
#[derive(Debug)]
pub struct PushManyError<E> {
    /// How many records are in the ring.
    pub pushed: usize,
    /// Why the next one is not.
    pub error: E,
}

impl<E: fmt::Display> fmt::Display for PushManyError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records went in, then: {}", self.pushed, self.error)
    }
}

impl<E: error::Error + 'static> error::Error for PushManyError<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.error)
    }
}

/// The ring holds what no push ever wrote: a peer has damaged it.
#[cold]
pub(crate) fn damaged(verb: &'static str) -> Error {
    let reason = "its contents are damaged: a peer has written where it must not";
    Error::new(verb, "a ring", io::Error::new(io::ErrorKind::InvalidData, reason))
}
