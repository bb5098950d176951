use std::{borrow::Cow, error, fmt, io};

use nix::libc;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation on an OS object failed: what was tried, on which object, why, and what may help.
///
/// Displayed as `failed to <verb> <object>: <cause>`, and `; hint: <hint>` where a limit or a habit is the likely cause.
/// Converts into [`io::Error`] of the same [`kind`](Self::kind).
///
/// # Examples
///
/// ```
/// use mp_os::Error;
/// use std::io;
///
/// let error = Error::new("create", "message queue `/jobs`", io::Error::from_raw_os_error(24))
///     .with_hint("`ulimit -q` (RLIMIT_MSGQUEUE) bounds the bytes of all queues of a user");
/// assert_eq!(
///     error.to_string(),
///     "failed to create message queue `/jobs`: Too many open files (os error 24); \
///      hint: `ulimit -q` (RLIMIT_MSGQUEUE) bounds the bytes of all queues of a user"
/// );
/// assert_eq!(error.raw_os_error(), Some(24));
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    verb: &'static str,
    object: String,
    hint: Option<Cow<'static, str>>,
    source: io::Error,
}

impl Error {
    /// An error of `verb` ("open") on `object` ("shared memory `/x`"), caused by `source`.
    pub fn new(verb: &'static str, object: impl Into<String>, source: io::Error) -> Self {
        Self(Box::new(Inner { verb, object: object.into(), hint: None, source }))
    }

    /// An error of `verb` on `object`, caused by the calling thread's `errno`.
    pub fn last_os_error(verb: &'static str, object: impl Into<String>) -> Self {
        // Read before `into` can allocate and change errno.
        let source = io::Error::last_os_error();
        Self::new(verb, object, source)
    }

    /// Bad input that was refused before anything changed, of kind [`io::ErrorKind::InvalidInput`].
    pub fn invalid_input(
        verb: &'static str,
        object: impl Into<String>,
        reason: impl Into<Box<dyn error::Error + Send + Sync>>,
    ) -> Self {
        Self::new(verb, object, io::Error::new(io::ErrorKind::InvalidInput, reason))
    }

    /// Adds what may help.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds what may help, told from what was `found` out for it; nothing where that could not be.
    #[must_use]
    pub fn with_hint_from<T>(self, found: Result<T>, hint: impl FnOnce(T) -> String) -> Self {
        match found {
            Ok(found) => self.with_hint(hint(found)),
            Err(_) => self,
        }
    }

    /// What was tried, as an English verb.
    pub fn verb(&self) -> &'static str {
        self.0.verb
    }

    /// The object it was tried on, with its name.
    pub fn object(&self) -> &str {
        &self.0.object
    }

    /// What may help, if anything is known: what was [given](Self::with_hint), else the name of the limit that the cause is about.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref().or(match self.raw_os_error() {
            Some(libc::EMFILE) => {
                Some("`ulimit -n` (RLIMIT_NOFILE) bounds a process's descriptors")
            }
            Some(libc::ENFILE) => {
                Some("`sysctl fs.file-max` bounds the open files of all processes")
            }
            _ => None,
        })
    }

    /// The category of the cause.
    pub fn kind(&self) -> io::ErrorKind {
        self.0.source.kind()
    }

    /// The `errno` of the cause, if the operating system reported it.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.0.source.raw_os_error()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { verb, object, source, .. } = &*self.0;
        write!(f, "failed to {verb} {object}: {source}")?;
        self.hint().map_or(Ok(()), |hint| write!(f, "; hint: {hint}"))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { verb, object, source, .. } = &*self.0;
        f.debug_struct("Error")
            .field("verb", verb)
            .field("object", object)
            .field("hint", &self.hint())
            .field("source", source)
            .finish()
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.0.source)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error)
    }
}

/// Why a `try_` operation that gives nothing back did not happen.
#[derive(Debug)]
#[non_exhaustive]
pub enum TryError {
    /// It would have had to wait.
    WouldBlock,
    /// The operating system refused it.
    Os(Error),
}

