//! Which parts of the window the records in flight lie in.

use std::ops::Range;

use super::Place;
use crate::window::WINDOW;

/// Places in the window begin at multiples: as short as keeps the bits few, and copies aligned.
const BLOCK: u64 = 8 << 10;

const BLOCKS: usize = (WINDOW / BLOCK) as usize;
const BITS: usize = u64::BITS as usize;

/// The records that were pushed and not popped, as far as they lie outside the ring.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    /// A bit for each block of the window, set where a record lies in it.
    taken: [u64; BLOCKS / BITS],
    any: bool,
}

impl InFlight {
    pub(crate) fn is_empty(&self) -> bool {
        !self.any
    }

    /// Takes note of a record's place, which must be [valid](super::Outside::is_valid).
    pub(crate) fn add(&mut self, place: Place) {
        self.any = true;
        if place.offset < WINDOW {
            let end = place.offset + place.len;
            let blocks = (place.offset / BLOCK) as usize..end.div_ceil(BLOCK) as usize;
            words(blocks).for_each(|(word, bits)| self.taken[word] |= bits);
        }
    }

    /// Where the first `len` bytes in a row are that no record lies in.
    pub(super) fn first_gap(&self, len: u64) -> Option<u64> {
        let count = len.div_ceil(BLOCK) as usize;
        let mut start = 0;
        while start + count <= BLOCKS {
            match self.last_taken(start..start + count) {
                None => return Some(start as u64 * BLOCK),
                Some(taken) => start = taken + 1,
            }
        }
        None
    }

    fn last_taken(&self, blocks: Range<usize>) -> Option<usize> {
        let taken = words(blocks).map(|(word, bits)| (word, self.taken[word] & bits));
        let last = taken.filter(|&(_, bits)| bits != 0).last();
        last.map(|(word, bits)| word * BITS + bits.ilog2() as usize)
    }
}

/// The words that have the bits of `blocks`, each with those bits.
fn words(Range { start, end }: Range<usize>) -> impl Iterator<Item = (usize, u64)> {
    (start / BITS..end.div_ceil(BITS)).map(move |word| {
        let before = start.saturating_sub(word * BITS);
        let after = BITS.saturating_sub(end - word * BITS);
        (word, (u64::MAX << before) & (u64::MAX >> after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_flight(places: &[(u64, u64)]) -> InFlight {
        let mut in_flight = InFlight::default();
        places.iter().for_each(|&(offset, len)| in_flight.add(Place { offset, len }));
        in_flight
    }

    #[test]
    fn the_first_gap_that_is_long_enough_is_taken() {
        assert_eq!(in_flight(&[]).first_gap(WINDOW), Some(0));
        assert_eq!(in_flight(&[(0, 1)]).first_gap(WINDOW), None);
        assert_eq!(in_flight(&[(0, 1)]).first_gap(WINDOW - BLOCK), Some(BLOCK));
        let gaps = in_flight(&[(0, BLOCK + 1), (3 * BLOCK, BLOCK), (9 * BLOCK, 100 * BLOCK)]);
        assert_eq!(gaps.first_gap(1), Some(2 * BLOCK));
        assert_eq!(gaps.first_gap(BLOCK + 1), Some(4 * BLOCK));
        assert_eq!(gaps.first_gap(5 * BLOCK), Some(4 * BLOCK));
        assert_eq!(gaps.first_gap(5 * BLOCK + 1), Some(109 * BLOCK));
    }

    #[test]
    fn no_gap_overlaps_a_record() {
        for (offset, len) in [(0, 64), (63, 1), (63, 2), (64, 64), (1, 127), (2040, 8)] {
            let taken = in_flight(&[(offset * BLOCK, len * BLOCK)]);
            for count in 1..=BLOCKS as u64 {
                let expected = match () {
                    () if count <= offset => Some(0),
                    () if offset + len + count <= BLOCKS as u64 => Some((offset + len) * BLOCK),
                    () => None,
                };
                assert_eq!(taken.first_gap(count * BLOCK), expected, "{offset} {len} {count}");
            }
        }
    }

    #[test]
    fn what_lies_elsewhere_takes_no_block() {
        let elsewhere = in_flight(&[(WINDOW, WINDOW)]);
        assert!(!elsewhere.is_empty() && in_flight(&[]).is_empty());
        assert_eq!(elsewhere.first_gap(WINDOW), Some(0));
    }
}
