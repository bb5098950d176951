//! Names of objects, and who we are.

use std::{
    io::{self, Write},
    process,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
    thread,
};

use mp_os::sysv::Key;
use nix::unistd;

use crate::{fork_child, isolated, sys};

/// What every line of [`skip`] starts with.
pub(crate) const SKIPPED: &str = "SKIPPED test";

/// A name that no other test uses, for files, shared memory, queues and semaphores: `PREFIX-TEST-PROCESS-NUMBER`.
///
/// It carries the mark of the isolated test, by which the leak audit recognizes what the test left behind, in whichever of
/// its processes the name was made.
pub fn unique_name(prefix: &str) -> String {
    let mark = isolated::mark().unwrap_or_else(|| "mp".to_owned());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let name = format!("{prefix}-{mark}-{}-{}", process::id(), names.len());
    names.push(name.clone());
    name
}

/// A key of System V objects that no other test uses, in its processes too.
pub fn unique_key() -> Key {
    static NEXT: AtomicI32 = AtomicI32::new(1);
    let process = process::id().cast_signed();
    Key::new((process << 10) + NEXT.fetch_add(1, Ordering::Relaxed))
}

static NAMES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The names that this process has made.
pub(crate) fn made() -> Vec<String> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Says, in one form that can be searched for, that this machine cannot carry out the calling test.
///
/// Written past the capture of the test harness, as `SKIPPED test NAME: REASON`. The caller returns from the test.
pub fn skip(reason: &str) {
    let thread = thread::current();
    let line = format!("{SKIPPED} {}: {reason}\n", thread.name().unwrap_or("?"));
    io::stderr().write_all(line.as_bytes()).expect("standard error can be written");
}

/// Whether this process is root, whom no permission bit stops.
pub fn is_root() -> bool {
    unistd::geteuid().is_root()
}

/// Runs `body` as an ordinary user: in a forked child that gave root up where we are root, and right here otherwise.
///
/// The child is user and group 65534 without supplementary groups and capabilities. A panic of `body` fails the caller.
#[track_caller]
pub fn as_ordinary_user(body: impl FnOnce()) {
    if !is_root() {
        return body();
    }
    let child = fork_child(|| {
        sys::become_ordinary_user().expect("root can become an ordinary user");
        body();
        0
    });
    let status = child.wait();
    assert!(status.success(), "the body failed as an ordinary user: {status}; its panic is above");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ() {
        assert_ne!(unique_name("a"), unique_name("a"));
        assert!(unique_name("a").starts_with("a-mp"));
    }
}
