use std::time::{Duration, SystemTime};

use criterion::Criterion;

use crate::{Ratio, ratio, sizes::SAMPLES};

/// Runs `groups`, then prints the `ratios` of what was measured.
pub fn run(groups: &[fn(&mut Criterion)], ratios: &[Ratio]) {
    let start = SystemTime::now();
    // Many short samples rather than few long ones: their median forgets those in which somebody else had the core.
    let mut criterion = Criterion::default()
        .output_directory(&ratio::output())
        .sample_size(SAMPLES)
        .nresamples(10_000)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(300))
        .configure_from_args();
    for group in groups {
        group(&mut criterion);
    }
    criterion.final_summary();
    for line in ratios.iter().filter_map(|ratio| ratio.line(start)) {
        println!("{line}");
    }
}
