use std::{os::unix::process::ExitStatusExt, sync::atomic::Ordering};

use mp_shm::{Segment, SeqCell};
use mp_testkit::{Point, fork_child, isolated, sweep, sweep_sample};

/// Five words that are equal in every whole value.
type Value = [u64; 5];

fn segment() -> Segment {
    Segment::create("cell", SeqCell::<Value>::SIZE).unwrap()
}

#[test]
fn the_latest_value_is_read() {
    let segment = Segment::create("cell", 100).unwrap();
    let cell = SeqCell::<[u8; 3]>::new(segment.memory(), 8).unwrap();
    assert_eq!((SeqCell::<[u8; 3]>::SIZE, cell.load()), (24, [0; 3]));
    for number in 1..10 {
        cell.store([number; 3]);
        assert_eq!(cell.load(), [number; 3]);
    }
    assert_eq!(segment.memory().read::<[u8; 3]>(5).unwrap()[..3], [0; 3], "nothing before it");
}

#[test]
fn a_cell_is_inside_and_aligned() {
    let segment = Segment::create("cell", 100).unwrap();
    for offset in [1, 4, 80, 96, usize::MAX] {
        assert!(SeqCell::<Value>::new(segment.memory(), offset).is_err(), "{offset}");
    }
    assert_eq!(SeqCell::<Value>::SIZE, 88);
    SeqCell::<Value>::new(segment.memory(), 8).unwrap();
}

#[test]
fn values_are_never_torn() {
    isolated(|| {
        let segment = Segment::create("cell", SeqCell::<Value>::SIZE + 8).unwrap();
        let cell = SeqCell::<Value>::new(segment.memory(), 0).unwrap();
        let stop = segment.memory().atomic_u64(SeqCell::<Value>::SIZE).unwrap();
        let writer = fork_child(|| {
            let mut number = 0;
            while stop.load(Ordering::Relaxed) == 0 {
                number += 1;
                cell.store([number; 5]);
            }
            0
        });
        let mut last = 0;
        while last < 100_000 {
            let value = cell.load();
            assert!(value[0] >= last && value.iter().all(|&word| word == value[0]), "{value:?}");
            last = value[0];
        }
        stop.store(1, Ordering::Relaxed);
        assert!(writer.wait().success());
    });
}

#[test]
fn a_writer_killed_at_any_time_leaves_the_last_whole_value() {
    isolated(|| {
        let segment = segment();
        let cell = SeqCell::<Value>::new(segment.memory(), 0).unwrap();
        let writer = fork_child(|| {
            for number in 1.. {
                cell.store([number; 5]);
            }
            1
        });
        while cell.load()[0] < 10_000 {}
        assert_eq!(writer.kill().signal(), Some(9));
        let value = cell.load();
        assert!(value.iter().all(|&word| word == value[0]), "{value:?}");
        cell.store([7; 5]);
        assert_eq!(cell.load(), [7; 5]);
    });
}

#[test]
fn the_writer_can_be_killed_at_every_instruction() {
    isolated(|| {
        let setup = || {
            let segment = segment();
            SeqCell::<Value>::new(segment.memory(), 0).unwrap().store([1; 5]);
            segment
        };
        let store = |segment: &Segment| {
            SeqCell::<Value>::new(segment.memory(), 0).unwrap().store([2; 5]);
        };
        let oracle = |segment: Segment, point: Point| {
            let cell = SeqCell::<Value>::new(segment.memory(), 0).unwrap();
            let value = cell.load();
            assert!(value == [2; 5] || (value == [1; 5] && !point.complete), "{value:?}");
            cell.store([3; 5]);
            assert_eq!(cell.load(), [3; 5]);
        };
        let report = if cfg!(debug_assertions) {
            sweep_sample(20, setup, store, oracle)
        } else {
            sweep(setup, store, oracle)
        };
        assert!(report.killed > 10, "{report:?}");
    });
}
