//! The copy of the newest record that `mp-channel` keeps beside the position: a sequence lock whose stamp is the position.

use loom::{
    sync::{
        Arc,
        atomic::{
            AtomicU32,
            Ordering::{Acquire, Relaxed, Release},
            fence,
        },
    },
    thread,
};

use crate::explore;

/// No copy.
const NONE: u32 = 0;

struct Shown {
    position: AtomicU32,
    stamp: AtomicU32,
    words: [AtomicU32; 2],
}

impl Shown {
    fn new() -> Self {
        let word = || AtomicU32::new(0);
        Self { position: word(), stamp: word(), words: [word(), word()] }
    }

    /// The producer's steps: the record that ends at `tail`, of which each word is that number.
    fn push(&self, tail: u32) {
        self.stamp.store(NONE, Relaxed);
        fence(Release);
        self.words.iter().for_each(|word| word.store(tail, Relaxed));
        self.stamp.store(tail, Release);
        self.position.store(tail, Release);
    }

    /// The consumer's: what it takes for the newest record, and where that ends.
    fn newest(&self) -> Option<(u32, [u32; 2])> {
        let tail = self.position.load(Acquire);
        if tail == NONE || self.stamp.load(Acquire) != tail {
            return None;
        }
        let words = self.words.each_ref().map(|word| word.load(Relaxed));
        fence(Acquire);
        (self.stamp.load(Relaxed) == tail).then_some((tail, words))
    }
}

#[test]
fn a_copy_is_of_the_record_that_was_committed() {
    explore(3, || {
        let shown = Arc::new(Shown::new());
        let producer = {
            let shown = Arc::clone(&shown);
            thread::spawn(move || (1..=2).for_each(|tail| shown.push(tail)))
        };
        for _ in 0..2 {
            if let Some((tail, words)) = shown.newest() {
                assert_eq!(words, [tail; 2]);
            }
        }
        producer.join().expect("it pushes");
        assert_eq!(shown.newest(), Some((2, [2; 2])));
    });
}
