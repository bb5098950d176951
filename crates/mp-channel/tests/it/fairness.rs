//! No consumer starves, whichever of many takes the next record.

use std::{hint::black_box, sync::atomic::Ordering::Relaxed};

use mp_channel::{Ring, Segment};
use mp_testkit::{fork_child, isolated};

const CONSUMERS: usize = 8;
const COUNT: u64 = if cfg!(debug_assertions) { 80_000 } else { 1_000_000 };

/// About a microsecond. Without it a million records are gone before the scheduler has let everybody run once.
fn work() {
    let steps = if cfg!(debug_assertions) { 50 } else { 1500 };
    black_box((0..steps).fold(0_u64, |sum, n| black_box(sum ^ n)));
}

#[test]
fn eight_consumers_get_their_share() {
    isolated(|| {
        let ring = Ring::builder().items(1024).create().unwrap();
        let shares = Segment::create("shares", CONSUMERS * 128).unwrap();
        let share = |consumer: usize| shares.mapping().atomic_u64(consumer * 128).unwrap();
        let consumers = [0, 1, 2, 3, 4, 5, 6, 7].map(|consumer| {
            fork_child(|| {
                let mut record = Vec::new();
                while ring.pop(&mut record).is_ok() {
                    share(consumer).fetch_add(1, Relaxed);
                    work();
                }
                0
            })
        });
        for number in 0..COUNT {
            ring.push(&number.to_ne_bytes()).unwrap();
        }
        ring.close();
        assert!(consumers.map(|child| child.wait().success()).iter().all(|&ok| ok));
        let mut all: Vec<_> =
            (0..CONSUMERS).map(|consumer| share(consumer).load(Relaxed)).collect();
        all.sort_unstable();
        println!("shares of {COUNT} records: {all:?}");
        assert_eq!(all.iter().sum::<u64>(), COUNT);
        // The scheduler hands out the cores; nobody may be left with nothing to speak of.
        let fair = COUNT / CONSUMERS as u64;
        assert!(all[0] * 20 > fair, "one got {} where {fair} would be fair", all[0]);
    });
}
