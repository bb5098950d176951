//! One binary for all integration tests of this crate.

#![allow(clippy::unwrap_used, reason = "tests")]

mod guard;
mod mapping;
mod pages;
mod peers;

use std::{fs::File, io::Write};

/// A file of `contents` that has no name any more.
fn file_of(contents: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(contents).unwrap();
    file
}

/// A file of `len` zeroes that has no name any more.
fn file_of_len(len: u64) -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(len).unwrap();
    file
}
