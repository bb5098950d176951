use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use mp_sync::{Barrier, BarrierError, Deadline};
use mp_testkit::{Child, Gate, fork_child, isolated, wait_asleep, wait_for_kill};

use crate::shared::{Recovery, Words};

const SOON: Duration = Duration::from_secs(5);

fn create(words: &Words, parties: usize) -> Barrier<'_> {
    Barrier::create(words.at(0, Barrier::words(parties)), parties).unwrap()
}

fn attach(words: &Words) -> Barrier<'_> {
    Barrier::attach(words.at(0, 200)).unwrap()
}

/// A child that has come, and ends with 0 where the barrier opens and 1 where it is broken.
fn waiter(words: &Words) -> Child {
    let child = fork_child(|| match attach(words).wait_timeout(SOON) {
        Ok(_) => 0,
        Err(BarrierError::Broken) => 1,
        Err(error) => panic!("{error}"),
    });
    wait_asleep(child.id(), child.id());
    child
}

#[test]
fn lock_step() {
    isolated(|| {
        const ROUNDS: u64 = 200;
        let words = Words::new();
        create(&words, 3);
        let children = [0; 3].map(|_| {
            fork_child(|| {
                let barrier = attach(&words);
                for round in 1..=ROUNDS {
                    words.number().fetch_add(1, Relaxed);
                    barrier.wait().unwrap();
                    assert_eq!(words.number().load(Relaxed), 3 * round);
                    barrier.wait().unwrap();
                }
                0
            })
        });
        assert!(children.map(|child| child.wait().success()).iter().all(|&ok| ok));
        assert_eq!(attach(&words).waiting(), 0);
    });
}

#[test]
fn one_party_never_waits_and_none_is_refused() {
    let words = Words::new();
    assert_eq!(create(&words, 1).wait().unwrap(), 0);
    assert!(Barrier::create(words.at(0, 100), 0).is_err());
    assert!(Barrier::create(words.at(0, 10), 10).is_err());
    assert!(Barrier::attach(words.at(500, 100)).is_err(), "zeroes are no barrier");
}

#[test]
fn one_runs_the_action_before_anybody_goes_on() {
    isolated(|| {
        let words = Words::new();
        create(&words, 3);
        let children = [0; 3].map(|_| {
            fork_child(|| {
                let action = || {
                    words.number().fetch_add(1, Relaxed);
                };
                let index = attach(&words).wait_until(Deadline::after(SOON), action).unwrap();
                assert_eq!(words.number().load(Relaxed), 1);
                index as i32
            })
        });
        let mut indices = children.map(|child| child.wait().code().unwrap());
        indices.sort_unstable();
        assert_eq!(indices, [0, 1, 2]);
    });
}

#[test]
fn giving_up_breaks_it_and_reset_mends_it() {
    isolated(|| {
        let words = Words::new();
        let barrier = create(&words, 3);
        let other = waiter(&words);
        let start = Instant::now();
        let timeout = Duration::from_millis(30);
        assert!(matches!(barrier.wait_timeout(timeout), Err(BarrierError::TimedOut)));
        assert!(start.elapsed() >= timeout && barrier.is_broken());
        assert_eq!(other.wait().code(), Some(1));
        assert!(matches!(barrier.wait(), Err(BarrierError::Broken)));
        barrier.reset().unwrap();
        assert!(!barrier.is_broken() && barrier.waiting() == 0);
        let others = [0; 2].map(|_| waiter(&words));
        barrier.wait_timeout(SOON).unwrap();
        assert!(others.map(|child| child.wait().success()).iter().all(|&ok| ok));
    });
}

#[test]
fn abort_and_reset_let_all_go() {
    isolated(|| {
        let words = Words::new();
        let barrier = create(&words, 4);
        for end in [Barrier::abort, Barrier::reset] {
            let waiters = [0; 2].map(|_| waiter(&words));
            assert_eq!(barrier.waiting(), 2);
            end(&barrier).unwrap();
            assert!(waiters.map(|child| child.wait().code()) == [Some(1); 2]);
            barrier.reset().unwrap();
        }
    });
}

#[test]
fn the_dead_give_their_places_back() {
    isolated(|| {
        let words = Words::new();
        let barrier = create(&words, 3);
        let mut recovery = Recovery::default();
        for _ in 0..5 {
            let dead = waiter(&words);
            dead.kill();
            let alive = waiter(&words);
            // With the dead one there would be three now.
            let last = recovery.time(|| {
                let late = fork_child(|| i32::from(attach(&words).wait_timeout(SOON).is_err()));
                while barrier.waiting() != 2 {
                    std::thread::yield_now();
                }
                late
            });
            barrier.wait_timeout(SOON).unwrap();
            assert!(alive.wait().success() && last.wait().success());
        }
        recovery.check("places at a barrier");
    });
}

/// One of them runs the action, and dies in it: the other one is told.
#[test]
fn a_dead_runner_breaks_it() {
    isolated(|| {
        let words = Words::new();
        create(&words, 2);
        let begun = Gate::new();
        let mut children = Vec::from([0; 2].map(|_| {
            fork_child(|| {
                let action = || {
                    words.number().store(std::process::id().into(), Relaxed);
                    begun.open();
                    wait_for_kill()
                };
                let waited = attach(&words).wait_until(Deadline::after(SOON), action);
                i32::from(!matches!(waited, Err(BarrierError::Broken)))
            })
        }));
        begun.wait();
        let runner = words.number().load(Relaxed);
        let index = children.iter().position(|child| u64::from(child.id()) == runner);
        children.swap_remove(index.unwrap()).kill();
        assert!(children.remove(0).wait().success());
        assert!(attach(&words).is_broken());
    });
}
