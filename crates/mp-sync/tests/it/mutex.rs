use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use mp_sync::{LockError, Mutex, Pod, ReentrantLock, TimeoutError, TryError};
use mp_testkit::{Gate, fork_child, isolated, once_asleep};
use nix::libc;

use crate::shared::{Recovery, Words, stays};

/// Far more than a slice.
const SOON: Duration = Duration::from_secs(5);

fn mutex(words: &Words) -> Mutex<'_, [u64; 2]> {
    Mutex::attach(words.at(0, Mutex::<[u64; 2]>::WORDS)).unwrap()
}

#[test]
fn smoke() {
    let words = Words::new();
    let mutex = mutex(&words);
    *mutex.lock().unwrap() = [1, 2];
    assert_eq!(*mutex.try_lock().unwrap(), [1, 2]);
    mutex.lock_timeout(Duration::ZERO).unwrap()[0] = 5;
    assert_eq!(*mutex.lock_deadline(Instant::now()).unwrap(), [5, 2]);
    assert!(!mutex.is_locked() && !mutex.is_poisoned());
    assert!(Mutex::<[u64; 2]>::attach(words.at(0, 4)).is_err(), "too few words");
}

/// Lengths that are no multiple of a word among them.
#[test]
fn values_of_any_length() {
    fn round_trip<T: Pod + PartialEq + std::fmt::Debug>(words: &Words, value: T, next: T) {
        let mutex = Mutex::create(words.at(0, Mutex::<T>::WORDS), value).unwrap();
        for expected in [value, next, next] {
            let mut guard = mutex.lock().unwrap();
            assert_eq!(*guard, expected);
            *guard = next;
        }
    }
    let words = Words::new();
    round_trip(&words, (), ());
    round_trip(&words, 1_u8, 2);
    round_trip(&words, [1_u8; 7], [2; 7]);
    round_trip(&words, 1.5_f64, -2.5);
    round_trip(&words, [3_u8; 9], [4; 9]);
    round_trip(&words, [5_u32; 27], [6; 27]);
    round_trip(&words, [7_u64; 64], [8; 64]);
}

#[test]
fn mutual_exclusion() {
    isolated(|| {
        const EACH: u64 = 20_000;
        let words = Words::new();
        let children = [0; 3].map(|_| {
            fork_child(|| {
                for _ in 0..EACH {
                    let mut guard = mutex(&words).lock().unwrap();
                    guard[0] += 1;
                    guard[1] += 2;
                }
                0
            })
        });
        assert!(children.map(|child| child.wait().success()).iter().all(|&ok| ok));
        assert_eq!(*mutex(&words).lock().unwrap(), [3 * EACH, 6 * EACH]);
    });
}

#[test]
fn deadlocks_and_timeouts_are_told() {
    isolated(|| {
        let words = Words::new();
        let mutex = mutex(&words);
        let guard = mutex.lock().unwrap();
        assert!(
            matches!(mutex.lock(), Err(LockError::Failed(error)) if error.kind() == std::io::ErrorKind::Deadlock)
        );
        assert!(matches!(mutex.try_lock(), Err(LockError::Failed(TryError::WouldBlock))));
        drop(guard);
        let _holder = stays(|| mutex.lock().unwrap());
        assert!(matches!(mutex.try_lock(), Err(LockError::Failed(TryError::WouldBlock))));
        for timeout in [0, 1, 30, 60].map(Duration::from_millis) {
            let start = Instant::now();
            let error = mutex.lock_timeout(timeout).unwrap_err();
            assert!(matches!(error, LockError::Failed(TimeoutError::TimedOut)));
            assert!(start.elapsed() >= timeout);
        }
    });
}

#[test]
fn owner_dies() {
    isolated(|| {
        let words = Words::new();
        let mutex = mutex(&words);
        *mutex.lock().unwrap() = [1, 1];
        let holder = stays(|| {
            let mut guard = mutex.lock().unwrap();
            guard[0] = 7;
            guard
        });
        holder.kill();
        let Err(LockError::OwnerDied(guard)) = mutex.lock() else { panic!("the owner has died") };
        assert_eq!(*guard, [1, 1], "what was not committed has not happened");
        drop(guard);
        assert!(matches!(mutex.try_lock(), Err(LockError::OwnerDied(_))), "until somebody cares");
        let guard = mutex.lock().or_else(LockError::recover).unwrap();
        assert!(!mutex.is_poisoned());
        drop(guard);
        drop(mutex.lock().unwrap());
    });
}

/// Locks one in another, so that the kernel knows of the outer one only.
#[test]
fn owner_of_several_dies() {
    isolated(|| {
        let words = Words::new();
        let all = [0, 20, 40].map(|at| Mutex::<u64>::attach(words.at(at, 8)).unwrap());
        let mut recovery = Recovery::default();
        for _ in 0..5 {
            let holder = stays(|| all.map(|mutex| mutex.lock().unwrap()));
            holder.kill();
            for mutex in all {
                recovery.time(|| {
                    let error = mutex.lock_timeout(SOON).unwrap_err();
                    drop(error.recover().unwrap());
                });
            }
        }
        recovery.check("locks of one who held several");
    });
}

/// Who sleeps for a lock that the kernel does not know of is not woken by the death, but looks.
#[test]
fn owner_of_several_dies_while_others_sleep() {
    isolated(|| {
        let words = Words::new();
        let all = [0, 20].map(|at| Mutex::<u64>::attach(words.at(at, 8)).unwrap());
        let holder = stays(|| all.map(|mutex| mutex.lock().unwrap()));
        let inner = all[1];
        let died = once_asleep(
            || inner.lock_timeout(SOON).is_err_and(|error| error.recover().is_ok()),
            || {
                holder.kill();
            },
        );
        assert!(died);
    });
}

