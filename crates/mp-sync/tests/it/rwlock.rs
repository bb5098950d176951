use std::time::{Duration, Instant};

use mp_sync::{LockError, RwLock, TimeoutError, TryError};
use mp_testkit::{fork_child, isolated, once_asleep, wait_asleep};
use nix::libc;

use crate::shared::{Recovery, Words, stays};

const SOON: Duration = Duration::from_secs(5);
const PROCESSES: usize = 6;

fn lock(words: &Words) -> RwLock<'_, [u64; 2]> {
    RwLock::attach(words.at(0, RwLock::<[u64; 2]>::words(PROCESSES))).unwrap()
}

#[test]
fn smoke() {
    let words = Words::new();
    let lock = lock(&words);
    *lock.write().unwrap() = [1, 2];
    let readers = (lock.read().unwrap(), lock.try_read().unwrap());
    assert_eq!((*readers.0, *readers.1), ([1, 2], [1, 2]));
    assert!(matches!(lock.try_write(), Err(LockError::Failed(TryError::WouldBlock))));
    let start = Instant::now();
    let error = lock.write_timeout(Duration::from_millis(30)).unwrap_err();
    assert!(matches!(error, LockError::Failed(TimeoutError::TimedOut)));
    assert!(start.elapsed() >= Duration::from_millis(30));
    drop(readers);
    let writer = lock.write_deadline(Instant::now()).unwrap();
    assert!(lock.try_write().is_err());
    drop(writer);
    assert!(RwLock::<[u64; 2]>::attach(words.at(0, 10)).is_err(), "too few words");
}

/// A reader sees the pair of one writer, never of two.
#[test]
fn readers_and_writers_exclude_each_other() {
    isolated(|| {
        const EACH: u64 = 2_000;
        let words = Words::new();
        let write = || {
            for _ in 0..EACH {
                let mut guard = lock(&words).write().unwrap();
                guard[0] += 1;
                guard[1] += 1;
            }
            0
        };
        let read = || {
            for _ in 0..EACH {
                let guard = lock(&words).read().unwrap();
                assert_eq!(guard[0], guard[1]);
            }
            0
        };
        let children = [fork_child(write), fork_child(write), fork_child(read), fork_child(read)];
        assert!(children.map(|child| child.wait().success()).iter().all(|&ok| ok));
        assert_eq!(*lock(&words).read().unwrap(), [2 * EACH; 2]);
    });
}

#[test]
fn read_locks_of_the_dead_come_back() {
    isolated(|| {
        let words = Words::new();
        let lock = lock(&words);
        let mut recovery = Recovery::default();
        for _ in 0..5 {
            let readers = [0; 3].map(|_| stays(|| [lock.read().unwrap(), lock.read().unwrap()]));
            assert!(lock.try_write().is_err());
            readers.into_iter().for_each(|reader| {
                reader.kill();
            });
            recovery.time(|| drop(lock.write_timeout(SOON).unwrap()));
        }
        recovery.check("read locks");
        let reader = stays(|| lock.read().unwrap());
        let written = once_asleep(
            || lock.write_timeout(SOON).is_ok(),
            || {
                reader.kill();
            },
        );
        assert!(written && !lock.is_poisoned());
    });
}

#[test]
fn a_writer_dies() {
    isolated(|| {
        let words = Words::new();
        let lock = lock(&words);
        *lock.write().unwrap() = [1, 1];
        let writer = stays(|| {
            let mut guard = lock.write().unwrap();
            guard[0] = 2;
            guard
        });
        writer.kill();
        let Err(LockError::OwnerDied(guard)) = lock.read_timeout(SOON) else { panic!("it died") };
        assert_eq!(*guard, [1, 1]);
        drop(guard);
        drop(lock.write().or_else(LockError::recover).unwrap());
        assert_eq!(*lock.read().unwrap(), [1, 1]);
    });
}

/// A writer that only waits has changed nothing, and keeps readers out no longer than it lives.
#[test]
fn a_waiting_writer_dies() {
    isolated(|| {
        let words = Words::new();
        let lock = lock(&words);
        let reader = lock.read().unwrap();
        let writer = fork_child(|| i32::from(lock.write().is_ok()));
        wait_asleep(writer.id(), writer.id());
        assert!(lock.try_read().is_err(), "writers go first");
        writer.kill();
        drop(lock.read_timeout(SOON).unwrap());
        drop(reader);
        drop(lock.write().unwrap());
        assert!(!lock.is_poisoned());
    });
}

#[test]
fn a_stopped_reader_keeps_the_lock() {
    isolated(|| {
        let words = Words::new();
        let lock = lock(&words);
        let reader = stays(|| lock.read().unwrap());
        reader.signal(libc::SIGSTOP);
        assert!(lock.write_timeout(Duration::from_millis(70)).is_err());
        reader.kill();
        drop(lock.write_timeout(SOON).unwrap());
    });
}

#[test]
fn places_are_bounded_and_come_back() {
    isolated(|| {
        let words = Words::new();
        let lock = lock(&words);
        let mut readers: Vec<_> = (0..PROCESSES).map(|_| stays(|| lock.read().unwrap())).collect();
        assert!(
            matches!(lock.read(), Err(LockError::Failed(error)) if error.kind() == std::io::ErrorKind::QuotaExceeded)
        );
        readers.pop().unwrap().kill();
        drop(lock.read().unwrap());
    });
}
