//! Barriers: Python's behaviour, and what it does not promise.

use std::{
    thread,
    time::{Duration, Instant},
};

use mp_core::{Barrier, BarrierError, Process, Value};

use crate::LONG;

crate::methods::for_each_method! {
    + by fork:
    in_lock_step,
    indices_and_action,
    abort_reset_and_timeouts,
    places_of_the_dead_come_back,
}

fn pass((barrier, passes, count): (Barrier, u32, Value<u32>)) -> u32 {
    for pass in 1..=passes {
        count.update(|count| *count += 1).unwrap();
        barrier.wait().unwrap();
        let all = barrier.parties() as u32 * pass;
        assert_eq!(count.get().unwrap(), all);
        barrier.wait().unwrap();
    }
    passes
}

fn in_lock_step() {
    let (barrier, count) = (Barrier::new(3).unwrap(), Value::new(0).unwrap());
    let arguments = || (barrier.clone(), 100, count.clone());
    let children = [0; 2].map(|_| Process::spawn(pass, arguments()).unwrap());
    pass(arguments());
    children.into_iter().for_each(|child| {
        child.join().unwrap();
    });
    assert!(barrier.waiting() == 0 && !barrier.is_broken());
}

fn indices_and_action() {
    let (barrier, runs) = (Barrier::new(4).unwrap(), Value::new(0).unwrap());
    let wait = |(barrier, runs): (Barrier, Value<u32>)| {
        let index = barrier.wait_with(|| runs.update(|runs| *runs += 1).unwrap()).unwrap();
        (index, runs.get().unwrap())
    };
    let children = [0; 4].map(|_| Process::spawn(wait, (barrier.clone(), runs.clone())).unwrap());
    let mut ends = children.map(|child| child.join().unwrap());
    ends.sort_unstable();
    assert_eq!(ends, [(0, 1), (1, 1), (2, 1), (3, 1)]);
    assert_eq!(Barrier::new(1).unwrap().wait().unwrap(), 0);
    assert!(Barrier::new(0).is_err() && Barrier::new(usize::MAX).is_err());
}

fn abort_reset_and_timeouts() {
    let barrier = Barrier::new(3).unwrap();
    let wait = |barrier: Barrier| matches!(barrier.wait(), Err(BarrierError::Broken));
    for end in [Barrier::abort, Barrier::reset] {
        let children = [0; 2].map(|_| Process::spawn(wait, barrier.clone()).unwrap());
        while barrier.waiting() < 2 {
            thread::yield_now();
        }
        end(&barrier).unwrap();
        assert_eq!(children.map(|child| child.join().unwrap()), [true; 2]);
        barrier.reset().unwrap();
        assert!(!barrier.is_broken());
    }
    let child = Process::spawn(wait, barrier.clone()).unwrap();
    let timeout = Duration::from_millis(50);
    while barrier.waiting() < 1 {
        thread::yield_now();
    }
    assert!(matches!(barrier.wait_timeout(timeout), Err(BarrierError::TimedOut)));
    assert!(barrier.is_broken() && child.join().unwrap());

    let start = Instant::now();
    let impatient = Barrier::with_timeout(2, timeout).unwrap();
    assert!(matches!(impatient.wait(), Err(BarrierError::TimedOut)));
    assert!(start.elapsed() >= timeout);
    impatient.reset().unwrap();
    let alone = impatient.wait_with_deadline(Instant::now() + timeout, || panic!("it stays shut"));
    assert!(matches!(alone, Err(BarrierError::TimedOut)));
    let (open, mut runs) = (Barrier::new(1).unwrap(), 0);
    assert_eq!(open.wait_with_timeout(Duration::ZERO, || runs += 1).unwrap(), 0);
    assert_eq!(runs, 1);
}

fn places_of_the_dead_come_back() {
    let barrier = Barrier::new(2).unwrap();
    let child = Process::spawn(|barrier: Barrier| drop(barrier.wait()), barrier.clone()).unwrap();
    while barrier.waiting() < 1 {
        thread::yield_now();
    }
    child.kill().unwrap();
    child.join().unwrap_err();
    // The dead one does not count: it takes two more.
    let child = |barrier: Barrier| barrier.wait_timeout(LONG).unwrap();
    let child = Process::spawn(child, barrier.clone()).unwrap();
    assert_eq!(barrier.wait_timeout(LONG).unwrap() + child.join().unwrap(), 1);
}
