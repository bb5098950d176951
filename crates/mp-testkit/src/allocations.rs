//! How many allocations an operation makes.

use std::cell::Cell;

/// The system's allocator, which counts what each thread asks of it.
///
/// The binary that uses [`allocations`] or [`allocates_nothing`] has it as its global allocator.
///
/// # Examples
///
/// ```
/// use mp_testkit::{CountingAllocator, allocates_nothing, allocations};
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator = CountingAllocator;
///
/// allocates_nothing(|| assert!(1 < "one".len()));
/// assert_eq!(allocations(|| drop(Box::new(1))), 1);
/// ```
#[derive(Debug)]
pub struct CountingAllocator;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// What the allocator does besides allocating.
pub(crate) fn count_one() {
    COUNT.set(COUNT.get() + 1);
}

/// How many allocations `operation` makes on this thread.
///
/// # Panics
///
/// Where [`CountingAllocator`] is not the global allocator: it would always be none.
#[track_caller]
pub fn allocations(operation: impl FnOnce()) -> usize {
    let one = count(|| drop(std::hint::black_box(Box::new(1))));
    assert_eq!(one, 1, "`CountingAllocator` is not the global allocator");
    count(operation)
}

fn count(operation: impl FnOnce()) -> usize {
    let before = COUNT.get();
    operation();
    COUNT.get() - before
}

/// Asserts that `operation` allocates nothing on this thread.
#[track_caller]
pub fn allocates_nothing(operation: impl FnOnce()) {
    assert_eq!(allocations(operation), 0, "allocations");
}
