//! A kill at every instruction of an operation: what was committed is there, what was not leaves no trace, nobody is stuck.

use std::time::Duration;

use mp_channel::{Batch, PopTimeoutError, Ring, TryPopError, TryPushError};
use mp_testkit::{Point, isolated_for, sweep, sweep_sample};

use crate::accounting::{check, record};

const LIMIT: Duration = Duration::from_secs(900);
/// Far more than any slice.
const SOON: Duration = Duration::from_secs(5);

/// A record that is too long for the inside of a small ring, and short enough to be copied without a string instruction,
/// each of whose thousands of rounds would be a point.
const LARGE: usize = 1030;
/// A record that is too long for the window beside it.
const HUGE: usize = (16 << 20) + 5;

/// How many points of a build without optimizations, which has many times as many instructions.
const POINTS: usize = 16;

/// Numbers and lengths of records.
type Records = &'static [(u64, usize)];

/// A small ring, at `start` bytes from its beginning, that holds `records`.
fn ring(start: usize, records: Records) -> Ring {
    let ring = Ring::builder().items(8).bytes(4096).create().unwrap();
    let mut popped = Vec::new();
    let mut at = 0;
    while at < start {
        // 8 bytes are the word before each record.
        let len = (start - at - 8).min(1000);
        ring.push(&vec![0; len]).unwrap();
        ring.pop(&mut popped).unwrap();
        at += 8 + len;
    }
    for &(number, len) in records {
        ring.push(&record(0, number, len)).unwrap();
    }
    ring
}

/// A ring through which many records have gone one at a time, each of which was written once more beside the position, and
/// that holds `records`.
fn conversation(records: Records) -> Ring {
    let ring = ring(0, &[]);
    (0..40).for_each(|number| {
        push(&ring, number, 12);
        pop(&ring, number);
    });
    records.iter().for_each(|&(number, len)| push(&ring, number, len));
    ring
}

/// The numbers of what is in the ring, checked, and that one more record goes through it.
fn survivors(ring: &Ring, point: Point) -> Vec<u64> {
    let (mut numbers, mut popped) = (Vec::new(), Vec::new());
    let mut pop = || match ring.pop_timeout(&mut popped, SOON) {
        Ok(()) => numbers.push(check(&popped).1),
        Err(error) => panic!("{point:?}: {error}"),
    };
    if ring.is_full() {
        pop();
    }
    if let Err(error) = ring.push_timeout(&record(0, 99, 50), SOON) {
        panic!("{point:?}: {error}");
    }
    while !ring.is_empty() {
        pop();
    }
    assert!(matches!(ring.try_pop(&mut popped), Err(TryPopError::Empty)));
    assert_eq!(numbers.pop(), Some(99), "{point:?}");
    numbers
}

/// Sweeps `operation` on a ring that holds `before`, and holds `after` once it is committed, or nothing in between.
fn kill(
    name: &str,
    start: usize,
    before: Records,
    after: &[u64],
    operation: impl Fn(&Ring) + Copy,
) {
    kill_in(name, || ring(start, before), before, after, operation);
}

/// The same on a ring that `setup` makes.
fn kill_in(
    name: &str,
    setup: impl Fn() -> Ring,
    before: Records,
    after: &[u64],
    operation: impl Fn(&Ring) + Copy,
) {
    let numbers: Vec<u64> = before.iter().map(|&(number, _)| number).collect();
    let (mut undone, mut done) = (0, 0);
    let oracle = |ring: Ring, point: Point| {
        let found = survivors(&ring, point);
        if found == after {
            done += 1;
        } else {
            assert!(found == numbers && !point.complete, "{name}, {point:?}: {found:?}");
            undone += 1;
        }
    };
    let report = if cfg!(debug_assertions) {
        sweep_sample(POINTS, setup, operation, oracle)
    } else {
        sweep(setup, operation, oracle)
    };
    println!(
        "{name}: {} kill points, {undone} before the commit, {done} after, 0 failures",
        report.points
    );
    assert!(done > 0);
}

fn push(ring: &Ring, number: u64, len: usize) {
    ring.push(&record(0, number, len)).unwrap();
}

fn pop(ring: &Ring, number: u64) {
    let mut popped = Vec::with_capacity(100);
    ring.pop(&mut popped).unwrap();
    assert_eq!(check(&popped).1, number);
}

#[test]
fn pushes() {
    isolated_for(LIMIT, || {
        let two: Records = &[(1, 20), (2, 33)];
        kill("push", 0, two, &[1, 2, 3], |ring| push(ring, 3, 60));
        kill("push around the end", 4000, two, &[1, 2, 3], |ring| push(ring, 3, 60));
        kill("push into an empty ring", 800, &[], &[3], |ring| push(ring, 3, 12));
        kill("push of many", 4000, two, &[1, 2, 3, 4, 5], |ring| {
            let records = [3, 4, 5].map(|number| record(0, number, 30));
            assert_eq!(ring.push_many(records.iter().map(Vec::as_slice)).unwrap(), 3);
        });
        let full: Records = &[(1, 12), (2, 12), (3, 12), (4, 12), (5, 12), (6, 12), (7, 12)];
        kill("push of the last", 0, full, &[1, 2, 3, 4, 5, 6, 7, 8], |ring| push(ring, 8, 12));
    });
}

