//! Whoever is killed, whenever: the others go on, and nothing that was committed is lost, torn or doubled.

use std::time::Duration;

use mp_channel::Ring;
use mp_testkit::{Gate, fork_child, isolated};

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
