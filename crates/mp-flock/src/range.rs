use std::{
    fmt,
    ops::{Bound, RangeBounds},
};

use crate::{Error, Result};

/// Which bytes of a file: from the first one, to the last one or to wherever the file may ever end.
///
/// Made from a Rust range of byte numbers. They need not exist: a lock says nothing about the file's length.
///
/// # Examples
///
/// ```
/// use mp_flock::ByteRange;
///
/// assert_eq!(ByteRange::new(4..8)?.to_string(), "bytes 4 to 7");
/// assert_eq!(ByteRange::new(..)?, ByteRange::WHOLE_FILE);
/// assert!(ByteRange::new(4..4).is_err(), "to the kernel a length of zero means everything");
/// # Ok::<(), mp_flock::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteRange {
    start: u64,
    /// The last byte; `None` without end.
    last: Option<u64>,
}

impl ByteRange {
    /// Every byte, also those to come.
    pub const WHOLE_FILE: Self = Self { start: 0, last: None };

    /// The bytes of `range`.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where it is empty or goes beyond 2^63 - 1, the last byte that a file
    /// can have.
    pub fn new(range: impl RangeBounds<u64>) -> Result<Self> {
        let start = match range.start_bound() {
            Bound::Included(&start) => Some(start),
            Bound::Excluded(&before) => before.checked_add(1),
            Bound::Unbounded => Some(0),
        };
        let last = match range.end_bound() {
            Bound::Included(&last) => Some(Some(last)),
            Bound::Excluded(&end) => end.checked_sub(1).map(Some),
            Bound::Unbounded => Some(None),
        };
        match (start, last) {
            (Some(start), Some(last)) => {
                Self { start, last }.checked().ok_or((Some(start), Some(last)))
            }
            bounds => Err(bounds),
        }
        .map_err(|(start, last)| {
            let end = last.flatten().map_or(String::new(), |last| last.to_string());
            let object = format!("the byte range {}..={end}", start.unwrap_or(u64::MAX));
            Error::invalid_input("use", object, "it is empty or ends beyond byte 2^63 - 1")
        })
    }

    /// Itself, where the kernel can express it.
    fn checked(self) -> Option<Self> {
        let limit = i64::MAX.unsigned_abs();
        let in_order = self.last.is_none_or(|last| (self.start..=limit).contains(&last));
        (in_order && self.start <= limit).then_some(self)
    }

    /// From `l_start` and `l_len`, or the two numbers of `/proc/locks`.
    pub(crate) fn from_first_and_last(start: u64, last: Option<u64>) -> Self {
        // The kernel's own "without end" is the last byte that can be.
        Self { start, last: last.filter(|&last| last < i64::MAX.unsigned_abs()) }
    }

    /// The first byte.
    pub const fn start(self) -> u64 {
        self.start
    }

    /// The last byte; `None` where it goes on without end.
    pub const fn last(self) -> Option<u64> {
        self.last
    }

    /// Whether both have a byte in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.last.is_none_or(|last| other.start <= last)
            && other.last.is_none_or(|last| self.start <= last)
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { start: 0, last: None } => f.write_str("all bytes"),
            Self { start, last: None } => write!(f, "bytes {start} and on"),
            Self { start, last: Some(last) } => write!(f, "bytes {start} to {last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_cannot_express_is_refused() {
        #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
        let reversed = ByteRange::new(9..3);
        let limit = i64::MAX.unsigned_abs();
        for bad in [
            ByteRange::new(0..0),
            ByteRange::new(5..5),
            reversed,
            ByteRange::new(..=u64::MAX),
            ByteRange::new(limit + 1..),
            ByteRange::new((Bound::Excluded(u64::MAX), Bound::Unbounded)),
        ] {
            assert_eq!(bad.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
        }
        assert_eq!(ByteRange::new(limit..=limit).unwrap().start(), limit);
    }

    #[test]
    fn overlap() {
        let range = |start, end| ByteRange::new(start..end).unwrap();
        assert!(range(0, 5).overlaps(range(4, 6)) && !range(0, 5).overlaps(range(5, 6)));
        assert!(ByteRange::WHOLE_FILE.overlaps(range(9, 10)));
        assert!(!ByteRange::new(10..).unwrap().overlaps(range(9, 10)));
    }
}
