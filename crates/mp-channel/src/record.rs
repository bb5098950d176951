//! The word before each record: what follows, and how long it is.

use crate::position::Position;

/// What a record's word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// So many bytes follow.
    Inside(u64),
    /// A place outside the ring follows, as two words. This one has the length of all parts but the last one besides.
    Outside,
}

const INSIDE: u64 = 1 << 56;
const OUTSIDE: u64 = 2 << 56;
const KIND: u64 = 0xff << 56;

impl Record {
    /// The length of the word, and of each word of a place.
    pub(crate) const WORD: usize = 8;

    #[inline]
    pub(crate) fn to_bits(self) -> u64 {
        match self {
            Self::Inside(len) => INSIDE | len & !KIND,
            Self::Outside => OUTSIDE,
        }
    }

    /// The word of a record outside, of which all parts but the last one have so many bytes.
    pub(crate) fn outside_bits(head_len: u64) -> u64 {
        OUTSIDE | head_len & !KIND
    }

    /// What the word of a record outside says of its parts.
    pub(crate) fn head_len(bits: u64) -> u64 {
        bits & !KIND
    }

    /// `None` for a word that no push writes.
    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        match bits & KIND {
            INSIDE => Some(Self::Inside(bits & !KIND)),
            OUTSIDE => Some(Self::Outside),
            _ => None,
        }
    }

    /// The length of word and contents in units of the ring; at most the largest `u32` for one that no ring can hold.
    #[inline]
    pub(crate) fn units(self) -> u32 {
        match self {
            Self::Inside(len) => {
                u32::try_from(1 + len.div_ceil(Position::UNIT as u64)).unwrap_or(u32::MAX)
            }
            Self::Outside => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_what_was_meant() {
        for record in [Record::Inside(0), Record::Inside(8), Record::Inside(9), Record::Outside] {
            assert_eq!(Record::from_bits(record.to_bits()), Some(record));
        }
        let outside = Record::outside_bits(77);
        assert_eq!(Record::from_bits(outside), Some(Record::Outside));
        assert_eq!(Record::head_len(outside), 77);
        assert_eq!(Record::from_bits(0), None, "untouched memory is no record");
        assert_eq!(Record::Inside(0).units(), 1);
        assert_eq!(Record::Inside(8).units(), 2);
        assert_eq!(Record::Inside(9).units(), 3);
        assert_eq!(Record::Inside(!KIND).units(), u32::MAX);
    }
}
