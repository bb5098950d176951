use std::{error, fmt, io, sync::Arc, time::Duration};

use mp_os::{TimeoutError, TryError};
use mp_process::{EncodeError, Panic, ProcessError, RecvError, SendError, SpawnError};
use mp_shm::OutOfBounds;
use mp_sync::{BarrierError, LockError};

use crate::{
    process::JoinError,
    queue::{GetError, PutError, PutManyError},
    task::GetTimeoutError,
};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whatever can go wrong in this crate, for programs that pass errors on with `?`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something, or bad input was refused before anything changed.
    Os(mp_os::Error),
    /// A process could not be started.
    Spawn(SpawnError),
    /// A process ended without a result.
    Process(ProcessError),
    /// A function cannot be a task.
    Function(mp_process::TaskError),
    /// A value cannot be serialized.
    Encode(EncodeError),
    /// A task of a pool ended without a result.
    Task(TaskError),
    /// The pool takes no tasks any more.
    Stopped(PoolStopped),
    /// An item could not be put into a queue, and is gone.
    Put(PutError<()>),
    /// No item could be taken out of a queue.
    Get(GetError),
    /// A message could not be sent to another process.
    Send(SendError),
    /// A message of another process could not be received.
    Recv(RecvError),
    /// Somebody died with a lock, which is free again; to have it all the same, see
    /// [`LockError::recover`](crate::LockError::recover).
    OwnerDied,
    /// The operation would have had to wait.
    WouldBlock,
    /// The deadline passed first.
    TimedOut,
    /// A barrier let this process go before all had come.
    Barrier(BarrierError),
    /// A worker and its parent do not understand each other.
    Protocol(Arc<str>),
}

impl Error {
    pub(crate) fn protocol(reason: impl Into<Arc<str>>) -> Self {
        Self::Protocol(reason.into())
    }

    /// The category, as [`io::Error`] has it, where the operating system or bad input is the cause.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Os(error) => Some(error.kind()),
            Self::Encode(error)
            | Self::Send(SendError::Encode(error))
            | Self::Spawn(SpawnError::Arguments(error)) => {
                error.io_error().map(|error| error.kind())
            }
            Self::Send(SendError::Os(error))
            | Self::Recv(RecvError::Os(error))
            | Self::Spawn(SpawnError::Os(error)) => Some(error.kind()),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Os(error) => error.fmt(f),
            Self::Spawn(error) => error.fmt(f),
            Self::Process(error) => error.fmt(f),
            Self::Function(error) => error.fmt(f),
            Self::Encode(error) => error.fmt(f),
            Self::Task(error) => error.fmt(f),
            Self::Stopped(error) => error.fmt(f),
            Self::Put(error) => error.fmt(f),
            Self::Get(error) => error.fmt(f),
            Self::Send(error) => error.fmt(f),
            Self::Recv(error) => error.fmt(f),
            Self::OwnerDied => f.write_str("somebody died with the lock"),
            Self::WouldBlock => f.write_str("the operation would block"),
            Self::TimedOut => f.write_str("the deadline passed"),
            Self::Barrier(error) => error.fmt(f),
            Self::Protocol(reason) => write!(f, "a pool worker broke the protocol: {reason}"),
        }
    }
}

impl error::Error for Error {}

macro_rules! from {
    ($($variant:ident($error:ty)),+ $(,)?) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }
    )+};
}

from! {
    Os(mp_os::Error), Spawn(SpawnError), Process(ProcessError), Function(mp_process::TaskError),
    Encode(EncodeError), Task(TaskError), Stopped(PoolStopped), Get(GetError),
    Send(SendError), Recv(RecvError), Barrier(BarrierError),
}

impl From<TryError> for Error {
    fn from(error: TryError) -> Self {
        match error {
            TryError::Os(error) => Self::Os(error),
            _ => Self::WouldBlock,
        }
    }
}

impl From<TimeoutError> for Error {
    fn from(error: TimeoutError) -> Self {
        match error {
            TimeoutError::Os(error) => Self::Os(error),
            _ => Self::TimedOut,
        }
    }
}

