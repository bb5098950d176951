//! No consumer starves, whichever of many takes the next record.
//!
//! Who finds a record first takes it; there is no order among consumers that are awake, for that would be a lock handed from
//! one process to another, each of which might be stopped. What is promised: who sleeps is woken in turn, and consumers that
//! have something to do with their records, a microsecond each, all get a share. Where they have nothing to do, a million records
//! are gone before the scheduler has let everybody run once.

use std::{array, hint::black_box, sync::atomic::Ordering::Relaxed, time::Duration};

use mp_channel::{Ring, Segment};
use mp_testkit::{Child, Gate, fork_child, isolated_for, wait_asleep};

const CONSUMERS: usize = 8;
const COUNT: u64 = if cfg!(debug_assertions) { 80_000 } else { 1_000_000 };

/// How often the records may be too few for a consumer that was late.
const PATIENCE: u32 = 50;

/// A machine may have much else to do.
const LIMIT: Duration = Duration::from_secs(600);

/// About a microsecond.
fn work() {
    let steps = if cfg!(debug_assertions) { 50 } else { 1500 };
    black_box((0..steps).fold(0_u64, |sum, n| black_box(sum ^ n)));
}

/// Consumers that count what they get.
struct Crew {
    ring: Ring,
    shares: Segment,
    children: [Child; CONSUMERS],
}

impl Crew {
    /// All of them have begun to consume, so that none is late by as long as it takes to start a process.
    fn start(work: fn()) -> Self {
        let ring = Ring::builder().items(1024).create().unwrap();
        let shares = Segment::create("shares", CONSUMERS * 128).unwrap();
        let children = array::from_fn(|consumer| {
            let started = Gate::new();
            let child = fork_child(|| {
                let (mut record, share) = (Vec::new(), shares.mapping().atomic_u64(consumer * 128));
                started.open();
                while ring.pop(&mut record).is_ok() {
                    share.unwrap().fetch_add(1, Relaxed);
                    work();
                }
                0
            });
            child.wait_at(&started);
            child
        });
        Self { ring, shares, children }
    }

    /// What each has got so far, the least first.
    fn shares(&self) -> [u64; CONSUMERS] {
        sorted(&self.shares)
    }

    /// What each has got, the least first.
    fn finish(self) -> [u64; CONSUMERS] {
        self.ring.close();
        self.children.into_iter().for_each(|child| assert!(child.wait().success()));
        sorted(&self.shares)
    }
}

fn sorted(shares: &Segment) -> [u64; CONSUMERS] {
    let share = |consumer| shares.mapping().atomic_u64(consumer * 128).unwrap();
    let mut all = array::from_fn(|consumer| share(consumer).load(Relaxed));
    all.sort_unstable();
    all
}

#[test]
fn eight_consumers_get_their_share() {
    isolated_for(LIMIT, || {
        let crew = Crew::start(work);
        // Nobody may be left with nothing to speak of. The scheduler hands out the cores, and where there is much else to do it
        // may forget one of the eight for as long as this takes: who starves does so for ever.
        let least = COUNT / CONSUMERS as u64 / 20;
        let mut pushed = 0;
        for _ in 0..PATIENCE {
            for number in pushed..pushed + COUNT {
                crew.ring.push(&number.to_ne_bytes()).unwrap();
            }
            pushed += COUNT;
            if crew.shares()[0] > least {
                break;
            }
        }
        let all = crew.finish();
        println!("shares of {pushed} records: {all:?}");
        assert_eq!(all.iter().sum::<u64>(), pushed);
        assert!(all[0] > least, "one got {} of {pushed}", all[0]);
    });
}

/// Each record comes when all are asleep: whoever has slept longest is woken, but for those whose slice ends just then.
#[test]
fn sleepers_are_woken_in_turn() {
    isolated_for(LIMIT, || {
        let (crew, count) = (Crew::start(|| {}), 160_u64);
        for number in 0..count {
            while !crew.ring.is_empty() {
                std::thread::yield_now();
            }
            crew.children.iter().for_each(|child| wait_asleep(child.id(), child.id()));
            crew.ring.push(&number.to_ne_bytes()).unwrap();
        }
        let all = crew.finish();
        println!("shares of {count} records: {all:?}");
        assert_eq!(all.iter().sum::<u64>(), count);
        assert!(all[0] > 0, "one was passed over {count} times");
    });
}