#[test]
fn pops() {
    isolated_for(LIMIT, || {
        let three: Records = &[(1, 20), (2, 33), (3, 60)];
        kill("pop", 0, three, &[2, 3], |ring| pop(ring, 1));
        kill("pop around the end", 4080, three, &[2, 3], |ring| pop(ring, 1));
        kill("pop of the last", 160, &[(1, 60)], &[], |ring| pop(ring, 1));
        kill("pop of many", 4000, three, &[3], |ring| {
            let mut batch = Batch::new();
            let mut count = 0;
            while count < 2 {
                count += ring.pop_many(2 - count, &mut batch).unwrap();
            }
        });
    });
}

#[test]
fn conversations() {
    isolated_for(LIMIT, || {
        let kill = |name, before, after: &[u64], operation: fn(&Ring)| {
            kill_in(name, || conversation(before), before, after, operation);
        };
        kill("push in a conversation", &[], &[3], |ring| push(ring, 3, 12));
        kill("push of a second one", &[(1, 12)], &[1, 3], |ring| push(ring, 3, 17));
        kill("push of one as many", &[], &[3], |ring| {
            assert_eq!(ring.push_many([record(0, 3, 12).as_slice()]).unwrap(), 1);
        });
        kill("pop in a conversation", &[(1, 12)], &[], |ring| pop(ring, 1));
    });
}

#[test]
fn refusals() {
    isolated_for(LIMIT, || {
        kill("pop from an empty ring", 160, &[], &[], |ring| {
            assert!(matches!(ring.try_pop(&mut Vec::new()), Err(TryPopError::Empty)));
        });
        let large: Records = &[(1, 1000), (2, 1000), (3, 1000), (4, 900)];
        kill("push without room", 0, large, &[1, 2, 3, 4], |ring| {
            let error = ring.try_push(&[0; 1000]);
            assert!(matches!(error, Err(TryPushError::Full)));
        });
    });
}

#[test]
fn outside() {
    isolated_for(LIMIT, || {
        let mixed: Records = &[(1, 20), (2, LARGE)];
        let large = record(0, 3, LARGE + 1);
        kill("push outside", 0, mixed, &[1, 2, 3], |ring| ring.push(&large).unwrap());
        let mixed: Records = &[(1, LARGE), (2, 20), (3, LARGE)];
        kill("pop from outside", 4080, mixed, &[2, 3], |ring| {
            ring.pop(&mut Vec::with_capacity(LARGE)).unwrap();
        });
        kill("pop of two pieces from outside", 4080, mixed, &[2, 3], |ring| {
            let (mut head, mut tail) = (Vec::new(), Vec::with_capacity(LARGE));
            ring.pop_parts(&mut head, &mut tail).unwrap();
        });
    });
}

/// Few points: each moves 16 MiB several times.
#[test]
fn outside_the_window() {
    isolated_for(LIMIT, || {
        let huge = vec![7; HUGE];
        let setup = |records: [&[u8]; 2]| {
            let ring = Ring::builder().items(8).bytes(4096).create().unwrap();
            ring.push_many(records).unwrap();
            ring
        };
        // Whether the huge record is there, between two small ones.
        let survived = |ring: &Ring, before: &[u8]| {
            ring.push_timeout(b"last", SOON).unwrap();
            let mut popped = Vec::new();
            ring.pop_timeout(&mut popped, SOON).unwrap();
            assert_eq!(popped, before);
            ring.pop_timeout(&mut popped, SOON).unwrap();
            let survived = popped == huge;
            if survived {
                ring.pop_timeout(&mut popped, SOON).unwrap();
            }
            assert!(popped == b"last" && ring.is_empty());
            survived
        };
        let (before, push) = (|| setup([b"", b"first"]), |ring: &Ring| ring.push(&huge).unwrap());
        sweep_sample(POINTS, before, push, |ring, point| {
            ring.pop_timeout(&mut Vec::new(), SOON).unwrap();
            assert!(survived(&ring, b"first") || !point.complete, "{point:?}");
        });
        let pop = |ring: &Ring| ring.pop(&mut Vec::with_capacity(HUGE)).unwrap();
        sweep_sample(
            POINTS,
            || setup([&huge, b"second"]),
            pop,
            |ring, point| {
                let mut popped = Vec::new();
                ring.pop_timeout(&mut popped, SOON).unwrap();
                if popped == huge {
                    assert!(!point.complete, "{point:?}");
                    ring.pop_timeout(&mut popped, SOON).unwrap();
                }
                assert_eq!(popped, b"second");
                // Whoever was killed after the commit has not given the memory back; the next one has.
                let file = &ring.parts().outside;
                let file = std::fs::File::from(file.try_clone_fd().unwrap());
                let blocks = std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap());
                assert!(blocks * 512 < 1 << 20, "{point:?}: {blocks} blocks left");
            },
        );
    });
}

#[test]
fn closing() {
    isolated_for(LIMIT, || {
        let mut closed = 0;
        let setup = || ring(0, &[(1, 20)]);
        let report = sweep_sample(
            if cfg!(debug_assertions) { POINTS } else { 10_000 },
            setup,
            Ring::close,
            |ring, point| {
                let mut popped = Vec::new();
                ring.pop_timeout(&mut popped, SOON).unwrap();
                let rest = ring.pop_timeout(&mut popped, Duration::ZERO);
                if ring.is_closed() {
                    assert!(matches!(rest, Err(PopTimeoutError::Closed)), "{point:?}");
                    closed += 1;
                } else {
                    assert!(matches!(rest, Err(PopTimeoutError::TimedOut)) && !point.complete);
                }
            },
        );
        println!("close: {} kill points, {closed} after it, 0 failures", report.points);
    });
}
