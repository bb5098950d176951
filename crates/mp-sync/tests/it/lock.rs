use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use mp_shm::Segment;
use mp_sync::{LeafLock, TimeoutError, TryError};
use mp_testkit::{Child, Gate, fork_child, isolated, wait_for_kill};

fn shared() -> Segment {
    Segment::create("lock-test", 4096).unwrap()
}

fn lock(segment: &Segment) -> &LeafLock {
    LeafLock::from_atomic(segment.mapping().atomic_u32(0).unwrap())
}

/// A child that holds the lock until it is killed.
fn holder(lock: &LeafLock) -> Child {
    let held = Gate::new();
    let child = fork_child(|| {
        let _guard = lock.lock().unwrap();
        held.open();
        wait_for_kill()
    });
    child.wait_at(&held);
    child
}

#[test]
fn smoke() {
    let segment = shared();
    let lock = lock(&segment);
    for _ in 0..3 {
        let guard = lock.lock().unwrap();
        assert!(!guard.owner_died());
    }
    drop(lock.try_lock().unwrap());
    drop(lock.lock_timeout(Duration::ZERO).unwrap());
}

#[test]
fn a_thread_cannot_wait_for_itself() {
    let segment = shared();
    let lock = lock(&segment);
    let guard = lock.lock().unwrap();
    assert!(matches!(lock.try_lock(), Err(TryError::WouldBlock)));
    let error = lock.lock().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Deadlock);
    drop(guard);
    assert!(!lock.lock().unwrap().owner_died());
}

#[test]
fn mutual_exclusion() {
    isolated(|| {
        const EACH: u64 = 50_000;
        let segment = shared();
        let (lock, count) = (lock(&segment), segment.mapping().atomic_u64(128).unwrap());
        let children = [0, 1, 2].map(|_| {
            fork_child(|| {
                for _ in 0..EACH {
                    let _guard = lock.lock().unwrap();
                    // Not an atomic addition: it is the lock that makes it one.
                    count.store(count.load(Relaxed) + 1, Relaxed);
                }
                0
            })
        });
        assert!(children.map(|child| child.wait().success()).iter().all(|&ok| ok));
        assert_eq!(count.load(Relaxed), 3 * EACH);
    });
}

#[test]
fn timeouts_are_never_early() {
    isolated(|| {
        let segment = shared();
        let lock = lock(&segment);
        let child = holder(lock);
        for timeout in [0, 1, 30, 150].map(Duration::from_millis) {
            let start = Instant::now();
            assert!(matches!(lock.lock_timeout(timeout), Err(TimeoutError::TimedOut)));
            assert!(start.elapsed() >= timeout);
        }
        let deadline = Instant::now() + Duration::from_millis(5);
        assert!(lock.lock_deadline(deadline).is_err() && Instant::now() >= deadline);
        child.kill();
        assert!(lock.lock().unwrap().owner_died());
        assert!(!lock.lock().unwrap().owner_died());
    });
}

#[test]
fn owner_dies() {
    isolated(|| {
        let segment = shared();
        let lock = lock(&segment);
        let victim = holder(lock);
        let waiters = [0; 3].map(|_| fork_child(|| i32::from(lock.lock().unwrap().owner_died())));
        let word = segment.mapping().atomic_u32(0).unwrap();
        while word.load(Relaxed) & 0x8000_0000 == 0 {
            std::thread::yield_now();
        }
        victim.kill();
        let died: i32 = waiters.map(|child| child.wait().code().unwrap()).iter().sum();
        assert_eq!(died, 1, "one waiter is told");
    });
}
