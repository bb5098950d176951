//! Locking and unlocking allocate nothing.

use std::{fs::File, time::Duration};

use mp_flock::{Backend, Flock, Ofd, Posix, Request};
use mp_testkit::{CountingAllocator, allocates_nothing, isolated};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const SOON: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(60);

#[test]
fn flock() {
    isolated(|| {
        let path = tempfile::NamedTempFile::new().unwrap();
        let [file, other] = [path.reopen().unwrap(), path.reopen().unwrap()];
        lock_and_unlock(Flock::exclusive(), &file);
        let _held = Flock::exclusive().lock(&other).unwrap();
        is_busy(Flock::shared(), &file);
    });
}

#[test]
fn ofd() {
    isolated(|| {
        let path = tempfile::NamedTempFile::new().unwrap();
        let [file, other] = [path.reopen().unwrap(), path.reopen().unwrap()];
        lock_and_unlock(Ofd::exclusive(), &file);
        lock_and_unlock(Ofd::exclusive().range(2..9).unwrap(), &file);
        let _held = Ofd::exclusive().range(8..).unwrap().lock(&other).unwrap();
        is_busy(Ofd::shared().range(2..9).unwrap(), &file);
    });
}

#[test]
fn posix() {
    isolated(|| {
        let file = tempfile::tempfile().unwrap();
        lock_and_unlock(Posix::exclusive().range(2..9).unwrap(), &file);
    });
}

fn lock_and_unlock<B: Backend>(request: Request<B>, file: &File) {
    allocates_nothing(|| {
        for _ in 0..100 {
            drop(request.lock(file).unwrap());
            request.try_lock(file).unwrap().unlock().unwrap();
            let mut guard = request.lock_timeout(file, LONG).unwrap();
            guard.downgrade().unwrap();
            drop(guard.try_upgrade().unwrap());
        }
    });
}

fn is_busy<B: Backend>(request: Request<B>, file: &File) {
    allocates_nothing(|| {
        assert!(request.try_lock(file).is_err());
        assert!(request.lock_timeout(file, SOON).is_err());
    });
}
