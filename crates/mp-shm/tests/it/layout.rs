use std::{
    os::unix::process::ExitStatusExt,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::{Duration, Instant},
};

use mp_shm::{Layout, LayoutError, ReadSegment, Segment};
use mp_testkit::{Gate, fork_child, isolated, wait_for_kill};

const LAYOUT: Layout = Layout::new("test", 1).of::<u64>();
const SOON: Duration = Duration::from_millis(20);
const LATE: Duration = Duration::from_secs(20);

fn segment() -> Segment {
    Segment::create("layout", 4096).unwrap()
}

#[test]
fn contents_are_initialized_once_and_found_by_all() {
    let segment = segment();
    let body = LAYOUT.initialize(segment.memory(), |body| Ok(body.write(0, 7_u64)?)).unwrap();
    assert_eq!(body.len(), 4096 - Layout::HEADER);
    let again = LAYOUT.initialize(segment.memory(), |_| panic!("a second time"));
    assert!(matches!(again, Err(LayoutError::Initialized)));
    for body in [
        LAYOUT.try_attach(segment.memory()),
        LAYOUT.attach_timeout(segment.memory(), Duration::ZERO),
        LAYOUT.attach_deadline(segment.memory(), Instant::now()),
    ] {
        assert_eq!(body.unwrap().read::<u64>(0).unwrap(), 7);
    }
}

#[test]
fn another_layout_is_refused() {
    let segment = segment();
    LAYOUT.initialize(segment.memory(), |_| Ok(())).unwrap();
    let others = [
        Layout::new("test", 2).of::<u64>(),
        Layout::new("other", 1).of::<u64>(),
        Layout::new("test", 1).of::<u32>(),
        Layout::new("test", 1),
    ];
    for other in others {
        let refused = other.try_attach(segment.memory());
        assert!(matches!(refused, Err(LayoutError::Mismatch { expected, found })
            if expected == other.hash() && found == LAYOUT.hash()));
    }
}

#[test]
fn memory_that_nobody_has_initialized_is_told_apart() {
    let segment = segment();
    assert!(matches!(LAYOUT.try_attach(segment.memory()), Err(LayoutError::Uninitialized)));
    let start = Instant::now();
    let waited = LAYOUT.attach_timeout(segment.memory(), SOON);
    assert!(matches!(waited, Err(LayoutError::TimedOut)) && start.elapsed() >= SOON);
    let small = Segment::create("small", Layout::HEADER - 1).unwrap();
    let refused = LAYOUT.initialize(small.memory(), |_| Ok(()));
    assert!(matches!(refused, Err(LayoutError::TooSmall)));
}

#[test]
fn a_failed_initialization_can_be_done_again() {
    let segment = segment();
    let failed = LAYOUT.initialize(segment.memory(), |body| Ok(body.copy_in(1 << 20, b"x")?));
    assert!(matches!(failed, Err(LayoutError::Os(_))));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _ = LAYOUT.initialize(segment.memory(), |_| panic!("half-way"));
    }));
    assert!(panicked.is_err());
    assert!(matches!(LAYOUT.try_attach(segment.memory()), Err(LayoutError::Uninitialized)));
    LAYOUT.initialize(segment.memory(), |_| Ok(())).unwrap();
}

#[test]
fn an_attacher_waits_for_the_end_of_the_initialization() {
    isolated(|| {
        let (segment, begun, go_on) = (segment(), Gate::new(), Gate::new());
        let child = fork_child(|| {
            let initialized = LAYOUT.initialize(segment.memory(), |body| {
                begun.open();
                go_on.wait();
                Ok(body.write(0, 7_u64)?)
            });
            i32::from(initialized.is_err())
        });
        child.wait_at(&begun);
        assert!(matches!(LAYOUT.try_attach(segment.memory()), Err(LayoutError::Initializing)));
        let second = LAYOUT.initialize(segment.memory(), |_| panic!("meanwhile"));
        assert!(matches!(second, Err(LayoutError::Initializing)));
        let waited = LAYOUT.attach_timeout(segment.memory(), SOON);
        assert!(matches!(waited, Err(LayoutError::TimedOut)));
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let body = LAYOUT.attach_timeout(segment.memory(), LATE).unwrap();
                body.read::<u64>(0).unwrap()
            });
            go_on.open();
            assert_eq!(waiter.join().unwrap(), 7);
        });
        assert!(child.wait().success());
    });
}

#[test]
fn the_death_of_the_initializing_process_is_seen_and_repaired() {
    isolated(|| {
        let (segment, begun) = (segment(), Gate::new());
        let child = fork_child(|| {
            let _ = LAYOUT.initialize(segment.memory(), |body| {
                body.write(0, 1_u64)?;
                begun.open();
                wait_for_kill()
            });
            1
        });
        child.wait_at(&begun);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                matches!(LAYOUT.attach_timeout(segment.memory(), LATE), Err(LayoutError::Abandoned))
            });
            assert_eq!(child.kill().signal(), Some(9));
            assert!(waiter.join().unwrap());
        });
        LAYOUT.initialize(segment.memory(), |body| Ok(body.write(8, 2_u64)?)).unwrap();
        let body = LAYOUT.try_attach(segment.memory()).unwrap();
        assert_eq!((body.read(0).unwrap(), body.read(8).unwrap()), (1_u64, 2_u64));
    });
}

#[test]
fn the_initializing_process_can_be_killed_at_every_instruction() {
    isolated(|| {
        let initialize = |segment: &Segment| {
            LAYOUT.initialize(segment.memory(), |body| Ok(body.write(0, 7_u64)?)).unwrap();
        };
        let report = mp_testkit::sweep_sample(40, segment, initialize, |segment, point| {
            match LAYOUT.try_attach(segment.memory()) {
                Ok(_) => {}
                Err(LayoutError::Uninitialized | LayoutError::Abandoned) => {
                    assert!(!point.complete);
                    initialize(&segment);
                }
                Err(error) => panic!("{error}"),
            }
            let body = LAYOUT.try_attach(segment.memory()).unwrap();
            assert_eq!(body.read::<u64>(0).unwrap(), 7);
        });
        assert!(report.killed > 10, "{report:?}");
    });
}

#[test]
fn readers_attach_too() {
    let segment = Segment::create_for_readers("layout", 4096).unwrap();
    let reader = ReadSegment::from_fd(segment.try_clone_fd().unwrap()).unwrap();
    let early = LAYOUT.try_attach_read_only(reader.memory());
    assert!(matches!(early, Err(LayoutError::Uninitialized)));
    LAYOUT.initialize(segment.memory(), |body| Ok(body.write(0, 7_u64)?)).unwrap();
    let body = LAYOUT.try_attach_read_only(reader.memory()).unwrap();
    assert_eq!(body.read::<u64>(0).unwrap(), 7);
}

#[test]
fn garbage_is_not_a_layout() {
    let segment = segment();
    segment.memory().copy_in(0, &[0xff; 200]).unwrap();
    let refused = LAYOUT.try_attach(segment.memory());
    assert!(matches!(refused, Err(LayoutError::Mismatch { .. })));
    segment.memory().copy_in(8, &LAYOUT.hash().to_ne_bytes()).unwrap();
    assert!(matches!(LAYOUT.try_attach(segment.memory()), Err(LayoutError::TooSmall)));
}
