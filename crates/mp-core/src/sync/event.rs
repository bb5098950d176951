use mp_sync::TimeoutError;

use super::{Object, travels};
use crate::Result;

/// A flag that processes wait for.
///
/// A handle: cloning it or sending it to another process gives another handle of the same event. Setting it lets everybody
/// go who waits at that moment, even if it is cleared right away.
///
/// # Examples
///
/// ```
/// use mp_core::{Event, Process};
///
/// let ready = Event::new()?;
/// let child = Process::spawn(|ready: Event| ready.set(), ready.clone())?;
/// ready.wait()?;
/// assert!(ready.is_set());
/// child.join()?;
/// # Ok::<(), mp_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Event(Object);

impl Event {
    const KIND: &[u8; 8] = b"mp event";

    /// An event that is not set.
    ///
    /// # Errors
    ///
    /// An error with a hint where memory or descriptors are short.
    pub fn new() -> Result<Self> {
        Object::create(Self::KIND, mp_sync::Event::WORDS, 0).map(Self)
    }

    /// Sets the event, and wakes all who wait for it.
    pub fn set(&self) {
        if let Ok(event) = self.view() {
            event.set();
        }
    }

    /// Clears the event.
    pub fn clear(&self) {
        if let Ok(event) = self.view() {
            event.clear();
        }
    }

    /// Whether the event is set.
    pub fn is_set(&self) -> bool {
        self.view().is_ok_and(|event| event.is_set())
    }

    mp_os::family! {
        /// Waits until the event is set, or returns at once where it is.
        ///
        /// # Errors
        ///
        /// What `futex(2)` fails with where a seccomp filter denies it.
        pub fn wait, try_wait, wait_timeout, wait_deadline(self: &Self) -> () = wait_until;
    }

    fn wait_until(&self, deadline: mp_sync::Deadline) -> Result<(), TimeoutError> {
        self.view()?.wait_until(deadline)
    }

    fn view(&self) -> Result<mp_sync::Event<'_>, mp_os::Error> {
        mp_sync::Event::attach(self.0.words())
    }
}

travels!(Event);
