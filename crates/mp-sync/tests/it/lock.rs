use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use mp_sync::{TimeoutError, TryError};
use mp_testkit::{Gate, fork_child, isolated};
use nix::libc;

use crate::shared::{OWNER_DIED, Shared};

#[test]
fn smoke() {
    let shared = Shared::new();
    for _ in 0..3 {
        let guard = shared.lock().lock().unwrap();
        assert!(!guard.owner_died());
    }
    drop(shared.lock().try_lock().unwrap());
    drop(shared.lock().lock_timeout(Duration::ZERO).unwrap());
    assert_eq!(shared.word().load(Relaxed), 0);
}

#[test]
fn a_thread_cannot_wait_for_itself() {
    let shared = Shared::new();
    let guard = shared.lock().lock().unwrap();
    assert!(matches!(shared.lock().try_lock(), Err(TryError::WouldBlock)));
    let error = shared.lock().lock().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Deadlock);
    drop(guard);
    assert!(!shared.lock().lock().unwrap().owner_died());
}

#[test]
fn mutual_exclusion() {
    isolated(|| {
        const EACH: u32 = 30_000;
        let shared = Shared::new();
        let children = [0, 1, 2].map(|_| {
            fork_child(|| {
                for _ in 0..EACH {
                    let _guard = shared.lock().lock().unwrap();
                    // Not an atomic addition: it is the lock that makes it one.
                    shared.number().store(shared.number().load(Relaxed) + 1, Relaxed);
                }
                0
            })
        });
        assert!(children.map(|child| child.wait().success()).iter().all(|&ok| ok));
        assert_eq!(shared.number().load(Relaxed), 3 * EACH);
    });
}

#[test]
fn timeouts_are_never_early() {
    isolated(|| {
        let shared = Shared::new();
        let holder = shared.holder();
        for timeout in [0, 1, 30, 150].map(Duration::from_millis) {
            let start = Instant::now();
            assert!(matches!(shared.lock().lock_timeout(timeout), Err(TimeoutError::TimedOut)));
            assert!(start.elapsed() >= timeout);
        }
        let deadline = Instant::now() + Duration::from_millis(5);
        assert!(shared.lock().lock_deadline(deadline).is_err() && Instant::now() >= deadline);
        holder.kill();
        assert!(shared.lock().lock().unwrap().owner_died());
        assert!(!shared.lock().lock().unwrap().owner_died());
    });
}

#[test]
fn owner_dies() {
    isolated(|| {
        let shared = Shared::new();
        let holder = shared.holder();
        let waiters = [0; 3].map(|_| shared.waiter());
        shared.until_waiting();
        holder.kill();
        let told: i32 = waiters.map(|child| child.wait().code().unwrap()).iter().sum();
        assert_eq!(told, 1, "one waiter is told");
    });
}

#[test]
fn waiters_die() {
    isolated(|| {
        let shared = Shared::new();
        let guard = shared.lock().lock().unwrap();
        let killed = [0; 3].map(|_| shared.waiter());
        shared.until_waiting();
        let last = shared.waiter();
        for child in killed {
            child.kill();
        }
        drop(guard);
        assert_eq!(last.wait().code(), Some(0));
    });
}

#[test]
fn a_stopped_owner_keeps_the_lock() {
    isolated(|| {
        let shared = Shared::new();
        let holder = shared.holder();
        holder.signal(libc::SIGSTOP);
        // Longer than a slice, after which the holder's liveness is looked at.
        let timeout = Duration::from_millis(250);
        assert!(matches!(shared.lock().lock_timeout(timeout), Err(TimeoutError::TimedOut)));
        assert_eq!(shared.word().load(Relaxed) & !crate::shared::WAITERS, holder.id());
        holder.kill();
        assert!(shared.lock().lock().unwrap().owner_died());
    });
}

/// The holder breaks the rules of a leaf, as if a robust pthread mutex had been used inside.
#[test]
fn an_owner_that_the_kernel_was_not_told_of() {
    isolated(|| {
        let shared = Shared::new();
        let stale = fork_child(|| 0);
        let dead = stale.id();
        stale.wait();
        shared.word().store(dead, Relaxed);
        assert!(shared.lock().lock_timeout(Duration::from_secs(5)).unwrap().owner_died());

        // Nor is a zombie alive: it has not been reaped, and its number still exists.
        let gate = Gate::new();
        let zombie = fork_child(|| {
            shared.word().store(std::process::id(), Relaxed);
            gate.open();
            0
        });
        zombie.wait_at(&gate);
        assert!(shared.lock().lock_timeout(Duration::from_secs(5)).unwrap().owner_died());
        zombie.wait();
    });
}

#[test]
fn a_thread_that_ends_releases() {
    let shared = Shared::new();
    std::thread::scope(|scope| {
        scope.spawn(|| std::mem::forget(shared.lock().lock().unwrap()));
    });
    // `scope` returns when the closures have, which may be before the kernel has looked.
    assert!(shared.lock().lock_timeout(Duration::from_secs(5)).unwrap().owner_died());
}

#[test]
fn exec_releases() {
    isolated(|| {
        use std::os::unix::process::CommandExt;

        let shared = Shared::new();
        let child = fork_child(|| {
            let _guard = shared.lock().lock().unwrap();
            let error = std::process::Command::new("sleep").arg("60").exec();
            panic!("{error}");
        });
        while shared.word().load(Relaxed) & OWNER_DIED == 0 {
            std::thread::yield_now();
        }
        assert!(shared.lock().lock().unwrap().owner_died());
        child.kill();
    });
}
