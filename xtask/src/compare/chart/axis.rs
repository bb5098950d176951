//! A logarithmic axis.

/// Maps `low..=high` to `from..=to`, which are places in the picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Log {
    /// An axis for exactly these numbers.
    pub(crate) fn new((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        // A single number stands in the middle.
        let (low, high) = if low < high { (low, high) } else { (low / 2.0, low * 2.0) };
        Self { low, high, from, to }
    }

    /// An axis from a tick to a tick, so that all numbers are between two of them.
    pub(crate) fn around(numbers: impl Iterator<Item = f64>, place: (f64, f64)) -> Self {
        let (low, high) = range(numbers);
        Self::new((round_down(low), round_up(high)), place)
    }

    pub(crate) fn at(&self, number: f64) -> f64 {
        let part = (number / self.low).ln() / (self.high / self.low).ln();
        self.from + part * (self.to - self.from)
    }

    /// The powers of ten, and what is twice and five times as much where there are few of them.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        let factors: &[f64] = if self.high / self.low > 500.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let decades = exponent(self.low)..=exponent(self.high);
        let all = decades
            .flat_map(|decade| factors.iter().map(move |factor| factor * 10_f64.powi(decade)));
        // Rounding must not lose the ends.
        all.filter(|tick| (self.low * 0.999..=self.high * 1.001).contains(tick)).collect()
    }
}

/// The smallest and the largest.
fn range(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    let widen = |(low, high): (f64, f64), number: f64| (low.min(number), high.max(number));
    let (low, high) = numbers.filter(|number| *number > 0.0).fold((f64::INFINITY, 0.0), widen);
    if low > high { (1.0, 10.0) } else { (low, high) }
}

fn exponent(number: f64) -> i32 {
    (number.log10() + 1e-9).floor() as i32
}

/// The largest of 1, 2, 5, 10, ... that is not above.
fn round_down(number: f64) -> f64 {
    let decade = 10_f64.powi(exponent(number));
    let factors = [5.0, 2.0, 1.0];
    factors
        .map(|factor| factor * decade)
        .into_iter()
        .find(|tick| *tick <= number * 1.001)
        .unwrap_or(decade)
}

/// The smallest of 1, 2, 5, 10, ... that is not below.
fn round_up(number: f64) -> f64 {
    let decade = 10_f64.powi(exponent(number));
    let factors = [1.0, 2.0, 5.0, 10.0];
    factors
        .map(|factor| factor * decade)
        .into_iter()
        .find(|tick| *tick >= number * 0.999)
        .unwrap_or(decade * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_decade_is_as_long() {
        let axis = Log::new((1.0, 1000.0), (100.0, 400.0));
        for (number, place) in [(1.0, 100.0), (10.0, 200.0), (100.0, 300.0), (1000.0, 400.0)] {
            assert!((axis.at(number) - place).abs() < 1e-9, "{number}");
        }
        // Pictures have their origin at the top.
        let axis = Log::new((1.0, 100.0), (300.0, 100.0));
        assert!((axis.at(10.0) - 200.0).abs() < 1e-9);
        assert!((Log::new((8.0, 8.0), (0.0, 10.0)).at(8.0) - 5.0).abs() < 1e-9);
    }

    #[test]
    fn ticks_are_round() {
        let ticks = |low, high| Log::around([low, high].into_iter(), (0.0, 1.0)).ticks();
        assert_eq!(ticks(130.0, 1700.0), [100.0, 200.0, 500.0, 1000.0, 2000.0]);
        assert_eq!(ticks(1.0, 10.0), [1.0, 2.0, 5.0, 10.0]);
        assert_eq!(ticks(3.0, 90_000.0), [10.0, 100.0, 1000.0, 10_000.0, 100_000.0]);
        assert_eq!(Log::around(std::iter::empty(), (0.0, 1.0)).ticks(), [1.0, 2.0, 5.0, 10.0]);
    }
}
