use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use mp_os::{Deadline, Result, TimeoutError};

use crate::{Doorbell, place};

/// The lowest bit: the event is set. The others count how often it was.
const SET: u32 = 1;
const TIME: u32 = 2;

/// A flag and its bell.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Head {
    state: AtomicU32,
    bell: Doorbell,
}

/// A flag in shared memory that processes wait for.
///
/// Setting it lets everybody go who waits at that moment, even if it is cleared right away.
///
/// # Examples
///
/// ```
/// use mp_sync::Event;
/// use std::{sync::atomic::AtomicU64, thread};
///
/// let words = [const { AtomicU64::new(0) }; Event::WORDS]; // in shared memory, normally
/// let event = Event::attach(&words)?;
/// thread::scope(|scope| {
///     let waiter = scope.spawn(|| event.wait());
///     event.set();
///     waiter.join().unwrap()
/// })?;
/// event.clear();
/// assert!(event.try_wait().is_err());
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Event<'m>(&'m Head);

impl<'m> Event<'m> {
    /// The number of words that it takes.
    pub const WORDS: usize = place::words_of::<Head>();

    /// The event in the first of `words`. Zeroes are one that is not set.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where there is none.
    pub fn attach(words: &'m [AtomicU64]) -> Result<Self> {
        place::split(words, 0, "the memory of an event").map(|(head, _)| Self(head))
    }

    /// Sets the event, and wakes all who wait for it.
    pub fn set(&self) {
        let set = |state: u32| (state & SET == 0).then(|| state.wrapping_add(TIME) | SET);
        // A second time changes nothing, but the first may have died before it rang.
        let _ = self.0.state.fetch_update(Release, Relaxed, set);
        self.0.bell.ring_all();
    }

    /// Clears the event.
    pub fn clear(&self) {
        self.0.state.fetch_and(!SET, Release);
    }

    /// Whether the event is set.
    pub fn is_set(&self) -> bool {
        self.0.state.load(Acquire) & SET != 0
    }

    mp_os::family! {
        /// Waits until the event is set, or returns at once where it is.
        ///
        /// # Errors
        ///
        /// What `futex(2)` fails with where a seccomp filter denies it.
        pub fn wait, try_wait, wait_timeout, wait_deadline(self: &Self) -> () = wait_until;
    }

    /// [`wait`](Self::wait), giving up when `deadline` has passed: what the others of the family call.
    ///
    /// # Errors
    ///
    /// As for [`wait_timeout`](Self::wait_timeout).
    pub fn wait_until(&self, deadline: Deadline) -> Result<(), TimeoutError> {
        let start = self.0.state.load(Acquire);
        let set = || {
            let now = self.0.state.load(Acquire);
            (now & SET != 0 || now / TIME != start / TIME).then_some(())
        };
        self.0.bell.wait_for(deadline, set)?.ok_or(TimeoutError::TimedOut)
    }
}
