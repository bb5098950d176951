//! Numbers that look random and are the same each time.

/// After Marsaglia's xorshift; the seed is not zero.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }

    /// What belongs to this number alone: the same for the same seed.
    pub(crate) fn fork(&mut self, number: u64) -> Self {
        Self((self.next() ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1)
    }

    /// Lets others run, or time pass, or neither.
    pub(crate) fn dawdle(&mut self) {
        match self.below(4) {
            0 => std::thread::yield_now(),
            1 => (0..self.below(2000)).for_each(|_| std::hint::spin_loop()),
            _ => {}
        }
    }
}
