//! Whoever is killed, whenever: the others go on, and nothing that was committed is lost, torn or doubled.

use std::{
    process::ExitStatus,
    sync::atomic::Ordering::{Relaxed, SeqCst},
    time::Duration,
};

use mp_channel::{
    PopError, PopTimeoutError, PushTimeoutError, Ring, Segment, TryPopError, TryPushError,
};
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

/// Whether a result was there, which is in the ledger now.
fn take_one(results: &Ring, ledger: &mut Ledger) -> bool {
    let mut popped = Vec::new();
    let taken = results.try_pop(&mut popped).is_ok();
    if taken {
        ledger.add(&popped);
    }
    taken
}

/// Takes results until `consumer`, which may wait for room for them, has ended.
fn take_until_end(results: &Ring, ledger: &mut Ledger, mut consumer: Child) -> ExitStatus {
    loop {
        while take_one(results, ledger) {}
        match consumer.wait_timeout(Duration::from_millis(1)) {
            Ok(status) => return status,
            Err(running) => consumer = running,
        }
    }
}

/// Producers and consumers are killed and replaced at the same time, in any order.
#[test]
fn storm() {
    const PRODUCERS: usize = 3;
    const CONSUMERS: usize = 2;
    const KILLS: usize = 120;
    isolated(|| {
        let ring = Ring::builder().items(30).bytes(4096).create().unwrap();
        let results = Ring::builder().items(1 << 20).bytes(64 << 20).create().unwrap();
        // How many records each producer has pushed, as far as it could say so.
        let journal = Segment::create("journal", 4096).unwrap();
        let acked = |producer: usize| journal.mapping().atomic_u64(producer * 8).unwrap();
        let produce = |producer: usize| {
            fork_child(|| {
                for number in 0..u64::MAX {
                    ring.push(&record(producer as u32, number, len(number))).unwrap();
                    acked(producer).store(number + 1, SeqCst);
                }
                0
            })
        };
        let consume = || {
            fork_child(|| {
                let mut popped = Vec::new();
                while ring.pop(&mut popped).is_ok() {
                    results.push(&popped).unwrap();
                }
                0
            })
        };
        let mut consumers: Vec<Child> = (0..CONSUMERS).map(|_| consume()).collect();
        let mut producers: Vec<Child> = (0..PRODUCERS).map(produce).collect();
        let mut count = PRODUCERS;
        let mut ledger = Ledger::default();
        for kill in 0..KILLS {
            // Something moves between two kills. The results are taken out meanwhile, or a fast build fills their ring.
            for _ in 0..kill % 40 {
                while !take_one(&results, &mut ledger) {
                    std::thread::yield_now();
                }
            }
            if kill % 2 == 0 {
                consumers.remove(0).kill();
                consumers.push(consume());
            } else {
                producers.remove(0).kill();
                producers.push(produce(count));
                count += 1;
            }
        }
        for child in producers {
            child.kill();
        }
        ring.close();
        for consumer in consumers {
            assert!(
                take_until_end(&results, &mut ledger, consumer).success(),
                "closed and drained"
            );
        }
        while take_one(&results, &mut ledger) {}
        let mut lost = 0;
        for producer in 0..count {
            let mut numbers = ledger.0.remove(&(producer as u32)).unwrap_or_default();
            numbers.sort_unstable();
            assert!(numbers.is_sorted_by(|a, b| a < b), "{producer}: one came twice");
            let acked = acked(producer).load(SeqCst);
            let all = numbers.last().map_or(acked, |last| acked.max(last + 1));
            assert!(all <= acked + 1, "{producer}: a record that was never pushed");
            lost += all - numbers.len() as u64;
        }
        // A consumer that is killed takes along the one record that it had in its hands.
        assert!(lost <= KILLS as u64 / 2, "{lost} lost");
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
        let word = ring.parts().segment.mapping().atomic_u32(at).unwrap();
        let _guard = LeafLock::from_atomic(word).lock().unwrap();
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
