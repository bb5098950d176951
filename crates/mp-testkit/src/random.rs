/// Numbers that look random and are the same each time, after Marsaglia's xorshift.
///
/// # Examples
///
/// ```
/// use mp_testkit::Random;
///
/// let (mut one, mut other) = (Random::new(7), Random::new(7));
/// assert_eq!(one.number(), other.number());
/// assert!(one.below(10) < 10);
/// ```
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Those of this seed.
    pub fn new(seed: u64) -> Self {
        // It may not be zero; and neighbours are to begin far from each other.
        Self((seed | 1 << 63).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next one.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One that is less than `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        (self.number() >> 11) % bound
    }

    /// What belongs to `number` alone, the same for the same seed.
    pub fn fork(&mut self, number: u64) -> Self {
        Self::new(self.number() ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A word of a kind that does harm where it is read as a number or a length: zero, small, huge, a power of two, or any.
    pub fn harm(&mut self) -> u64 {
        let number = self.number();
        match self.below(6) {
            0 => 0,
            1 => number >> 58,
            2 => u64::MAX - (number >> 58),
            3 => 1 << (number >> 58),
            4 => number >> 32,
            _ => number,
        }
    }

    /// Lets others run, or time pass, or neither.
    pub fn dawdle(&mut self) {
        match self.below(4) {
            0 => std::thread::yield_now(),
            1 => (0..self.below(2000)).for_each(|_| std::hint::spin_loop()),
            _ => {}
        }
    }
}
