//! Taking and giving back allocate nothing.

use std::time::Duration;

use mp_sem::{
    posix::Semaphore,
    sysv::{Key, Op, SemaphoreSet},
};
use mp_testkit::{CountingAllocator, allocates_nothing, isolated, unique_name};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const SOON: Duration = Duration::from_millis(1);

#[test]
fn posix_semaphore() {
    isolated(|| {
        let named = Semaphore::create_new(unique_name("sem"), 1).unwrap();
        for semaphore in [named, Semaphore::unnamed(1).unwrap()] {
            allocates_nothing(|| {
                drop(semaphore.acquire().unwrap());
                drop(semaphore.try_acquire().unwrap());
                let permit = semaphore.acquire_timeout(SOON).unwrap();
                assert!(semaphore.try_acquire().is_err());
                assert!(semaphore.acquire_timeout(SOON).is_err());
                permit.forget();
                semaphore.release(3).unwrap();
            });
        }
    });
}

#[test]
fn sysv_set() {
    isolated(|| {
        let set = SemaphoreSet::create_new(Key::PRIVATE, &[1, 16]).unwrap();
        allocates_nothing(|| {
            drop(set.acquire(0).unwrap());
            drop(set.try_acquire(0).unwrap());
            let permit = set.acquire_timeout(0, SOON).unwrap();
            assert!(set.try_acquire(0).is_err());
            assert!(set.acquire_timeout(0, SOON).is_err());
            permit.forget().unwrap();
            set.wait_zero(0).unwrap();
            set.op(&[Op::acquire(1, 1); 16]).unwrap();
            set.release(0, 3).unwrap();
        });
    });
}
