//! Semaphores of POSIX and of System V.

use criterion::Criterion;
use mp_benches::raw;
use mp_os::sysv::Key;
use mp_sem::sysv::SemaphoreSet;
use nix::libc;

use super::{A_SECOND, compare};

pub(crate) fn semaphores(criterion: &mut Criterion) {
    let (ours, raw) = (mp_sem::posix::Semaphore::unnamed(1).unwrap(), raw::Semaphore::new(1));
    let take = || drop(ours.acquire().unwrap());
    compare(criterion, "raw-posix-sem", take, || {
        raw.wait();
        raw.post();
    });
    let take = || drop(ours.try_acquire().unwrap());
    compare(criterion, "raw-posix-sem-try", take, || {
        assert_eq!(raw.try_wait(), 0);
        raw.post();
    });
    let take = || drop(ours.acquire_timeout(A_SECOND).unwrap());
    compare(criterion, "raw-posix-sem-timeout", take, || {
        raw.wait_a_second();
        raw.post();
    });
    let _permit = ours.acquire().unwrap();
    raw.wait();
    let refused = || assert!(matches!(ours.try_acquire(), Err(mp_os::TryError::WouldBlock)));
    compare(criterion, "raw-posix-sem-busy", refused, || raw::refused(raw.try_wait()));

    let set = SemaphoreSet::create_new(Key::PRIVATE, &[1]).expect("a semaphore");
    for (name, flags) in [("raw-sysv-sem", 0), ("raw-sysv-sem-try", libc::IPC_NOWAIT)] {
        let take = || match flags {
            0 => drop(set.acquire(0).unwrap()),
            _ => drop(set.try_acquire(0).unwrap()),
        };
        compare(criterion, name, take, || {
            assert_eq!(raw::semop(set.id(), -1, flags), 0);
            assert_eq!(raw::semop(set.id(), 1, flags), 0);
        });
    }
    let _permit = set.acquire(0).unwrap();
    compare(
        criterion,
        "raw-sysv-sem-busy",
        || assert!(set.try_acquire(0).is_err()),
        || raw::refused(raw::semop(set.id(), -1, libc::IPC_NOWAIT)),
    );
}
