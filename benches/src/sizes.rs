//! How long messages are.

use std::env;

/// Measures long messages as well, and all sizes everywhere.
const FULL: &str = "MP_BENCH_FULL";

/// Lengths of messages in bytes: up to 1 MiB, and up to 64 MiB where the variable `MP_BENCH_FULL` is set.
pub fn sizes() -> Vec<usize> {
    // 64 bytes cost what 8 do, whoever carries them.
    let (short, long): (&[_], &[_]) =
        if is_full() { (&[64], &[16 << 20, 64 << 20]) } else { (&[], &[]) };
    [&[8], short, &[1 << 10, 4 << 10, 64 << 10, 1 << 20], long].concat()
}

/// A short and a long one, for questions whose answer is mostly something else than the length; all of them where
/// `MP_BENCH_FULL` is set.
pub fn few_sizes() -> Vec<usize> {
    if is_full() { sizes() } else { vec![8, 64 << 10] }
}

fn is_full() -> bool {
    env::var_os(FULL).is_some()
}
