//! Killed at every instruction of an operation (in builds without optimization: at a sample of them).

use std::time::Duration;

use mp_sem::sysv::{CreateOptions, Key, OpenOptions, SemaphoreSet};
use mp_testkit::{Point, isolated_for, sweep, sweep_sample, unique_key};

use crate::{Backend, Named, Semaphore, SystemV, Unnamed};

/// A step is two switches between processes, of which a busy machine makes few.
const LIMIT: Duration = Duration::from_secs(600);

#[test]
fn posix_named() {
    isolated_for(LIMIT, || {
        acquire_and_release::<Named>();
    });
}

#[test]
fn posix_unnamed() {
    isolated_for(LIMIT, || {
        acquire_and_release::<Unnamed>();
    });
}

#[test]
fn sysv() {
    isolated_for(LIMIT, || {
        acquire_and_release::<SystemV>();
    });
}

type State = Box<dyn Semaphore>;

fn at_every_instruction<S>(
    setup: impl Fn() -> S,
    operation: impl Fn(&S),
    oracle: impl Fn(S, Point),
) {
    let report = match cfg!(debug_assertions) {
        true => sweep_sample(40, setup, operation, oracle),
        false => sweep(setup, operation, oracle),
    };
    assert!(report.killed > 0);
}

/// System V loses nothing. POSIX loses the permit in the hand of the dead, and never makes one.
fn acquire_and_release<B: Backend>() {
    at_every_instruction(
        || B::fresh(1),
        |semaphore: &State| drop(semaphore.acquire().unwrap()),
        |semaphore, point| {
            let value = semaphore.value();
            assert!(value == 1 || (value == 0 && !point.complete && !B::UNDOES), "{value}");
            semaphore.release(2 - value).unwrap();
            let permits = [semaphore.try_acquire().unwrap(), semaphore.try_acquire().unwrap()];
            assert!(semaphore.try_acquire().is_err());
            drop(permits);
        },
    );
}

/// A key under which nothing is left in the end.
struct Cleared(Key);

impl Drop for Cleared {
    fn drop(&mut self) {
        if let Ok(set) = OpenOptions::new().init_timeout(Duration::ZERO).open(self.0) {
            set.remove().unwrap();
        }
    }
}

/// However far the creator got, the next one finds the values or sets them.
#[test]
fn create_a_set() {
    const VALUES: [u16; 2] = [3, 0];

    isolated_for(LIMIT, || {
        at_every_instruction(
            || Cleared(unique_key()),
            |key| SemaphoreSet::create_new(key.0, &VALUES).unwrap().persist(),
            |key, point| {
                let soon = CreateOptions::new().init_timeout(Duration::from_millis(2));
                let set = soon.create(key.0, &VALUES).unwrap();
                assert_eq!(set.values().unwrap(), VALUES);
                assert!(!set.is_owner() || !point.complete);
            },
        );
    });
}