/// The order of unlocking need not be that of locking, and the kernel is told of what is still held.
#[test]
fn unlocked_in_any_order() {
    isolated(|| {
        let words = Words::new();
        let [one, two] = [0, 20].map(|at| Mutex::<u64>::attach(words.at(at, 8)).unwrap());
        let holder = stays(|| {
            let first = one.lock().unwrap();
            let second = two.lock().unwrap();
            drop(first);
            let first = one.lock().unwrap();
            drop(second);
            first
        });
        assert!(two.try_lock().is_ok());
        assert!(matches!(one.try_lock(), Err(LockError::Failed(TryError::WouldBlock))));
        holder.kill();
        drop(one.try_lock().unwrap_err().recover().unwrap());
    });
}

#[test]
fn a_stopped_owner_keeps_the_lock() {
    isolated(|| {
        let words = Words::new();
        let all = [0, 20].map(|at| Mutex::<u64>::attach(words.at(at, 8)).unwrap());
        let holder = stays(|| all.map(|mutex| mutex.lock().unwrap()));
        holder.signal(libc::SIGSTOP);
        for mutex in all {
            // Longer than a slice, after which the holder's liveness is looked at.
            let error = mutex.lock_timeout(Duration::from_millis(70)).unwrap_err();
            assert!(matches!(error, LockError::Failed(TimeoutError::TimedOut)));
        }
        holder.kill();
        for mutex in all {
            drop(mutex.lock_timeout(SOON).unwrap_err().recover().unwrap());
        }
    });
}

#[test]
fn a_panic_commits_nothing_and_is_told() {
    let words = Words::new();
    let mutex = mutex(&words);
    *mutex.lock().unwrap() = [3, 3];
    let panicked = std::panic::catch_unwind(|| {
        let mut guard = mutex.lock().unwrap();
        guard[0] = 4;
        panic!("on purpose");
    });
    assert!(panicked.is_err() && mutex.is_poisoned());
    assert_eq!(*mutex.lock().unwrap_err().recover().unwrap(), [3, 3]);
}

/// A child has a copy of its parent's guard, and not the lock.
#[test]
fn a_copied_guard_is_none() {
    isolated(|| {
        let words = Words::new();
        let mutex = mutex(&words);
        let mut guard = mutex.lock().unwrap();
        guard[0] = 1;
        let copy = std::cell::Cell::new(Some(guard));
        let child = fork_child(|| {
            let mut guard = copy.take().unwrap();
            guard[0] = 2;
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                let _copy = guard;
                panic!("on purpose");
            }));
            assert!(panicked.is_err());
            let held = mutex.try_lock().is_err();
            i32::from(!held || mutex.is_poisoned())
        });
        assert_eq!(child.wait().code(), Some(0));
        drop(copy.take());
        assert_eq!(mutex.lock().unwrap()[0], 1);
    });
}

/// What a thread told the kernel of before a fork is not the child's, whose own locks the kernel knows.
#[test]
fn a_forked_child_is_another_holder() {
    isolated(|| {
        let words = Words::new();
        let [one, two] = [0, 20].map(|at| Mutex::<u64>::attach(words.at(at, 8)).unwrap());
        let _held = one.lock().unwrap();
        let child = stays(|| two.lock().unwrap());
        child.kill();
        // By the kernel: the word is marked, so that it takes no look at the holder.
        assert!(!two.is_locked());
        drop(two.try_lock().unwrap_err().recover().unwrap());
    });
}

#[test]
fn reentrant() {
    isolated(|| {
        let words = Words::new();
        let lock = ReentrantLock::attach(words.at(0, ReentrantLock::WORDS)).unwrap();
        let guards = [0; 3].map(|_| lock.lock().unwrap());
        assert_eq!(guards[0].depth(), 3);
        let child = fork_child(|| i32::from(lock.try_lock().is_ok()));
        assert_eq!(child.wait().code(), Some(0));
        drop(guards);
        assert!(!lock.is_locked());
        let holder = stays(|| [0; 3].map(|_| lock.lock().unwrap()));
        assert!(lock.is_locked());
        holder.kill();
        let guard = lock.lock_timeout(SOON).unwrap_err().recover().unwrap();
        assert_eq!(guard.depth(), 1);
        drop(guard);
        assert!(!lock.is_locked());
    });
}

/// Holders are killed at any time, and the sum of two accounts never changes.
#[test]
fn a_storm_of_kills() {
    isolated(|| {
        let words = Words::new();
        let inner = Mutex::<u64>::attach(words.at(40, Mutex::<u64>::WORDS)).unwrap();
        *mutex(&words).lock().unwrap() = [1 << 32, 0];
        let work = || -> ! {
            loop {
                let guard = inner.lock().or_else(LockError::recover).unwrap();
                let mut accounts = mutex(&words).lock().or_else(LockError::recover).unwrap();
                assert_eq!(accounts[0] + accounts[1], 1 << 32);
                accounts[0] -= 1;
                accounts[1] += 1;
                drop((accounts, guard));
            }
        };
        let mut seed = 1_u64;
        for _ in 0..50 {
            let started = Gate::new();
            let children = [0; 2].map(|_| {
                fork_child(|| {
                    started.open();
                    work()
                })
            });
            children.iter().for_each(|child| child.wait_at(&started));
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            for _ in 0..seed >> 50 {
                std::hint::spin_loop();
            }
            children.into_iter().for_each(|child| {
                child.kill();
            });
        }
        let guard = mutex(&words).lock_timeout(SOON).or_else(LockError::recover).unwrap();
        assert_eq!(guard[0] + guard[1], 1 << 32);
        println!("50 kills of two, {} transfers", guard[1]);
        assert!(guard[1] > 0);
        drop(guard);
        words.number().store(0, Relaxed);
    });
}
