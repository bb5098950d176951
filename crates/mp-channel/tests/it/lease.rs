//! Records on lease: delivered again when their holder dies, at whichever instruction, and never lost.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use mp_channel::{
    Leased, PopError, PopTimeoutError, Ring, TimeoutError, TryError, TryPopError, select,
};
use mp_os::Deadline;
use mp_testkit::{
    Child, Gate, Point, fork_child, isolated, isolated_for, once_asleep, sweep_sample,
    wait_for_kill,
};
use nix::libc;

use crate::accounting::{check, len, record};

/// Far more than the 25 ms that a dead holder is not noticed for.
const SOON: Duration = Duration::from_secs(10);

fn ring(slots: usize, deliveries: u32) -> Ring {
    Ring::builder().items(64).bytes(4096).leases(slots, deliveries).create().unwrap()
}

fn push(ring: &Ring, numbers: impl IntoIterator<Item = u64>) {
    numbers.into_iter().for_each(|number| ring.push(&record(0, number, 30)).unwrap());
}

/// Leases and acknowledges all that there is: the numbers, and how often each was delivered.
fn drain(ring: &Ring) -> Vec<(u64, u32)> {
    let mut bytes = Vec::new();
    let mut all = Vec::new();
    loop {
        match ring.try_lease(&mut bytes) {
            Ok(lease) => {
                all.push((check(&bytes).1, lease.deliveries()));
                assert!(lease.ack().unwrap());
            }
            Err(TryPopError::Empty) => return all,
            Err(error) => panic!("{error}"),
        }
    }
}

fn counts(ring: &Ring) -> [usize; 3] {
    let Leased { held, returned, dead, .. } = ring.leased();
    [held, returned, dead]
}

/// A child that leases so many records and holds them.
fn holder(ring: &Ring, count: usize) -> Child {
    let held = Gate::new();
    let child = fork_child(|| {
        let mut bytes = Vec::new();
        let _leases: Vec<_> = (0..count).map(|_| ring.lease(&mut bytes).unwrap()).collect();
        held.open();
        wait_for_kill()
    });
    child.wait_at(&held);
    child
}

#[test]
fn smoke() {
    isolated(|| {
        let ring = ring(4, 3);
        push(&ring, 0..3);
        let mut bytes = Vec::new();
        let first = ring.lease(&mut bytes).unwrap();
        assert_eq!((check(&bytes).1, first.deliveries(), ring.len()), (0, 1, 2));
        let second = ring.try_lease(&mut bytes).unwrap();
        assert_eq!(counts(&ring), [2, 0, 0]);
        drop(first);
        assert_eq!(counts(&ring), [1, 1, 0]);
        assert!(second.ack().unwrap());
        assert_eq!(drain(&ring), [(0, 2), (2, 1)], "what came back goes first");
        assert_eq!(counts(&ring), [0; 3]);
        assert!(matches!(ring.try_lease(&mut bytes), Err(TryPopError::Empty)));
        ring.close();
        assert!(matches!(ring.lease(&mut bytes), Err(PopError::Closed)));
    });
}

#[test]
fn dead_letters() {
    isolated(|| {
        let ring = ring(2, 2);
        let mut bytes = Vec::new();
        push(&ring, 0..3);
        for number in 0..2 {
            for deliveries in 1..=2 {
                let lease = ring.lease(&mut bytes).unwrap();
                assert_eq!((check(&bytes).1, lease.deliveries()), (number, deliveries));
            }
        }
        assert_eq!(counts(&ring), [0, 0, 2]);
        let full = ring.lease(&mut bytes).unwrap_err();
        assert!(
            matches!(&full, PopError::Os(error) if error.kind() == std::io::ErrorKind::StorageFull)
        );
        drop(ring.dead_letter(&mut bytes).unwrap().unwrap());
        assert_eq!(counts(&ring), [0, 0, 2], "it stays one");
        for number in 0..2 {
            let letter = ring.dead_letter(&mut bytes).unwrap().unwrap();
            assert_eq!((check(&bytes).1, letter.deliveries()), (number, 2));
            assert!(letter.ack().unwrap());
        }
        assert!(ring.dead_letter(&mut bytes).unwrap().is_none());
        assert_eq!(drain(&ring), [(2, 1)]);
    });
}

#[test]
fn slots_run_out() {
    isolated(|| {
        let ring = ring(1, 1);
        push(&ring, 0..2);
        let mut bytes = Vec::new();
        let only = ring.lease(&mut bytes).unwrap();
        let start = Instant::now();
        let timeout = Duration::from_millis(60);
        let late = ring.lease_timeout(&mut bytes, timeout);
        assert!(matches!(late, Err(PopTimeoutError::TimedOut)) && start.elapsed() >= timeout);
        assert_eq!(ring.len(), 1);
        let number = once_asleep(
            || {
                let mut bytes = Vec::new();
                let lease = ring.lease_timeout(&mut bytes, SOON).unwrap();
                assert!(lease.ack().unwrap());
                check(&bytes).1
            },
            || assert!(only.ack().unwrap()),
        );
        assert_eq!(number, 1);
    });
}

