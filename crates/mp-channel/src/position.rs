//! Where a side of the ring is.

/// How many records and how many units of 8 bytes have passed since the ring was made, both wrapping: one word, so that
/// one store commits both and `len` is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) items: u32,
    pub(crate) units: u32,
}

impl Position {
    /// The unit of positions in bytes; every record begins at a multiple.
    pub(crate) const UNIT: usize = 8;
    /// The most records and the most units of a ring, so that a distance is never ambiguous.
    pub(crate) const MAX: u32 = 1 << 31;

    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self { items: (bits >> 32) as u32, units: bits as u32 }
    }

    #[inline]
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.items) << 32 | u64::from(self.units)
    }

    /// The position `items` records and `units` units further on.
    #[inline]
    pub(crate) fn advance(self, items: u32, units: u32) -> Self {
        Self { items: self.items.wrapping_add(items), units: self.units.wrapping_add(units) }
    }

    /// How far this is beyond `earlier`.
    #[inline]
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            items: self.items.wrapping_sub(earlier.items),
            units: self.units.wrapping_sub(earlier.units),
        }
    }

    pub(crate) fn valid_items(items: u32) -> bool {
        (1..=Self::MAX).contains(&items)
    }

    pub(crate) fn valid_bytes(bytes: usize) -> bool {
        bytes.is_power_of_two() && (64..=Self::MAX as usize * Self::UNIT).contains(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_counters_wrap_alone() {
        let last = Position { items: u32::MAX, units: u32::MAX - 1 };
        assert_eq!(Position::from_bits(last.to_bits()), last);
        let next = last.advance(1, 3);
        assert_eq!(next, Position { items: 0, units: 1 });
        assert_eq!(next.since(last), Position { items: 1, units: 3 });
    }
}
