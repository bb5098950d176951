use std::{error, fmt};

use mp_process::{JoinTimeoutError, ProcessError};

use super::Process;

/// Why a [`Process`] gave no result before the deadline.
#[non_exhaustive]
pub enum JoinError<R> {
    /// The deadline passed; the process runs.
    TimedOut(Process<R>),
    /// The process ended without a result.
    Process(ProcessError),
}

impl<R> From<JoinTimeoutError<R>> for JoinError<R> {
    fn from(error: JoinTimeoutError<R>) -> Self {
        match error {
            JoinTimeoutError::TimedOut(child) => Self::TimedOut(Process(child)),
            JoinTimeoutError::Process(error) => Self::Process(error),
        }
    }
}

impl<R> fmt::Debug for JoinError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(handle) => f.debug_tuple("TimedOut").field(handle).finish(),
            Self::Process(error) => f.debug_tuple("Process").field(error).finish(),
        }
    }
}

impl<R> fmt::Display for JoinError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(process) => {
                write!(f, "process `{}` has not ended before the deadline", process.name())
            }
            Self::Process(error) => error.fmt(f),
        }
    }
}

impl<R> error::Error for JoinError<R> {}
