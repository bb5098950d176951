use std::fmt;

use crate::{position::Position, record::Record};

/// Records that [`Ring::pop_many`](crate::Ring::pop_many) took out together, in order, in private memory.
///
/// # Examples
///
/// ```
/// use mp_channel::{Batch, Ring};
///
/// let ring = Ring::builder().create()?;
/// ring.push_many([&b"one"[..], b"two", b"three"]).unwrap();
/// let mut batch = Batch::new();
/// assert_eq!(ring.pop_many(2, &mut batch).unwrap(), 2);
/// assert_eq!(batch.iter().collect::<Vec<_>>(), [b"one", b"two"]);
/// assert_eq!(ring.len(), 1);
/// # Ok::<(), mp_channel::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Batch {
    /// As in the ring: each record with its word before it, from a multiple of 8.
    pub(crate) bytes: Vec<u8>,
}

impl Batch {
    /// No records, and no memory yet.
    pub const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// The records, oldest first.
    pub fn iter(&self) -> BatchIter<'_> {
        BatchIter { rest: &self.bytes }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets the records and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = &'a [u8];
    type IntoIter = BatchIter<'a>;

    fn into_iter(self) -> BatchIter<'a> {
        self.iter()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

/// The records of a [`Batch`].
#[derive(Clone, Debug)]
pub struct BatchIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for BatchIter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let (word, rest) = self.rest.split_first_chunk::<{ Record::WORD }>()?;
        // A record whose word says otherwise was refused when it was in the ring; this is its private copy.
        let Some(Record::Inside(len)) = Record::from_bits(u64::from_ne_bytes(*word)) else {
            return None;
        };
        let len = usize::try_from(len).ok()?;
        let (record, _) = rest.split_at_checked(len)?;
        self.rest = rest.get(len.next_multiple_of(Position::UNIT)..).unwrap_or(&[]);
        Some(record)
    }
}