/// Releases the lock of somebody who died with it: use the [`LockError`] itself to have it.
impl<G, E: Into<Self>> From<LockError<G, E>> for Error {
    fn from(error: LockError<G, E>) -> Self {
        match error {
            LockError::OwnerDied(_) => Self::OwnerDied,
            LockError::Failed(error) => error.into(),
        }
    }
}

/// Drops the item: use the [`PutError`] itself to have it back.
impl<T> From<PutError<T>> for Error {
    fn from(error: PutError<T>) -> Self {
        Self::Put(error.without_item())
    }
}

/// Drops the items: use the [`PutManyError`] itself to have them back.
impl<T> From<PutManyError<T>> for Error {
    fn from(error: PutManyError<T>) -> Self {
        Self::Put(error.error)
    }
}

/// Drops the handle of a process that runs: use the [`JoinError`] itself to have it back.
impl<R> From<JoinError<R>> for Error {
    fn from(error: JoinError<R>) -> Self {
        match error {
            JoinError::TimedOut(_) => Self::TimedOut,
            JoinError::Process(error) => Self::Process(error),
        }
    }
}

/// Drops the handle of a task that goes on: use the [`GetTimeoutError`] itself to have it back.
impl<R> From<GetTimeoutError<R>> for Error {
    fn from(error: GetTimeoutError<R>) -> Self {
        match error {
            GetTimeoutError::TimedOut(_) => Self::TimedOut,
            GetTimeoutError::Task(error) => Self::Task(error),
        }
    }
}

/// The access was beyond the end of shared memory.
impl From<OutOfBounds> for Error {
    fn from(error: OutOfBounds) -> Self {
        Self::Os(error.into())
    }
}

/// How a task of a [`Pool`](crate::Pool) ended without a result.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TaskError {
    /// It panicked; the worker lives on.
    Panicked(Panic),
    /// Its worker ended while it ran: killed, crashed, out of memory, or by `exit`.
    WorkerDied(Arc<ProcessError>),
    /// Its argument or result cannot be serialized.
    Unencodable(Arc<str>),
    /// Its argument or result cannot be deserialized.
    Undecodable(Arc<str>),
    /// It ran longer than it may, which is this, and its worker was killed.
    TimedOut(Duration),
    /// It was taken back before it ended.
    Cancelled,
    /// The pool ended before it did.
    Stopped(PoolStopped),
    /// The pool could not go on with it.
    Failed(Arc<Error>),
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(panic) => write!(f, "the task {panic}"),
            Self::WorkerDied(cause) => write!(f, "the worker died of the task: {cause}"),
            Self::Unencodable(error) => write!(f, "a value of the task cannot travel: {error}"),
            Self::Undecodable(error) => write!(f, "a value of the task did not arrive: {error}"),
            Self::TimedOut(limit) => write!(f, "the task ran for longer than {limit:?}"),
            Self::Cancelled => f.write_str("the task was cancelled"),
            Self::Stopped(why) => write!(f, "the task has no result: {why}"),
            Self::Failed(error) => write!(f, "the task could not go on: {error}"),
        }
    }
}

impl error::Error for TaskError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::WorkerDied(cause) => Some(&**cause),
            Self::Failed(error) => Some(&**error),
            _ => None,
        }
    }
}

impl From<Error> for TaskError {
    fn from(error: Error) -> Self {
        match error {
            Error::Task(error) => error,
            Error::Stopped(why) => Self::Stopped(why),
            error => Self::Failed(Arc::new(error)),
        }
    }
}

/// Why a [`Pool`](crate::Pool) takes no tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolStopped {
    /// It was closed.
    Closed,
    /// It was terminated or dropped.
    Terminated,
    /// Its workers cannot be kept alive: the initializer fails, or they die before their first task.
    Broken(Arc<str>),
}

impl fmt::Display for PoolStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the pool is closed"),
            Self::Terminated => f.write_str("the pool was terminated"),
            Self::Broken(cause) => write!(f, "the pool is broken: {cause}"),
        }
    }
}

impl error::Error for PoolStopped {}
