use std::{mem, time::Duration};

use criterion::{Bencher, measurement::WallTime};

/// What criterion measures, by `round`, which does it so many times and says how long that took.
///
/// A first round is not measured: whatever has to be started, a peer or an interpreter, starts in it. Criterion would take that
/// for the time of one iteration, and measure the others one by one.
pub fn in_rounds(mut round: impl FnMut(u64) -> Duration) -> impl FnMut(&mut Bencher<'_, WallTime>) {
    let mut is_first = true;
    move |bencher| {
        if mem::take(&mut is_first) {
            round(1);
        }
        bencher.iter_custom(&mut round);
    }
}
