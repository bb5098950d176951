use std::{
    fs::File,
    io::{self, Read, Write},
    sync::atomic::{AtomicU32, Ordering::SeqCst},
};

use memmap2::MmapRaw;
use mp_testkit::{isolated, sweep, sweep_beside, sweep_sample};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// All of them, in an optimized build.
const POINTS: usize = if cfg!(debug_assertions) { 100 } else { usize::MAX };

/// Words that a child shares.
struct Shared(MmapRaw);

impl Shared {
    fn new() -> Self {
        let file: File = memfd_create("words", MFdFlags::MFD_CLOEXEC).expect("a file").into();
        file.set_len(4096).expect("memory");
        Self(MmapRaw::map_raw(&file).expect("a mapping"))
    }

    fn word(&self, index: usize) -> &AtomicU32 {
        assert!(index < 1024);
        // SAFETY: inside of the mapping.
        let word = unsafe { self.0.as_mut_ptr().cast::<AtomicU32>().add(index) };
        // SAFETY: aligned, alive as long as `self`, and accessed atomically only.
        unsafe { &*word }
    }
}

/// What everybody writes first: a holder that dies takes the lock with it.
fn locked_increment(shared: &Shared) {
    while shared.word(0).compare_exchange(0, 1, SeqCst, SeqCst).is_err() {}
    shared.word(1).fetch_add(1, SeqCst);
    shared.word(0).store(0, SeqCst);
}

#[test]
fn a_plain_lock_is_found_stuck() {
    isolated(|| {
        let (mut stuck, mut before, mut after) = (0, 0, 0);
        let report = sweep_sample(POINTS, Shared::new, locked_increment, |shared, point| {
            match (shared.word(0).load(SeqCst), shared.word(1).load(SeqCst)) {
                (0, 0) => before += 1,
                (0, 1) => after += 1,
                (1, _) => stuck += 1,
                torn => panic!("{torn:?} at {point:?}"),
            }
            assert!(!point.complete || shared.word(0).load(SeqCst) == 0);
        });
        assert!(stuck > 0 && before > 0 && after > 0, "{stuck} stuck, {before}, {after}");
        assert_eq!(report.points, stuck + before + after);
        assert_eq!(report.killed, report.points - 1);
    });
}

#[test]
fn a_write_to_a_pipe_is_all_or_nothing() {
    isolated(|| {
        let (mut all, mut nothing) = (0, 0);
        let write = |(_, writer): &(io::PipeReader, io::PipeWriter)| {
            assert_eq!((&*writer).write(&[7; 64]).unwrap(), 64);
        };
        sweep(
            || io::pipe().unwrap(),
            write,
            |(mut reader, writer), point| {
                drop(writer);
                let mut read = Vec::new();
                reader.read_to_end(&mut read).unwrap();
                match read.len() {
                    0 if !point.complete => nothing += 1,
                    64 => all += 1,
                    part => panic!("{part} bytes at {point:?}"),
                }
            },
        );
        assert!(all > 0 && nothing > 0, "{all} and {nothing}");
    });
}

#[test]
fn a_sample_covers_begin_and_end() {
    isolated(|| {
        let mut complete = 0;
        let often = |shared: &Shared| (0..20).for_each(|_| locked_increment(shared));
        let report = sweep_sample(20, Shared::new, often, |_, point| {
            complete += usize::from(point.complete);
        });
        assert_eq!(complete, 1);
        assert!((15..=22).contains(&report.points), "{report:?}");
    });
}

#[test]
#[should_panic(expected = "the oracle's own words at 0")]
fn an_oracle_that_complains_fails_the_test() {
    isolated(|| {
        sweep(
            || (),
            |()| {},
            |(), point| panic!("the oracle's own words at {}", point.instruction),
        );
    });
}

#[test]
#[should_panic(expected = "the operation fails even when nobody kills it")]
fn an_operation_that_panics_fails_the_test() {
    isolated(|| {
        sweep_sample(1, || (), |()| panic!("in the operation"), |(), _| {});
    });
}

/// What the others do comes once, between the same two instructions each time, and at no point before.
#[test]
fn others_act_in_the_middle() {
    isolated(|| {
        let operation = |shared: &Shared| (1..=9).for_each(|n| shared.word(0).store(n, SeqCst));
        let others = |shared: &Shared| {
            let is_time = shared.word(0).load(SeqCst) == 5;
            if is_time {
                shared.word(1).fetch_add(1, SeqCst);
            }
            is_time
        };
        let (mut not_yet, mut done) = (0, 0);
        // Unoptimized there are some thousand points.
        let points = (0..).step_by(if cfg!(debug_assertions) { 37 } else { 1 });
        let report = sweep_beside(points, Shared::new, operation, others, |shared, point| {
            let (reached, acted) = (shared.word(0).load(SeqCst), shared.word(1).load(SeqCst));
            assert_eq!(acted, u32::from(reached >= 5), "{point:?}: at {reached}");
            *(if acted == 0 { &mut not_yet } else { &mut done }) += 1;
        });
        assert!(not_yet > 5 && done > 5, "{not_yet} and {done}");
        assert_eq!((report.points, report.stepped), (not_yet + done, 0));
    });
}

#[test]
#[should_panic(expected = "it was never the time for what the others do")]
fn others_who_never_act_fail_the_test() {
    isolated(|| {
        sweep_beside(0.., || (), |()| {}, |()| false, |(), _| {});
    });
}