#[test]
fn builders_refuse_nonsense() {
    for (slots, deliveries) in [(0, 1), (65_537, 1), (1, 0), (1, 65_536)] {
        let error = Ring::builder().leases(slots, deliveries).create().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
    let without = Ring::builder().create().unwrap();
    let error = without.try_lease(&mut Vec::new()).unwrap_err();
    assert!(
        matches!(error, TryPopError::Os(error) if error.kind() == std::io::ErrorKind::Unsupported)
    );
}

#[test]
fn what_a_killed_process_held_comes_back() {
    isolated(|| {
        let ring = ring(8, 3);
        push(&ring, 0..4);
        let child = holder(&ring, 3);
        let mut bytes = Vec::new();
        ring.lease(&mut bytes).unwrap().ack().unwrap();
        let waiter = once_asleep(
            || {
                let mut bytes = Vec::new();
                let lease = ring.lease_timeout(&mut bytes, SOON).unwrap();
                (check(&bytes).1, lease.deliveries(), lease.ack().unwrap())
            },
            || assert!(!child.kill().success()),
        );
        assert_eq!(waiter, (0, 2, true));
        assert_eq!(drain(&ring), [(1, 2), (2, 2)]);
    });
}

#[test]
fn large_records_come_back() {
    isolated(|| {
        let ring = ring(3, 2);
        let lens = [2000, 100_000, (16 << 20) + 1];
        for len in lens {
            ring.push(&record(0, len as u64, len)).unwrap();
            let child = holder(&ring, 1);
            child.kill();
            let mut bytes = Vec::new();
            let lease = ring.lease_timeout(&mut bytes, SOON).unwrap();
            assert_eq!((check(&bytes).1, bytes.len(), lease.deliveries()), (len as u64, len, 2));
            assert!(lease.ack().unwrap());
        }
        let file = std::fs::File::from(
            ring.parts().leases.as_ref().unwrap().records.try_clone_fd().unwrap(),
        );
        let blocks = std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap());
        assert!(blocks * 512 <= 64 << 10, "{blocks} blocks of acknowledged records are left");
    });
}

#[test]
fn a_stopped_holder_is_not_robbed() {
    isolated(|| {
        let ring = ring(2, 3);
        push(&ring, [7]);
        let child = holder(&ring, 1);
        child.signal(libc::SIGSTOP);
        let late = ring.lease_timeout(&mut Vec::new(), Duration::from_millis(150));
        assert!(matches!(late, Err(PopTimeoutError::TimedOut)));
        let late = ring.wait_acked_timeout(Duration::from_millis(60));
        assert!(matches!(late, Err(TimeoutError::TimedOut)));
        assert_eq!(counts(&ring), [1, 0, 0]);
        child.kill();
        let lease = ring.lease_timeout(&mut Vec::new(), SOON).unwrap();
        assert_eq!(lease.deliveries(), 2);
    });
}

#[test]
fn a_closed_ring_waits_for_what_may_come_back() {
    isolated(|| {
        let ring = ring(2, 3);
        push(&ring, [7]);
        let child = holder(&ring, 1);
        ring.close();
        let mut bytes = Vec::new();
        assert!(matches!(ring.try_lease(&mut bytes), Err(TryPopError::Empty)), "not yet");
        child.kill();
        ring.lease_timeout(&mut bytes, SOON).unwrap().ack().unwrap();
        assert!(matches!(ring.lease_timeout(&mut bytes, SOON), Err(PopTimeoutError::Closed)));
    });
}

#[test]
fn a_copy_in_a_fork_does_nothing() {
    isolated(|| {
        let ring = ring(2, 1);
        push(&ring, [7]);
        let lease = ring.lease(&mut Vec::new()).unwrap();
        let mut slot = Some(lease);
        let child = fork_child(|| i32::from(slot.take().unwrap().ack().unwrap()));
        assert_eq!(child.wait().code(), Some(0));
        let child = fork_child(|| {
            drop(slot.take());
            0
        });
        assert!(child.wait().success());
        assert_eq!(counts(&ring), [1, 0, 0]);
        assert!(slot.unwrap().ack().unwrap());
    });
}

#[test]
fn waiting_until_all_is_acknowledged() {
    isolated(|| {
        let ring = ring(4, 1);
        ring.wait_acked().unwrap();
        push(&ring, 0..2);
        assert!(matches!(ring.try_wait_acked(), Err(TryError::WouldBlock)), "in the ring");
        let child = holder(&ring, 1);
        let mut lease = Some(ring.lease(&mut Vec::new()).unwrap());
        assert!(matches!(ring.try_wait_acked(), Err(TryError::WouldBlock)), "on lease");
        once_asleep(
            || ring.wait_acked_timeout(SOON).unwrap(),
            || {
                assert!(lease.take().unwrap().ack().unwrap());
                child.kill();
            },
        );
        assert_eq!(
            counts(&ring),
            [0, 0, 1],
            "nobody waits for a task that its consumer took along"
        );
    });
}

