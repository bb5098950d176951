//! Byte ranges: the same tests for the two kinds that have them.

use mp_flock::{ByteRange, Mode, Ofd, Posix, RangeBackend, Request, holders};
use mp_testkit::{fork_child, isolated};
use tempfile::NamedTempFile;

fn free<B: RangeBackend>(request: Request<B>, file: &NamedTempFile) -> bool {
    fork_child(|| i32::from(request.try_lock(file.reopen().unwrap()).is_err())).wait().success()
}

fn disjoint_ranges_are_independent<B: RangeBackend>(exclusive: Request<B>, shared: Request<B>) {
    let file = NamedTempFile::new().unwrap();
    let mine = file.reopen().unwrap();
    let middle = exclusive.range(10..20).unwrap().lock(&mine).unwrap();
    for (range, expected) in
        [(0..10, true), (0..11, false), (19..20, false), (20..21, true), (12..13, false)]
    {
        assert_eq!(free(exclusive.range(range.clone()).unwrap(), &file), expected, "{range:?}");
        assert_eq!(free(shared.range(range.clone()).unwrap(), &file), expected, "{range:?}");
    }
    assert!(!free(exclusive, &file) && !free(exclusive.range(..=10).unwrap(), &file));
    assert!(free(exclusive.range(20..).unwrap(), &file));
    // Beyond the end of the file, and at the last byte there can be.
    let last = i64::MAX.unsigned_abs();
    let end = exclusive.range(last..=last).unwrap().lock(&mine).unwrap();
    assert!(!free(exclusive.range(last..=last).unwrap(), &file));
    drop(end);
    assert!(free(exclusive.range(20..).unwrap(), &file));
    middle.unlock().unwrap();
    assert!(free(exclusive, &file));
}

/// A lock to the end grows with the file.
fn a_range_without_end_covers_what_is_appended<B: RangeBackend>(exclusive: Request<B>) {
    let file = NamedTempFile::new().unwrap();
    let mine = file.reopen().unwrap();
    let _tail = exclusive.range(100..).unwrap().lock(&mine).unwrap();
    mine.set_len(5_000).unwrap();
    assert!(!free(exclusive.range(4_000..4_001).unwrap(), &file));
    assert!(free(exclusive.range(..100).unwrap(), &file));
}

/// To the kernel one owner has each byte once: unlocking one of two overlapping guards unlocks what they share.
fn one_owner_has_each_byte_once<B: RangeBackend>(exclusive: Request<B>) {
    let file = NamedTempFile::new().unwrap();
    let mine = file.reopen().unwrap();
    let wide = exclusive.range(0..10).unwrap().lock(&mine).unwrap();
    let narrow = exclusive.range(4..6).unwrap().lock(&mine).unwrap();
    drop(narrow);
    assert!(free(exclusive.range(4..6).unwrap(), &file), "a hole");
    assert!(!free(exclusive.range(0..4).unwrap(), &file));
    assert!(!free(exclusive.range(6..10).unwrap(), &file));
    drop(wide);
}

fn part_of_a_lock_can_be_downgraded<B: RangeBackend>(exclusive: Request<B>, shared: Request<B>) {
    let file = NamedTempFile::new().unwrap();
    let mine = file.reopen().unwrap();
    let _wide = exclusive.range(0..10).unwrap().lock(&mine).unwrap();
    let mut part = exclusive.range(0..5).unwrap().lock(&mine).unwrap();
    part.downgrade().unwrap();
    assert!(free(shared.range(0..5).unwrap(), &file));
    assert!(!free(shared.range(0..6).unwrap(), &file));
}

fn the_holder_of_a_range_is_told<B: RangeBackend>(exclusive: Request<B>, shared: Request<B>) {
    let file = NamedTempFile::new().unwrap();
    let theirs = file.reopen().unwrap();
    let _lock = shared.range(7..9).unwrap().lock(&theirs).unwrap();
    let child = fork_child(|| {
        let mine = file.reopen().unwrap();
        assert_eq!(shared.holder(&mine).unwrap(), None);
        let holder = exclusive.holder(&mine).unwrap().unwrap();
        assert_eq!((holder.mode(), holder.range()), (Mode::Shared, ByteRange::new(7..9).unwrap()));
        assert!(exclusive.range(9..).unwrap().holder(&mine).unwrap().is_none());
        0
    });
    assert!(child.wait().success());
}

