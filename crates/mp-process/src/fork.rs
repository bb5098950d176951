mod sys;

use std::{
    fs,
    io::{self, Write},
    os::fd::OwnedFd,
    sync::Arc,
};

use mp_os::Error;
use mp_socket::SeqpacketSocket;
use nix::unistd::{Pid, getppid};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Builder, Child, SpawnError,
    clone::Side,
    descriptors::behind_streams,
    entry,
    keeper::Keeper,
    process::Process,
    setup::Setup,
    sys::{die_with_parent, exit_now},
};

pub use sys::fork_unchecked;

/// `fork(2)`—Runs `task` in a copy of this process, with everything that it captures.
///
/// Only in a process of one thread: the copy has the memory of all of them, but only the calling thread goes on, and
/// locks that others held stay locked for ever. The thread of this crate does not count; it is made to hold still.
///
/// # Errors
///
/// [`SpawnError::MultiThreaded`] where there are other threads; [`SpawnError::Os`] at a limit of the system.
///
/// # Examples
///
/// A doctest has several threads, so here is first a process that has one:
///
/// ```
/// let sum = mp_process::spawn(
///     |()| {
///         let captured = vec![1, 2, 3];
///         let child = mp_process::fork(|| captured.iter().sum::<i32>()).unwrap();
///         child.join().unwrap()
///     },
///     (),
/// )?;
/// assert_eq!(sum.join()?, 6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn fork<R: Serialize + DeserializeOwned>(
    task: impl FnOnce() -> R,
) -> Result<Child<R>, SpawnError> {
    Builder::new().fork(task)
}

/// The parent's side of a copy that does what `setup` says, and then `task`.
pub(crate) fn start<R: Serialize>(
    setup: &Setup,
    fds: Vec<OwnedFd>,
    task: impl FnOnce() -> R,
) -> Result<Arc<Process>, SpawnError> {
    // Held until the copy is made: the thread then holds none of its own locks, and is not in the allocator.
    let pause = match Keeper::existing() {
        Some(keeper) if !Keeper::is_this_thread() => Some(keeper.pause()),
        _ => None,
    };
    let threads = threads()?;
    if threads > 1 + usize::from(pause.is_some()) {
        return Err(SpawnError::MultiThreaded(threads));
    }
    let started = sys::fork_checked(setup, fds, task);
    drop(pause);
    started
}

/// The number of threads of this process.
fn threads() -> Result<usize, SpawnError> {
    let tasks = fs::read_dir("/proc/self/task");
    tasks.map(Iterator::count).map_err(|error| Error::new("count", "threads", error).into())
}

/// The parent's side of a fork whose child runs `task`.
fn run<R: Serialize>(
    fork: impl FnOnce() -> io::Result<Side>,
    setup: &Setup,
    fds: Vec<OwnedFd>,
    task: impl FnOnce() -> R,
) -> Result<Arc<Process>, SpawnError> {
    let (ours, theirs) = SeqpacketSocket::pair()?;
    let apart = |socket: SeqpacketSocket| behind_streams(socket).map_err(SpawnError::start);
    let (ours, theirs) = (apart(ours)?.into(), apart(theirs)?.into());
    let parent = nix::unistd::getpid();
    // What is buffered would be written by both.
    let _ = io::stdout().flush();
    match fork().map_err(SpawnError::start)? {
        Side::Parent(process) => Ok(Arc::new(Process::new(process, ours))),
        Side::Child { .. } => {
            drop(ours);
            become_child(parent, &theirs);
            entry::run_copy(&theirs, setup, fds, task)
        }
    }
}

fn become_child(parent: Pid, socket: &SeqpacketSocket) {
    // The parent may have died before this call.
    if die_with_parent().is_err() || getppid() != parent {
        exit_now(1);
    }
    entry::become_child(socket);
}