#[test]
fn pollers_hear_of_what_comes_back() {
    isolated(|| {
        let ring = ring(4, 2);
        push(&ring, [7]);
        let lease = ring.lease(&mut Vec::new()).unwrap();
        assert!(select(&[&ring], Deadline::after(Duration::ZERO)).unwrap().is_empty());
        drop(lease);
        assert_eq!(select(&[&ring], Deadline::after(SOON)).unwrap(), [0]);
        let again = ring.try_lease(&mut Vec::new()).unwrap();
        assert_eq!(again.deliveries(), 2);
    });
}

/// Consumers that lease, hand on and acknowledge are killed again and again: each record is handed on at least once.
#[test]
fn storm() {
    isolated(|| {
        const COUNT: u64 = 4000;
        const KILLS: usize = 60;
        let ring = Ring::builder().items(50).bytes(4096).leases(16, 60_000).create().unwrap();
        let results = Ring::builder().items(1 << 16).bytes(32 << 20).create().unwrap();
        let producer = fork_child(|| {
            (0..COUNT).for_each(|number| ring.push(&record(0, number, len(number))).unwrap());
            ring.close();
            0
        });
        let consume = || {
            fork_child(|| {
                let mut bytes = Vec::new();
                while let Ok(lease) = ring.lease(&mut bytes) {
                    results.push(&bytes).unwrap();
                    assert!(lease.ack().unwrap());
                }
                0
            })
        };
        let mut consumers: Vec<_> = (0..3).map(|_| consume()).collect();
        let (mut seen, mut bytes) = (BTreeMap::<u64, usize>::new(), Vec::new());
        let mut take = |seen: &mut BTreeMap<u64, usize>| {
            results.pop_timeout(&mut bytes, SOON).unwrap();
            *seen.entry(check(&bytes).1).or_default() += 1;
        };
        for kill in 0..KILLS {
            (0..kill % 40).for_each(|_| take(&mut seen));
            consumers.remove(0).kill();
            consumers.push(consume());
        }
        while seen.len() < COUNT as usize {
            take(&mut seen);
        }
        assert!(producer.wait().success());
        assert!(consumers.into_iter().all(|child| child.wait().success()));
        while results.try_pop(&mut bytes).is_ok() {
            *seen.entry(check(&bytes).1).or_default() += 1;
        }
        assert!(seen.keys().copied().eq(0..COUNT), "each once at least");
        let doubled = seen.values().sum::<usize>() - COUNT as usize;
        assert!(doubled <= KILLS, "{doubled} came twice with {KILLS} kills");
        ring.wait_acked_timeout(SOON).unwrap();
    });
}

/// Kills `operation` at instructions all over it; `left` says what may be leased afterwards, by whether it had returned.
fn kill(
    name: &str,
    setup: fn() -> Ring,
    operation: fn(&Ring),
    may_be_left: fn(bool, &[(u64, u32)]) -> bool,
) {
    let oracle = |ring: Ring, point: Point| {
        // A fresh handle looks for dead holders at once.
        let fresh = Ring::attach(ring.parts().clone()).unwrap();
        let left = drain(&fresh);
        assert!(may_be_left(point.complete, &left), "{name}, {point:?}: {left:?} are left");
        fresh.wait_acked_timeout(SOON).unwrap();
        fresh.push_timeout(&record(0, 99, 20), SOON).unwrap();
        assert_eq!(drain(&fresh), [(99, 1)], "{name}, {point:?}");
    };
    // All of them would take minutes: most find out who holds what.
    let points = if cfg!(debug_assertions) { 3 } else { 60 };
    let report = sweep_sample(points, setup, operation, oracle);
    println!("{name}: {} kill points, 0 failures", report.points);
}

fn two() -> Ring {
    let ring = ring(4, 9);
    push(&ring, [1, 2]);
    ring
}

/// Record 1 has come back from a consumer; 2 is in the ring.
fn returned() -> Ring {
    let ring = two();
    drop(ring.lease(&mut Vec::new()).unwrap());
    ring
}

/// Leases the next record without allocating under the single step.
fn lease(ring: &Ring) -> mp_channel::Lease {
    ring.lease(&mut Vec::with_capacity(64)).unwrap()
}

#[test]
fn kills() {
    isolated_for(Duration::from_secs(600), || {
        kill(
            "lease",
            two,
            |ring| std::mem::forget(lease(ring)),
            |_, left| left == [(1, 1), (2, 1)] || left == [(1, 2), (2, 1)],
        );
        kill(
            "lease and ack",
            two,
            |ring| assert!(lease(ring).ack().unwrap()),
            |complete, left| {
                left == [(2, 1)]
                    || !complete && (left == [(1, 1), (2, 1)] || left == [(1, 2), (2, 1)])
            },
        );
        kill(
            "lease and give back",
            two,
            |ring| drop(lease(ring)),
            |_, left| left == [(1, 1), (2, 1)] || left == [(1, 2), (2, 1)],
        );
        kill(
            "lease of what came back, and ack",
            returned,
            |ring| assert!(lease(ring).ack().unwrap()),
            |complete, left| {
                left == [(2, 1)]
                    || !complete && (left == [(1, 2), (2, 1)] || left == [(1, 3), (2, 1)])
            },
        );
    });
}
