//! Taking and giving back allocate nothing.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    time::Duration,
};

use mp_sem::{
    posix::Semaphore,
    sysv::{Key, Op, SemaphoreSet},
};
use mp_testkit::{isolated, unique_name};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[track_caller]
fn allocates_nothing(body: impl FnOnce()) {
    let before = COUNT.get();
    body();
    assert_eq!(COUNT.get() - before, 0, "allocations");
}

const SOON: Duration = Duration::from_millis(1);

#[test]
fn the_count_counts() {
    let before = COUNT.get();
    drop(Box::new(1));
    assert_eq!(COUNT.get() - before, 1);
}

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