/// Why a `_timeout` or `_deadline` operation that gives nothing back did not happen.
#[derive(Debug)]
#[non_exhaustive]
pub enum TimeoutError {
    /// The deadline passed first.
    TimedOut,
    /// The operating system refused it.
    Os(Error),
}

/// What every enum of expected outcomes has: its variants' texts and kinds beside `Os(Error)`.
macro_rules! outcome {
    ($outcome:ident { $($expected:ident: $text:literal, $kind:ident;)+ }) => {
        impl $outcome {
            /// The category, as that of the [`io::Error`](std::io::Error) that this converts into.
            pub fn kind(&self) -> std::io::ErrorKind {
                match self {
                    $(Self::$expected => std::io::ErrorKind::$kind,)+
                    Self::Os(error) => error.kind(),
                }
            }

            /// The error of the operating system, if that is what this is.
            pub fn os_error(&self) -> Option<&$crate::Error> {
                match self {
                    Self::Os(error) => Some(error),
                    $(Self::$expected => None,)+
                }
            }
        }

        impl std::fmt::Display for $outcome {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$expected => f.write_str($text),)+
                    Self::Os(error) => error.fmt(f),
                }
            }
        }

        impl std::error::Error for $outcome {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                self.os_error().and_then(std::error::Error::source)
            }
        }

        impl From<$crate::Error> for $outcome {
            fn from(error: $crate::Error) -> Self {
                Self::Os(error)
            }
        }

        impl From<$outcome> for std::io::Error {
            fn from(outcome: $outcome) -> Self {
                match outcome {
                    $outcome::Os(error) => error.into(),
                    expected => Self::new(expected.kind(), expected),
                }
            }
        }
    };
}

pub(crate) use outcome;

outcome!(TryError { WouldBlock: "the operation would block", WouldBlock; });
outcome!(TimeoutError { TimedOut: "the deadline passed", TimedOut; });

/// For a `try_` form that is the waiting one with a deadline in the past.
impl From<TimeoutError> for TryError {
    fn from(outcome: TimeoutError) -> Self {
        match outcome {
            TimeoutError::TimedOut => Self::WouldBlock,
            TimeoutError::Os(error) => Self::Os(error),
        }
    }
}

/// For a form without a deadline that is the one with [`Deadline::never`](crate::Deadline::never).
impl From<TimeoutError> for Error {
    fn from(outcome: TimeoutError) -> Self {
        match outcome {
            TimeoutError::TimedOut => {
                Self::new("finish", "operation", io::ErrorKind::TimedOut.into())
            }
            TimeoutError::Os(error) => error,
        }
    }
}

/// For `?` in functions of which [`Error`] is the error.
impl From<TryError> for Error {
    fn from(outcome: TryError) -> Self {
        match outcome {
            TryError::WouldBlock => {
                Self::new("finish", "operation", io::ErrorKind::WouldBlock.into())
            }
            TryError::Os(error) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_descriptors_is_named() {
        let full = || Error::new("create", "a pipe", io::Error::from_raw_os_error(libc::EMFILE));
        assert!(full().hint().unwrap().contains("RLIMIT_NOFILE"));
        assert!(full().to_string().contains("; hint: `ulimit -n`"));
        assert_eq!(full().with_hint("close some").hint(), Some("close some"));
        let other = Error::new("create", "a pipe", io::Error::from_raw_os_error(libc::EINVAL));
        assert_eq!(other.hint(), None);
    }

    #[test]
    fn an_error_becomes_an_io_error_of_its_kind() {
        let error = Error::invalid_input("open", "semaphore ``", "the name is empty");
        assert_eq!(error.to_string(), "failed to open semaphore ``: the name is empty");
        let error = io::Error::from(error);
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(io::Error::from(TimeoutError::TimedOut).kind(), io::ErrorKind::TimedOut);
        assert_eq!(io::Error::from(TryError::WouldBlock).kind(), io::ErrorKind::WouldBlock);
    }
}
