//! The newest record once more, beside the position that commits it.
//!
//! In a conversation one record comes at a time, and what that takes is the cache lines that go from core to core, one after
//! the other: the position's and the record's own. A short record is therefore written twice, and a consumer that finds it
//! beside the position never touches the line in the ring, which stays with the producer. What is in the ring is the record;
//! this is a copy, for consumers who can see that it is one.
//!
//! **Memory order.** A sequence lock: who writes takes the stamp away before and puts it back after; who reads looks at it
//! before and after, and believes what is between only under the stamp that belongs to the position that it has seen committed.
//!
//! **Killed** anywhere, a producer leaves a stamp of something that was never committed, or none. The next one takes it away
//! before it commits anything.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

use crate::{position::Position, record::Record};

const WORDS: usize = 4;

/// The longest record of which there is a copy: the rest of the position's cache line.
const LEN: usize = WORDS * Position::UNIT;

/// No copy. A record that ends at this position has none.
const NONE: u64 = 0;

/// Written under the tail lock, and only while there is a conversation: a stream pays for each store to the line.
#[repr(C)]
pub(crate) struct Newest {
    /// The position behind the record.
    stamp: AtomicU64,
    len: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl Newest {
    /// There is no copy from here on.
    #[inline]
    pub(crate) fn clear(&self) {
        self.stamp.store(NONE, Relaxed);
    }

    /// Keeps a copy of `bytes`, a record that ends at `tail`, if it is short; there is none otherwise.
    #[inline]
    pub(crate) fn set(&self, tail: Position, bytes: &[u8]) {
        // Nothing is looked at here: the line is with those who wait.
        self.clear();
        if bytes.len() > LEN {
            return;
        }
        // Whoever reads one of the words below sees from then on that the old stamp is gone.
        fence(Release);
        // Mostly there is no rest, and copies of a known length are single instructions.
        let (values, rest) = bytes.as_chunks::<{ Position::UNIT }>();
        for (word, value) in self.words.iter().zip(values) {
            word.store(u64::from_ne_bytes(*value), Relaxed);
        }
        if let Some(word) = self.words.get(values.len()).filter(|_| !rest.is_empty()) {
            let mut value = [0; Position::UNIT];
            value[..rest.len()].copy_from_slice(rest);
            word.store(u64::from_ne_bytes(value), Relaxed);
        }
        self.len.store(bytes.len() as u64, Relaxed);
        self.stamp.store(tail.to_bits(), Release);
    }

    /// Makes `bytes` the record that ends at `tail` and takes up so many units, if there is a copy, and room for it.
    #[inline]
    pub(crate) fn copy_to(&self, bytes: &mut Vec<u8>, tail: Position, units: u32) -> bool {
        let stamp = tail.to_bits();
        if stamp == NONE || self.stamp.load(Acquire) != stamp {
            return false;
        }
        let words = self.words.each_ref().map(|word| word.load(Relaxed));
        let len = self.len.load(Relaxed);
        // If one of these was written later, the stamp is another by now.
        fence(Acquire);
        let is_whole = self.stamp.load(Relaxed) == stamp;
        let is_valid = len <= LEN as u64 && Record::Inside(len).units() == units;
        if !is_whole || !is_valid || bytes.capacity() < len as usize {
            return false;
        }
        let mut copy = [0; LEN];
        for (bytes, word) in copy.chunks_exact_mut(Position::UNIT).zip(words) {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
        bytes.clear();
        bytes.extend_from_slice(&copy[..len as usize]);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ring;

    const TAIL: Position = Position::new(7, 70);

    fn newest() -> Newest {
        let word = || AtomicU64::new(0);
        Newest { stamp: word(), len: word(), words: std::array::from_fn(|_| word()) }
    }

    fn copy(newest: &Newest, tail: Position, units: u32) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(LEN);
        newest.copy_to(&mut bytes, tail, units).then_some(bytes)
    }

    #[test]
    fn a_short_record_comes_back() {
        let newest = newest();
        for len in 0..=LEN {
            let bytes: Vec<u8> = (1..=len as u8).collect();
            let units = Record::Inside(len as u64).units();
            newest.set(TAIL, &bytes);
            assert_eq!(copy(&newest, TAIL, units), Some(bytes));
            assert_eq!(copy(&newest, TAIL, units + 1), None, "a record of another length");
            assert_eq!(copy(&newest, TAIL.advance(1, 1), units), None, "another record");
            let no_room = newest.copy_to(&mut Vec::new(), TAIL, units);
            assert_eq!(no_room, len == 0, "nothing is allocated");
        }
    }

    #[test]
    fn of_others_there_is_no_copy() {
        let newest = newest();
        newest.set(TAIL, &[1; 8]);
        newest.set(TAIL, &[7; LEN + 1]);
        assert_eq!(copy(&newest, TAIL, 2), None, "a long record");
        newest.set(TAIL, &[1; 8]);
        newest.clear();
        assert_eq!(copy(&newest, TAIL, 2), None, "many records at once");
        assert_eq!(copy(&newest, Position::default(), 1), None, "untouched memory");
    }

    #[test]
    fn a_length_that_a_peer_made_up_is_not_believed() {
        let newest = newest();
        newest.set(TAIL, &[1; 8]);
        for len in [LEN as u64 + 1, u64::MAX] {
            newest.len.store(len, Relaxed);
            assert_eq!(copy(&newest, TAIL, Record::Inside(len).units()), None);
        }
    }

    /// A producer was killed right before its commit, and the next one appends a record of the same length.
    #[test]
    fn what_was_not_committed_does_not_come() {
        let ring = Ring::builder().create().unwrap();
        let uncommitted = || {
            let tail = &ring.0.header().tail;
            tail.set_newest(tail.position().advance(1, 2), b"the dead");
        };
        let mut bytes = Vec::with_capacity(LEN);
        uncommitted();
        ring.push(b"survivor").unwrap();
        ring.pop(&mut bytes).unwrap();
        assert_eq!(bytes, b"survivor");
        uncommitted();
        ring.push_many([b"together".as_slice()]).unwrap();
        ring.pop(&mut bytes).unwrap();
        assert_eq!(bytes, b"together");
    }
}
