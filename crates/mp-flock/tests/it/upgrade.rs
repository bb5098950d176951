//! From a shared lock to an exclusive one and back, for the three kinds.

use std::time::Duration;

use mp_flock::{Failed, Mode, Remains, TimeoutError, TryError};
use mp_testkit::{Gate, fork_child, wait_for_kill};
use tempfile::NamedTempFile;

use crate::conformance::{BUSY, Kind, TAKEN, free, holder, open};

pub(crate) fn upgrade_and_downgrade<B: Kind>() {
    let file = NamedTempFile::new().unwrap();
    let lock = B::shared().lock(open(file.path())).unwrap();
    let mut lock = lock.upgrade().unwrap();
    assert_eq!(lock.mode(), Mode::Exclusive);
    assert!(!free(B::shared(), file.path()));
    lock.downgrade().unwrap();
    assert_eq!(lock.mode(), Mode::Shared);
    assert!(free(B::shared(), file.path()) && !free(B::exclusive(), file.path()));
}

pub(crate) fn a_failed_upgrade_leaves_the_shared_lock<B: Kind>() {
    let file = NamedTempFile::new().unwrap();
    let lock = B::shared().lock(open(file.path())).unwrap();
    let other = holder(B::shared(), file.path());
    let Err(Failed { value: Remains::Shared(lock), error: TryError::WouldBlock }) =
        lock.try_upgrade()
    else {
        panic!("another one shares it")
    };
    let timeout = Duration::from_millis(3);
    let Err(Failed { value: Remains::Shared(lock), error: TimeoutError::TimedOut }) =
        lock.upgrade_timeout(timeout)
    else {
        panic!("another one shares it")
    };
    other.kill();
    assert!(!free(B::exclusive(), file.path()), "it is shared still");
    let lock = lock.upgrade_timeout(timeout).unwrap();
    assert!(!free(B::shared(), file.path()));
    drop(lock);
}

/// Two share it and both upgrade: an atomic upgrade lets neither, an `flock` lets the second.
pub(crate) fn who_wins_when_two_upgrade<B: Kind>() {
    let file = NamedTempFile::new().unwrap();
    let lock = B::shared().lock(open(file.path())).unwrap();
    let (shares, waits) = (Gate::new(), Gate::new());
    let other = fork_child(|| {
        let lock = B::shared().lock(open(file.path())).unwrap();
        shares.open();
        waits.wait();
        match lock.upgrade_timeout(Duration::from_millis(200)) {
            Ok(_exclusive) => {
                shares.open();
                wait_for_kill()
            }
            Err(_) => BUSY,
        }
    });
    other.wait_at(&shares);
    waits.open();
    // Ends later than the other one begins.
    let outcome = lock.upgrade_timeout(Duration::from_millis(100));
    if B::UPGRADE_RELEASES {
        match outcome {
            Ok(_) => {
                // The other one gave its lock up first.
                drop(outcome);
                other.wait_at(&shares);
            }
            Err(Failed { value: Remains::Nothing(_), error: TimeoutError::TimedOut }) => {}
            other => panic!("{other:?}"),
        }
        other.kill();
    } else {
        let Err(Failed { value: Remains::Shared(_shared), .. }) = outcome else {
            panic!("the other one never let go")
        };
        assert_eq!(other.wait().code(), Some(BUSY));
    }
}

/// Two share a lock; one waits to have it alone, and has it when the other one is killed.
pub(crate) fn a_killed_sharer_lets_an_upgrade_go_on<B: Kind>() {
    let file = NamedTempFile::new().unwrap();
    for timeout in [None, Some(Duration::from_secs(60))] {
        let other = holder(B::shared(), file.path());
        let gate = Gate::new();
        let waiter = fork_child(|| {
            let lock = B::shared().lock(open(file.path())).unwrap();
            gate.open();
            match timeout {
                None => drop(lock.upgrade().unwrap()),
                Some(timeout) => drop(lock.upgrade_timeout(timeout).unwrap()),
            }
            TAKEN
        });
        waiter.wait_at(&gate);
        let waiter = waiter.wait_timeout(Duration::from_millis(10)).expect_err("it is shared");
        other.kill();
        assert_eq!(waiter.wait().code(), Some(TAKEN));
    }
}
