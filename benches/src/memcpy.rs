use std::hint::black_box;

use criterion::BenchmarkId;

use crate::{Group, moves, sizes};

/// One copy of messages of all [`sizes`], between private buffers that are in the cache, if it is large enough.
pub fn memcpy(group: &mut Group<'_>) {
    for len in sizes() {
        let (from, mut to) = (vec![1_u8; len], vec![0_u8; len]);
        moves(group, 1, len);
        group.bench_function(BenchmarkId::new("memcpy", len), |bencher| {
            bencher.iter(|| black_box(&mut to[..]).copy_from_slice(black_box(&from)));
        });
    }
}
