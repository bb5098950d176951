//! Whoever is killed, whenever: the others go on, and nothing that was committed is lost, torn or doubled.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use mp_channel::{PopError, PopTimeoutError, PushTimeoutError, Ring, TryPopError, TryPushError};
use mp_sync::LeafLock;
use mp_testkit::{Child, Gate, fork_child, isolated, wait_for_kill};
use nix::libc;

use crate::accounting::{Ledger, check, len, record};

/// A producer that announces on `acks` what it has pushed is killed again and again.
#[test]
fn killed_producers() {
    isolated(|| {
        let ring = Ring::builder().items(40).bytes(4096).create().unwrap();
        let mut popped = Vec::new();
        let mut total = 0;
        for producer in 0..60 {
            let started = Gate::new();
            let child = fork_child(|| {
                started.open();
                for number in 0.. {
                    ring.push(&record(producer, number, len(number))).unwrap();
                }
                0
            });
            child.wait_at(&started);
            let mut ledger = Ledger::default();
            for _ in 0..producer * 7 {
                ring.pop(&mut popped).unwrap();
                ledger.add(&popped);
            }
            child.kill();
            // What is left was committed; nothing after it comes.
            while ring.pop_timeout(&mut popped, Duration::ZERO).is_ok() {
                ledger.add(&popped);
            }
            let count = ledger.0.get(&producer).map_or(0, |numbers| numbers.len() as u64);
            ledger.assert_complete(&[(producer, count)]);
            total += count;
        }
        assert!(total >= 60 * 59 / 2 * 7);
        ring.push(b"still works").unwrap();
    });
}

/// Consumers are killed; each loses at most the record that it had in its hands.
#[test]
fn killed_consumers() {
    isolated(|| {
        let ring = Ring::builder().items(40).bytes(4096).create().unwrap();
        let results = Ring::builder().items(10_000).bytes(4 << 20).create().unwrap();
        let mut number = 0;
        let kills = 60;
        for round in 0..kills {
            let started = Gate::new();
            let child = fork_child(|| {
                let mut popped = Vec::new();
                started.open();
                loop {
                    ring.pop(&mut popped).unwrap();
                    results.push(&popped).unwrap();
                }
            });
            child.wait_at(&started);
            for _ in 0..round * 3 {
                ring.push(&record(0, number, len(number))).unwrap();
                number += 1;
            }
            child.kill();
        }
        let (mut seen, mut popped) = (Vec::new(), Vec::new());
        for queue in [&results, &ring] {
            while queue.pop_timeout(&mut popped, Duration::ZERO).is_ok() {
                seen.push(check(&popped).1);
            }
        }
        assert!(seen.is_sorted_by(|a, b| a < b), "in order, none twice");
        let lost = number - seen.len() as u64;
        assert!(lost <= kills, "{lost} records lost by {kills} kills");
    });
}

/// Of two sleepers one is woken, which is stopped and then killed: the other takes the record.
#[test]
fn woken_consumer_dies() {
    isolated(|| {
        let ring = Ring::builder().items(4).create().unwrap();
        let ready = Gate::new();
        let consumer = || {
            fork_child(|| {
                ready.open();
                i32::from(ring.pop(&mut Vec::new()).is_err())
            })
        };
        let (first, second) = (consumer(), consumer());
        first.wait_at(&ready);
        second.wait_at(&ready);
        asleep(&ring);
        first.signal(libc::SIGSTOP);
        ring.push(b"x").unwrap();
        assert!(second.wait().success());
        first.kill();
    });
}

/// As above, for room.
#[test]
fn woken_producer_dies() {
    isolated(|| {
        let ring = Ring::builder().items(1).create().unwrap();
        ring.push(b"full").unwrap();
        let ready = Gate::new();
        let producer = || {
            fork_child(|| {
                ready.open();
                i32::from(ring.push(b"more").is_err())
            })
        };
        let (first, second) = (producer(), producer());
        first.wait_at(&ready);
        second.wait_at(&ready);
        asleep(&Ring::builder().create().unwrap());
        first.signal(libc::SIGSTOP);
        ring.pop(&mut Vec::new()).unwrap();
        assert!(second.wait().success());
        first.kill();
    });
}

/// Returns when whoever waits for something has long been asleep.
fn asleep(empty: &Ring) {
    let result = empty.pop_timeout(&mut Vec::new(), Duration::from_millis(60));
    assert!(matches!(result, Err(PopTimeoutError::TimedOut)));
}

/// Where the locks are in the segment.
pub(crate) const TAIL: usize = 128;
const HEAD: usize = 384;

/// A child that holds a side's lock, as in the middle of a push or a pop.
pub(crate) fn holder(ring: &Ring, at: usize) -> Child {
    let held = Gate::new();
    let child = fork_child(|| {
        let words = ring.parts().segment.mapping().atomics(at, 2).unwrap();
        let _guard = LeafLock::from_atomics(words.try_into().unwrap()).lock().unwrap();
        held.open();
        wait_for_kill()
    });
    child.wait_at(&held);
    child
}

#[test]
fn a_stopped_producer_is_not_robbed() {
    isolated(|| {
        let ring = Ring::builder().items(4).create().unwrap();
        ring.push(b"before").unwrap();
        let stopped = holder(&ring, TAIL);
        stopped.signal(libc::SIGSTOP);
        assert!(matches!(ring.try_push(b"x"), Err(TryPushError::Full)));
        let late = ring.push_timeout(b"x", Duration::from_millis(150));
        assert!(matches!(late, Err(PushTimeoutError::TimedOut)));
        let mut popped = Vec::new();
        ring.pop(&mut popped).unwrap();
        assert_eq!(popped, b"before", "consumers go on");
        // Whether that producer has committed is not known, so it is not known to be drained.
        ring.close();
        assert!(matches!(ring.try_pop(&mut popped), Err(TryPopError::Empty)));
        stopped.kill();
        assert!(matches!(ring.pop(&mut popped), Err(PopError::Closed)));
    });
}

#[test]
fn a_stopped_consumer_is_not_robbed() {
    isolated(|| {
        let ring = Ring::builder().items(4).create().unwrap();
        let stopped = holder(&ring, HEAD);
        stopped.signal(libc::SIGSTOP);
        ring.push(b"x").unwrap();
        let mut popped = Vec::new();
        assert!(matches!(ring.try_pop(&mut popped), Err(TryPopError::Empty)));
        let late = ring.pop_timeout(&mut popped, Duration::from_millis(150));
        assert!(matches!(late, Err(PopTimeoutError::TimedOut)));
        stopped.kill();
        ring.pop(&mut popped).unwrap();
        assert_eq!(popped, b"x");
        let word = ring.parts().segment.mapping().atomic_u32(HEAD).unwrap();
        assert_eq!(word.load(Relaxed), 0);
    });
}
