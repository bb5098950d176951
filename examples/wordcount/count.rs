//! Counting, the same for a worker and for the check.

use std::{collections::HashMap, fs, process};

use mp_core::Queue;
use serde::{Deserialize, Serialize};

use crate::files::{Batch, Skipped};

/// The counts of one batch.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Partial {
    /// The batch: a batch that was tried again after its worker died may come twice.
    pub(crate) index: usize,
    pub(crate) pid: u32,
    pub(crate) words: HashMap<String, u64>,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) skipped: Vec<Skipped>,
}

/// The task: counts the words of a batch and sends them home.
pub(crate) fn count_and_send(home: &Queue<Partial>, batch: Batch) {
    if let Err(error) = home.put(count(&batch)) {
        panic!("{error}");
    }
}

/// The words of a batch: runs of letters, digits and underscores.
pub(crate) fn count(batch: &Batch) -> Partial {
    let mut partial = Partial { index: batch.index, pid: process::id(), ..Partial::default() };
    for file in &batch.files {
        match read(file.path()) {
            Ok(text) => {
                partial.files += 1;
                partial.bytes += text.len() as u64;
                for word in text
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .filter(|word| !word.is_empty())
                {
                    match partial.words.get_mut(word) {
                        Some(count) => *count += 1,
                        None => drop(partial.words.insert(word.to_owned(), 1)),
                    }
                }
            }
            Err(reason) => partial.skipped.push(Skipped::new(file.path(), reason)),
        }
    }
    partial
}

/// The text of a file, or why it is none.
fn read(path: &std::path::Path) -> Result<String, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    if bytes.contains(&0) {
        return Err("a binary file: it has a NUL".to_owned());
    }
    String::from_utf8(bytes).map_err(|error| format!("not UTF-8: {error}"))
}
