//! What the fork server does before its first copy.

use std::sync::OnceLock;

use parking_lot::Mutex;

use crate::{CallOutcome, SpawnError, TaskKey, descriptors::CHILD_FD, encoding, entry, forkserver};

/// The hook of this process's fork servers.
static HOOK: Mutex<Option<TaskKey>> = Mutex::new(None);

/// In a fork server: what its parent's is.
static NOTED: Mutex<Option<TaskKey>> = Mutex::new(None);

/// In a fork server and its copies: why its hook has failed.
static FAILURE: OnceLock<String> = OnceLock::new();

/// Runs `hook` in the fork server before it makes its first copy, so that what the hook prepares (files read, tables
/// computed, libraries loaded) is in the memory of every process that it makes, shared until somebody writes to it.
///
/// A server that runs is replaced at the next start, and the processes that it has made go on. A server that dies is
/// replaced as well, and the hook runs again in each: it should do nothing that must be done once. Only the last hook
/// counts; `hook` may call several functions. Processes by other methods do not run it, and fork servers that children
/// have run their own.
///
/// Where the hook panics, or leaves threads behind (a copy would not have them), each process of the server ends before
/// its task with that reason ([`ProcessError::Os`](crate::ProcessError::Os)). Where it ends the process, the start fails
/// ([`SpawnError::ServerDied`]). While it runs, starts wait for it, as long as
/// [they are willing to](crate::Builder::spawn_timeout).
///
/// # Errors
///
/// [`SpawnError::Task`] for a function of a shared library.
///
/// # Examples
///
/// ```
/// use std::sync::OnceLock;
///
/// static SQUARES: OnceLock<Vec<u64>> = OnceLock::new();
///
/// mp_process::set_forkserver_preload(|()| SQUARES.set((0..1_000).map(|n| n * n).collect()).unwrap())?;
/// let child = mp_process::spawn(|n: usize| SQUARES.get().map(|squares| squares[n]), 7)?;
/// assert_eq!(child.join()?, Some(49));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn set_forkserver_preload(hook: fn(())) -> Result<(), SpawnError> {
    let key = TaskKey::of(hook)?;
    *HOOK.lock() = Some(key);
    // It has run without the hook.
    forkserver::stop();
    Ok(())
}

/// What says to a process that it is a child: the number of its descriptor, and the hook that it runs as a fork server.
pub(crate) fn marker() -> String {
    let mut text = CHILD_FD.to_string();
    if let Some(hook) = &*HOOK.lock() {
        let mut bytes = Vec::new();
        // Numbers cannot refuse.
        let _ = encoding::encode(hook, &mut bytes);
        text.push(' ');
        text.extend(bytes.iter().map(|byte| format!("{byte:02x}")));
    }
    text
}

/// In a process that is a child: takes the hook out of the marker with which it was started.
pub(crate) fn note(marker: &str) {
    let hook = marker.split_once(' ').and_then(|(_, digits)| {
        let bytes: Option<Vec<u8>> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
            .collect();
        encoding::decode(&bytes?).ok()
    });
    *NOTED.lock() = hook;
}

/// In a fork server: runs the hook, which from then on is no concern of its copies.
pub(crate) fn run() {
    let Some(hook) = NOTED.lock().take() else { return };
    if let Err(reason) = call(&hook) {
        // It runs once.
        let _ = FAILURE.set(format!("the preload hook of the fork server {reason}"));
    }
    // Otherwise each copy would print it once more.
    entry::flush();
}

fn call(hook: &TaskKey) -> Result<(), String> {
    let mut call = hook.resolve(&[]).map_err(|error| error.to_string())?;
    match call.call(&mut &[][..], &mut Vec::new()) {
        CallOutcome::Panicked(panic) => return Err(panic.to_string()),
        CallOutcome::ArgumentUndecodable(reason) | CallOutcome::ResultUnencodable(reason) => {
            return Err(reason);
        }
        CallOutcome::Returned => {}
    }
    match std::fs::read_dir("/proc/self/task").map(Iterator::count) {
        Ok(1) => Ok(()),
        Ok(threads) => Err(format!("has left {} threads behind", threads - 1)),
        Err(error) => Err(format!("may have left threads behind: {error}")),
    }
}

/// In a copy of a fork server: why its hook has failed, if it has.
pub(crate) fn failure() -> Option<&'static str> {
    FAILURE.get().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_tells_the_hook() {
        assert_eq!(marker(), "3");
        let key = TaskKey::of(|nothing: ()| nothing).unwrap();
        *HOOK.lock() = Some(key);
        let told = marker();
        *HOOK.lock() = None;
        note(&told);
        assert_eq!(NOTED.lock().take(), Some(key));
        for nonsense in ["", "3 ", "3 0", "3 zz", "3 00", "3 é1"] {
            note(nonsense);
            assert_eq!(*NOTED.lock(), None, "{nonsense:?}");
        }
    }
}
