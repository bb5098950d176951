//! Inside a task: which worker runs it, and what that worker keeps from task to task.
//!
//! The same functions work in the workers of a [`Pool`](crate::Pool) and in the caller of a
//! [serial](crate::PoolBuilder::serial) one.

use std::{
    any::{Any, TypeId},
    cell::{Cell, RefCell},
    collections::HashMap,
};

thread_local! {
    static ID: Cell<Option<usize>> = const { Cell::new(None) };
    static STATES: RefCell<HashMap<TypeId, Box<dyn Any>>> = RefCell::default();
}

/// The number of the worker that runs this task, from zero up to the number of workers; `None` outside a task.
///
/// A worker that replaces another has that one's number, so it can stand for a resource that each worker has of its own.
///
/// # Examples
///
/// ```
/// let pool = mp_core::Pool::new(2)?;
/// let ids = pool.map(|_: u32| mp_core::worker::id(), 0..50)?;
/// assert!(ids.into_iter().all(|id| id.is_some_and(|id| id < 2)));
/// # Ok::<(), mp_core::Error>(())
/// ```
pub fn id() -> Option<usize> {
    ID.get()
}

/// Runs `use_it` on this worker's own value of type `S`, which `make` makes where there is none yet.
///
/// The value stays until the worker ends, and is dropped then, after the
/// [exit hook](crate::PoolBuilder::exit_hook); one of a worker that is killed is not.
///
/// # Panics
///
/// Where `use_it` asks for the value of the same type again.
///
/// # Examples
///
/// ```
/// use mp_core::{Pool, worker};
///
/// fn count(_: u32) -> u32 {
///     worker::with_state(|| 0, |calls| { *calls += 1; *calls })
/// }
/// assert_eq!(Pool::new(1)?.map(count, 0..3)?, [1, 2, 3]);
/// # Ok::<(), mp_core::Error>(())
/// ```
#[doc(alias = "worker_state")]
pub fn with_state<S: 'static, R>(make: impl FnOnce() -> S, use_it: impl FnOnce(&mut S) -> R) -> R {
    let mut lent = Lent::take(make);
    use_it(lent.state.downcast_mut().expect("it is kept by its type"))
}

/// A value on loan to a task, put back when the task is done with it or panics.
struct Lent {
    key: TypeId,
    state: Box<dyn Any>,
}

impl Lent {
    fn take<S: 'static>(make: impl FnOnce() -> S) -> Self {
        /// Stands for a value that is on loan.
        struct Away;
        let key = TypeId::of::<S>();
        let there = STATES.with_borrow_mut(|states| {
            states.get_mut(&key).map(|state| std::mem::replace(state, Box::new(Away)))
        });
        let state = there.unwrap_or_else(|| {
            let made = Box::new(make());
            STATES.with_borrow_mut(|states| states.insert(key, Box::new(Away)));
            made
        });
        assert!(!state.is::<Away>(), "the state of this type is in use");
        Self { key, state }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let state = std::mem::replace(&mut self.state, Box::new(()));
        STATES.with_borrow_mut(|states| states.insert(self.key, state));
    }
}

/// Makes this thread the worker `id` while `work` runs.
pub(crate) fn as_worker<R>(id: usize, work: impl FnOnce() -> R) -> R {
    struct Restore(Option<usize>);
    impl Drop for Restore {
        fn drop(&mut self) {
            ID.set(self.0);
        }
    }
    let _restore = Restore(ID.replace(Some(id)));
    work()
}

/// Drops what this worker keeps.
pub(crate) fn drop_states() {
    // Outside the borrow: a destructor may use the state of another type.
    drop(STATES.take());
}
