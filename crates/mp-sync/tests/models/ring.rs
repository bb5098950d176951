//! The steps of the ring of `mp-channel`, in their order: a lock and a commit word on each side, and two doorbells.

use loom::{cell::UnsafeCell, sync::Arc, thread};
use mp_os::Deadline;

use crate::{
    Doorbell, LeafLock,
    atomic::{
        AtomicU32,
        Ordering::{Acquire, Relaxed, Release},
    },
    explore, made,
    robust::enter,
};

/// A ring with room for one item, the least and hardest.
struct Ring {
    head: Side,
    tail: Side,
    item: UnsafeCell<u32>,
}

struct Side {
    lock: LeafLock,
    position: AtomicU32,
    /// Of those who wait for this side to move.
    moved: Doorbell,
}

impl Side {
    fn new() -> Self {
        Self {
            lock: made(LeafLock::new()),
            position: made(AtomicU32::new(0)),
            moved: made(Doorbell::new()),
        }
    }

    /// Has `change` done under the lock of this side once the number of items is `count`, and moves it on by one.
    fn advance<T>(&self, other: &Self, count: u32, change: impl Fn() -> T) -> T {
        let items = |own: u32| own.abs_diff(other.position.load(Acquire));
        let attempt = || {
            let guard = self.lock.lock().expect("no system call fails here");
            let own = self.position.load(Relaxed);
            if items(own) != count {
                return None;
            }
            let value = change();
            self.position.store(own + 1, Release);
            drop(guard);
            self.moved.ring();
            Some(value)
        };
        let value = other.moved.wait_for(Deadline::never(), attempt);
        value.expect("no system call fails here").expect("without a deadline it waits")
    }
}

impl Ring {
    fn new() -> Arc<Self> {
        Arc::new(Self { head: Side::new(), tail: Side::new(), item: UnsafeCell::new(0) })
    }

    #[expect(unsafe_code, reason = "loom checks each access")]
    fn push(&self, value: u32) {
        self.tail.advance(&self.head, 0, || {
            // SAFETY: no consumer is at it, as loom makes sure.
            self.item.with_mut(|item| unsafe { *item = value });
        });
    }

    #[expect(unsafe_code, reason = "loom checks each access")]
    fn pop(&self) -> u32 {
        self.head.advance(&self.tail, 1, || {
            // SAFETY: no producer is at it, as loom makes sure.
            self.item.with(|item| unsafe { *item })
        })
    }
}

/// Runs `body` as thread `tid`.
fn start<T: 'static>(
    ring: &Arc<Ring>,
    tid: u32,
    body: impl FnOnce(&Ring) -> T + 'static,
) -> thread::JoinHandle<T> {
    let ring = Arc::clone(ring);
    thread::spawn(move || {
        enter(tid);
        body(&ring)
    })
}

#[test]
fn items_arrive_in_order_and_nobody_sleeps_for_ever() {
    explore(3, || {
        let ring = Ring::new();
        enter(1);
        let producer = start(&ring, 2, |ring| (1..=3).for_each(|value| ring.push(value)));
        let items = [ring.pop(), ring.pop(), ring.pop()];
        producer.join().expect("it pushes");
        assert_eq!(items, [1, 2, 3]);
    });
}

#[test]
fn two_producers() {
    explore(2, || {
        let ring = Ring::new();
        enter(1);
        let producers = [2, 3].map(|tid| start(&ring, tid, move |ring| ring.push(tid)));
        let mut items = [ring.pop(), ring.pop()];
        items.sort_unstable();
        producers.into_iter().for_each(|producer| producer.join().expect("it pushes"));
        assert_eq!(items, [2, 3]);
    });
}

#[test]
fn two_consumers() {
    explore(2, || {
        let ring = Ring::new();
        enter(1);
        let consumers = [2, 3].map(|tid| start(&ring, tid, |ring| ring.pop()));
        ring.push(1);
        ring.push(2);
        let mut items = consumers.map(|consumer| consumer.join().expect("it pops"));
        items.sort_unstable();
        assert_eq!(items, [1, 2]);
    });
}