/// Who waits for bytes that are all unlocked gets them, though the rest of the lock is held on.
fn unlocking_a_part_wakes_who_waits_for_it<B: RangeBackend>(exclusive: Request<B>) {
    let file = NamedTempFile::new().unwrap();
    let mine = file.reopen().unwrap();
    let _wide = exclusive.range(0..10).unwrap().lock(&mine).unwrap();
    let waiter = fork_child(|| {
        let theirs = file.reopen().unwrap();
        drop(exclusive.range(2..6).unwrap().lock(&theirs).unwrap());
        0
    });
    while !holders(&mine).unwrap().iter().any(|holder| holder.is_waiting()) {
        std::thread::yield_now();
    }
    // The same owner has each byte once: locking and unlocking a part of it unlocks that part.
    exclusive.range(2..6).unwrap().lock(&mine).unwrap().unlock().unwrap();
    assert!(waiter.wait().success());
    assert!(!free(exclusive.range(0..1).unwrap(), &file));
}

/// Every two steps of locking, converting and unlocking among four bytes, against what they should add up to.
fn every_pair_of_steps_adds_up<B: RangeBackend>(exclusive: Request<B>, shared: Request<B>) {
    // Before, at the beginning of, inside, at the end of and around each other.
    const RANGES: [(u64, u64); 5] = [(0, 2), (0, 4), (1, 2), (1, 3), (2, 4)];
    let steps: Vec<_> = [Some(Mode::Exclusive), Some(Mode::Shared), None]
        .into_iter()
        .flat_map(|mode| RANGES.map(|range| (mode, range)))
        .collect();
    let file = NamedTempFile::new().unwrap();
    for first in &steps {
        for second in &steps {
            let mine = file.reopen().unwrap();
            let mut expected = [None; 4];
            for &(mode, (start, end)) in [first, second] {
                let request = if mode == Some(Mode::Shared) { shared } else { exclusive };
                let guard = request.range(start..end).unwrap().lock(&mine).unwrap();
                match mode {
                    Some(_) => _ = guard.into_locked(),
                    None => drop(guard),
                }
                (start..end).for_each(|byte| expected[usize::try_from(byte).unwrap()] = mode);
            }
            let mut found = [None; 4];
            for holder in holders(&mine).unwrap() {
                let last = holder.range().last().unwrap();
                for byte in holder.range().start()..=last {
                    assert_eq!(found[usize::try_from(byte).unwrap()].replace(holder.mode()), None);
                }
            }
            assert_eq!(found, expected, "{first:?}, then {second:?}");
        }
    }
}

macro_rules! conformance {
    ($backend:ident, $kind:ident) => {
        mod $backend {
            use super::*;

            #[test]
            fn disjoint_ranges_are_independent() {
                isolated(|| {
                    super::disjoint_ranges_are_independent($kind::exclusive(), $kind::shared())
                });
            }

            #[test]
            fn a_range_without_end_covers_what_is_appended() {
                isolated(|| super::a_range_without_end_covers_what_is_appended($kind::exclusive()));
            }

            #[test]
            fn one_owner_has_each_byte_once() {
                isolated(|| super::one_owner_has_each_byte_once($kind::exclusive()));
            }

            #[test]
            fn part_of_a_lock_can_be_downgraded() {
                isolated(|| {
                    super::part_of_a_lock_can_be_downgraded($kind::exclusive(), $kind::shared())
                });
            }

            #[test]
            fn unlocking_a_part_wakes_who_waits_for_it() {
                isolated(|| super::unlocking_a_part_wakes_who_waits_for_it($kind::exclusive()));
            }

            #[test]
            fn every_pair_of_steps_adds_up() {
                isolated(|| {
                    super::every_pair_of_steps_adds_up($kind::exclusive(), $kind::shared())
                });
            }

            #[test]
            fn the_holder_of_a_range_is_told() {
                isolated(|| {
                    super::the_holder_of_a_range_is_told($kind::exclusive(), $kind::shared())
                });
            }
        }
    };
}

conformance!(posix, Posix);
conformance!(ofd, Ofd);
