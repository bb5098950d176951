use std::{error, fmt, io};

use crate::{Error, TimeoutError, TryError};

/// An operation that did not happen gives back what it was given: the file that could not be locked.
///
/// `?` turns it into its [`error`](Self::error) or into an [`io::Error`], and drops the value.
///
/// # Examples
///
/// ```
/// use mp_flock::{Failed, Flock, TryError};
///
/// let file = tempfile::NamedTempFile::new()?;
/// let _held = Flock::exclusive().lock(file.reopen()?)?;
/// match Flock::shared().try_lock(file) {
///     Ok(_) => unreachable!("it is held"),
///     Err(Failed { value: file, error: TryError::WouldBlock }) => println!("{file:?} is busy"),
///     Err(failed) => return Err(failed.into()),
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Failed<T, E = Error> {
    /// What was given.
    pub value: T,
    /// Why it did not happen.
    pub error: E,
}

impl<T, E> Failed<T, E> {
    pub(crate) fn new(value: T, error: impl Into<E>) -> Self {
        Self { value, error: error.into() }
    }
}

impl<T, E: fmt::Display> fmt::Display for Failed<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T: fmt::Debug, E: error::Error> error::Error for Failed<T, E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.error.source()
    }
}

impl<T> From<Failed<T, TimeoutError>> for Failed<T, TryError> {
    fn from(failed: Failed<T, TimeoutError>) -> Self {
        Self::new(failed.value, failed.error)
    }
}

impl<T> From<Failed<T, TimeoutError>> for Failed<T> {
    fn from(failed: Failed<T, TimeoutError>) -> Self {
        Self::new(failed.value, failed.error)
    }
}

impl<T> From<Failed<T>> for Error {
    fn from(failed: Failed<T>) -> Self {
        failed.error
    }
}

impl<T> From<Failed<T, TryError>> for TryError {
    fn from(failed: Failed<T, Self>) -> Self {
        failed.error
    }
}

impl<T> From<Failed<T, TimeoutError>> for TimeoutError {
    fn from(failed: Failed<T, Self>) -> Self {
        failed.error
    }
}

impl<T, E: Into<io::Error>> From<Failed<T, E>> for io::Error {
    fn from(failed: Failed<T, E>) -> Self {
        failed.error.into()
    }
}
