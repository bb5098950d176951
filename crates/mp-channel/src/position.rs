//! Where a side of the ring is.

use std::fmt;

/// How many records and how many units of 8 bytes have passed since the ring was made, both wrapping: one word, so that
/// one store commits both and `len` is exact.
///
/// One word here too, not two numbers: whatever hands those on in memory writes two pieces and reads one, and a processor
/// waits for that as long as for the lock.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position(u64);

impl Position {
    /// The unit of positions in bytes; every record begins at a multiple.
    pub(crate) const UNIT: usize = 8;
    /// The most records and the most units of a ring, so that a distance is never ambiguous.
    pub(crate) const MAX: u32 = 1 << 31;

    #[inline(always)]
    pub(crate) const fn new(items: u32, units: u32) -> Self {
        Self((items as u64) << 32 | units as u64)
    }

    #[inline(always)]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline(always)]
    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    #[inline(always)]
    pub(crate) const fn items(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline(always)]
    pub(crate) const fn units(self) -> u32 {
        self.0 as u32
    }

    /// The position `items` records and `units` units further on.
    #[inline(always)]
    pub(crate) const fn advance(self, items: u32, units: u32) -> Self {
        Self::new(self.items().wrapping_add(items), self.units().wrapping_add(units))
    }

    /// How far this is beyond `earlier`.
    #[inline(always)]
    pub(crate) const fn since(self, earlier: Self) -> Self {
        Self::new(
            self.items().wrapping_sub(earlier.items()),
            self.units().wrapping_sub(earlier.units()),
        )
    }

    pub(crate) fn valid_items(items: u32) -> bool {
        (1..=Self::MAX).contains(&items)
    }

    pub(crate) fn valid_bytes(bytes: usize) -> bool {
        bytes.is_power_of_two() && (64..=Self::MAX as usize * Self::UNIT).contains(&bytes)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} items, {} units", self.items(), self.units())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_counters_wrap_alone() {
        let last = Position::new(u32::MAX, u32::MAX - 1);
        assert_eq!(Position::from_bits(last.to_bits()), last);
        let next = last.advance(1, 3);
        assert_eq!(next, Position::new(0, 1));
        assert_eq!(next.since(last), Position::new(1, 3));
    }
}
