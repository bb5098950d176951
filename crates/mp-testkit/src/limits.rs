//! Limits of the kernel: whether a test may change them, and whether errors tell them.

use std::{fs, os::unix::process::parent_id};

use mp_os::Error;

/// Whether the isolated test has an IPC namespace of its own, whose limits it may change.
///
/// To be asked by the process of the test itself: its children share the namespace with their parent.
pub fn has_own_ipc() -> bool {
    let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/ipc"));
    match (namespace(std::process::id()), namespace(parent_id())) {
        (Ok(own), Ok(other)) => own != other,
        _ => false,
    }
}

/// Asserts that `error` is `errno`, and that its hint has all of `words`: the limit that is the cause.
#[track_caller]
pub fn assert_explained(error: &Error, errno: i32, words: &[&str]) {
    assert_eq!(error.raw_os_error(), Some(errno), "{error}");
    let hint = error.hint().unwrap_or_else(|| panic!("no hint: {error}"));
    assert!(words.iter().all(|word| hint.contains(word)), "{error}");
}
