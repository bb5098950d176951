//! What has come home.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
};

use crate::{count::Partial, files::Skipped};

/// The sum of the partial counts.
#[derive(Default)]
pub(crate) struct Total {
    pub(crate) words: HashMap<String, u64>,
    pub(crate) shares: BTreeMap<u32, Share>,
    pub(crate) skipped: Vec<Skipped>,
    merged: HashSet<usize>,
}

/// What one worker has counted.
#[derive(Default)]
pub(crate) struct Share {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl Total {
    /// Adds the counts of a batch, unless they are there already: a worker may be killed after it has sent them and
    /// before its task is done, and then another counts the batch again.
    pub(crate) fn merge(&mut self, partial: Partial) {
        if !self.merged.insert(partial.index) {
            return;
        }
        for (word, count) in partial.words {
            *self.words.entry(word).or_default() += count;
        }
        let share = self.shares.entry(partial.pid).or_default();
        share.files += partial.files;
        share.bytes += partial.bytes;
        self.skipped.extend(partial.skipped);
    }

    /// How many batches have been merged.
    pub(crate) fn batches(&self) -> usize {
        self.merged.len()
    }

    pub(crate) fn files(&self) -> u64 {
        self.shares.values().map(|share| share.files).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.shares.values().map(|share| share.bytes).sum()
    }

    /// The most frequent words, in alphabetical order where they are equally frequent.
    pub(crate) fn top(&self, count: usize) -> Vec<(&str, u64)> {
        let mut words: Vec<_> =
            self.words.iter().map(|(word, &count)| (word.as_str(), count)).collect();
        words.sort_unstable_by_key(|&(word, count)| (Reverse(count), word));
        words.truncate(count);
        words
    }
}
