use std::io;

use nix::libc;

/// Turns the return value of a C call, which is -1 on failure, into a result carrying `errno`.
///
/// # Errors
///
/// `errno` as an [`io::Error`] when `value` is -1.
///
/// # Examples
///
/// ```
/// assert_eq!(mp_os::cvt(3).unwrap(), 3);
/// ```
#[inline]
pub fn cvt<T: Copy + PartialEq + From<i8>>(value: T) -> io::Result<T> {
    if value == T::from(-1) { Err(io::Error::last_os_error()) } else { Ok(value) }
}

/// Calls `operation` again for as long as a signal handler interrupts it (`EINTR`).
///
/// Only for calls without a timeout or with an absolute one: a relative timeout would start anew.
///
/// # Errors
///
/// Whatever `operation` fails with, except [`io::ErrorKind::Interrupted`].
///
/// # Examples
///
/// ```
/// use std::io::{Error, ErrorKind};
///
/// let mut calls = 0;
/// let answer = mp_os::retry(|| {
///     calls += 1;
///     if calls < 3 { Err(Error::from(ErrorKind::Interrupted)) } else { Ok(calls) }
/// });
/// assert_eq!(answer.unwrap(), 3);
/// ```
#[inline]
pub fn retry<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if is_interrupted(&error) => {}
            result => return result,
        }
    }
}

#[inline]
pub(crate) fn is_interrupted(error: &io::Error) -> bool {
    is(error, libc::EINTR, io::ErrorKind::Interrupted)
}

#[inline]
pub(crate) fn would_block(error: &io::Error) -> bool {
    is(error, libc::EAGAIN, io::ErrorKind::WouldBlock)
}

/// By number where there is one: the table of kinds takes longer than some calls that find nothing to do.
#[inline]
fn is(error: &io::Error, number: i32, kind: io::ErrorKind) -> bool {
    error.raw_os_error().map_or_else(|| error.kind() == kind, |own| own == number)
}
