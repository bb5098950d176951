//! The doorbell.

use loom::{sync::Arc, thread};
use mp_os::Deadline;

use crate::{
    Doorbell,
    atomic::{
        AtomicU32,
        Ordering::{Acquire, Relaxed, Release},
    },
    explore, made,
};

struct Condition {
    bell: Doorbell,
    left: AtomicU32,
}

impl Condition {
    fn new() -> Arc<Self> {
        Arc::new(Self { bell: made(Doorbell::new()), left: made(AtomicU32::new(0)) })
    }

    /// Takes one, when there is one. Who leaves some rings for the next.
    fn take(&self) {
        let attempt = || {
            let take = |left: u32| left.checked_sub(1);
            self.left.fetch_update(Acquire, Relaxed, take).ok()
        };
        let left = self.bell.wait_for(Deadline::never(), attempt).expect("no system call fails");
        if left.expect("without a deadline it waits") > 1 {
            self.bell.ring();
        }
    }

    fn give(&self, count: u32) {
        let _ = self.left.fetch_update(Release, Relaxed, |left| Some(left + count));
        self.bell.ring();
    }
}

#[test]
fn no_ring_is_lost() {
    explore(5, || {
        let condition = Condition::new();
        let other = Arc::clone(&condition);
        let sleeper = thread::spawn(move || other.take());
        condition.give(1);
        sleeper.join().expect("it wakes");
    });
}

#[test]
fn two_sleepers_are_woken_by_one_ring_for_both() {
    explore(3, || {
        let condition = Condition::new();
        let sleepers = [(), ()].map(|()| {
            let other = Arc::clone(&condition);
            thread::spawn(move || other.take())
        });
        condition.give(2);
        sleepers.into_iter().for_each(|sleeper| sleeper.join().expect("it wakes"));
    });
}

#[test]
fn all_are_woken_at_once() {
    explore(3, || {
        let condition = Condition::new();
        let sleepers = [(), ()].map(|()| {
            let other = Arc::clone(&condition);
            thread::spawn(move || {
                let set = || (other.left.load(Acquire) != 0).then_some(());
                other.bell.wait_for(Deadline::never(), set).expect("no system call fails");
            })
        });
        condition.left.store(1, Release);
        condition.bell.ring_all();
        sleepers.into_iter().for_each(|sleeper| sleeper.join().expect("it wakes"));
    });
}
