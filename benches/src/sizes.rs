//! How long messages are.

use std::env;

use criterion::Throughput;

use crate::Group;

/// Measures long messages as well, and all sizes everywhere.
const FULL: &str = "MP_BENCH_FULL";

/// How many samples criterion takes, unless it is told otherwise.
pub(crate) const SAMPLES: usize = 30;

/// With fewer it refuses to work.
const FEWEST_SAMPLES: usize = 10;

/// The longest message in bytes of a run that is not full.
const LONGEST: usize = 1 << 20;

/// Lengths of messages in bytes: up to 1 MiB, and up to 64 MiB where the variable `MP_BENCH_FULL` is set.
pub fn sizes() -> Vec<usize> {
    // 64 bytes cost what 8 do, whoever carries them.
    let (short, long): (&[_], &[_]) =
        if is_full() { (&[64], &[16 << 20, 64 << 20]) } else { (&[], &[]) };
    [&[8], short, &[1 << 10, 4 << 10, 64 << 10, LONGEST], long].concat()
}

/// A short and a long one, for questions whose answer is mostly something else than the length; all of them where
/// `MP_BENCH_FULL` is set.
pub fn few_sizes() -> Vec<usize> {
    if is_full() { sizes() } else { vec![8, 64 << 10] }
}

/// Tells the group that its next functions move messages of `len` bytes so many `ways`: once, or there and back.
///
/// Messages that only a full run has take long enough that criterion's fewest samples, one message each, say as much.
pub fn moves(group: &mut Group<'_>, ways: usize, len: usize) {
    group.throughput(Throughput::Bytes((ways * len) as u64));
    if is_full() {
        group.sample_size(if len > LONGEST { FEWEST_SAMPLES } else { SAMPLES });
    }
}

fn is_full() -> bool {
    env::var_os(FULL).is_some()
}
