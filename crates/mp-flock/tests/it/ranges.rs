//! Byte ranges: the same tests for the two kinds that have them.

use mp_flock::{ByteRange, Mode, Ofd, Posix, RangeBackend, Request};
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
