//! The leaf lock.

use loom::{cell::UnsafeCell, sync::Arc, thread};

use crate::{
    LeafLock, explore, made,
    robust::{die_after, enter, is_dead, step},
};

/// A lock and what it protects. Loom complains where two threads get at the number at a time.
struct Protected {
    lock: LeafLock,
    number: UnsafeCell<u32>,
}

impl Protected {
    fn new() -> Arc<Self> {
        Arc::new(Self { lock: made(LeafLock::new()), number: UnsafeCell::new(0) })
    }

    /// Counts to an even number; whether the last one who did died on the way.
    fn count(&self) -> bool {
        let guard = self.lock.lock().expect("no system call fails here");
        if is_dead() {
            return false;
        }
        let owner_died = guard.owner_died();
        let number = self.get();
        assert!(number.is_multiple_of(2) || owner_died, "a change by halves goes unsaid");
        self.set(number / 2 * 2 + 1);
        if step() {
            self.set(number / 2 * 2 + 2);
        }
        owner_died
    }

    #[expect(unsafe_code, reason = "loom checks each access")]
    fn get(&self) -> u32 {
        // SAFETY: under the lock, as loom makes sure.
        self.number.with(|number| unsafe { *number })
    }

    #[expect(unsafe_code, reason = "loom checks each access")]
    fn set(&self, value: u32) {
        // SAFETY: under the lock, as loom makes sure.
        self.number.with_mut(|number| unsafe { *number = value });
    }
}

/// Every thread counts once; thread 2 dies after `steps` steps, if at all. What the number is in the end.
fn count_together(threads: u32, steps: Option<u32>) -> u32 {
    let protected = Protected::new();
    enter(1);
    let others: Vec<_> = (2..=threads)
        .map(|tid| {
            let protected = Arc::clone(&protected);
            thread::spawn(move || {
                enter(tid);
                if let (2, Some(steps)) = (tid, steps) {
                    die_after(steps);
                }
                protected.count();
            })
        })
        .collect();
    protected.count();
    others.into_iter().for_each(|thread| thread.join().expect("it counts"));
    protected.count();
    protected.get()
}

#[test]
fn one_at_a_time_and_nobody_sleeps_for_ever() {
    explore(5, || assert_eq!(count_together(2, None), 6));
    explore(3, || assert_eq!(count_together(3, None), 8));
}

/// More steps than it takes to take the lock and to give it back, with others in the way.
const STEPS: u32 = 16;

#[test]
fn a_holder_may_die_at_any_step() {
    for steps in 0..STEPS {
        explore(4, move || assert!(count_together(2, Some(steps)).is_multiple_of(2)));
    }
}

#[test]
fn a_holder_may_die_at_any_step_among_three() {
    for steps in 0..STEPS {
        explore(2, move || assert!(count_together(3, Some(steps)).is_multiple_of(2)));
    }
}
