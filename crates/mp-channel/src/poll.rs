//! Being polled, and the end of a ring, of which pollers are told like everybody else.

use std::{
    os::fd::{AsFd, BorrowedFd},
    sync::atomic::Ordering::SeqCst,
};

use mp_os::{Result, poll::Source};

use crate::{Ring, inner::Inner, layout::Header, lease::word::State};

impl Ring {
    /// Makes the [descriptor](AsFd) of the ring say what is so, and tell when that changes.
    ///
    /// Afterwards it is readable if there is a record, or as soon as there is one, and when the ring is closed. It stays so
    /// until this is called again: so call this when [`try_pop`](Self::try_pop) has said `Empty`, then wait for the
    /// descriptor, in `poll`, in `epoll` (level- or edge-triggered) or in an async runtime, then pop again. Readiness may
    /// have gone by then: others pop too, and a producer that is about to append tells before it does. Any number of
    /// processes may poll one ring; `EPOLLEXCLUSIVE` spares the others where one is enough.
    ///
    /// Nobody makes a system call for pollers before the first one has armed, and then one for each time that somebody
    /// has. Whoever is killed, at any moment: no poller misses a record that is in the ring.
    ///
    /// The exception is a record on [lease](Self::lease) whose holder has died: nobody rings for that one, so a poller of
    /// leases waits for a bounded time and then leases again.
    ///
    /// Where a producer was stopped in the middle of a push, or copies a huge record, this takes up to 10 ms and the
    /// descriptor is readable for nothing.
    ///
    /// # Errors
    ///
    /// What `read(2)` and `write(2)` of an eventfd fail with.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_channel::{Deadline, Ring, select};
    ///
    /// let (one, two) = (Ring::builder().create()?, Ring::builder().create()?);
    /// let producer = two.clone();
    /// let thread = std::thread::spawn(move || producer.push(b"x").unwrap());
    /// // `select` arms by itself.
    /// assert_eq!(select(&[&one, &two], Deadline::never())?, [1]);
    /// # thread.join().unwrap();
    /// # Ok::<(), mp_channel::Error>(())
    /// ```
    pub fn arm(&self) -> Result<()> {
        self.0.arm()
    }

    /// Ends the queue for everybody: pushes fail from now on, pops take what is left and fail then.
    ///
    /// Wakes all who wait. A push that runs at the same time happens or fails, and what it says is so.
    pub fn close(&self) {
        self.0.close();
    }
}

/// Readable while there is a record, or the ring is closed, for whoever has [armed](Ring::arm) it. Never read from it.
impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.parts.event.as_fd()
    }
}

impl Source for Ring {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }

    fn arm(&self) -> Result<()> {
        self.0.arm()
    }
}

impl Inner {
    fn arm(&self) -> Result<()> {
        let Header { tail, head, .. } = self.header();
        let Some(_guard) = self.lock(tail, None)? else { return self.parts.event.set() };
        let came_back = || self.leases.as_ref().is_some_and(|leases| leases.has(State::Returned));
        if self.header().is_closed() || tail.position() != head.position() || came_back() {
            return self.parts.event.set();
        }
        // The mark first: killed in between, we leave one push a system call for nothing.
        tail.set_armed(true);
        self.parts.event.clear()
    }

    /// Tells pollers of the record that is about to be committed; under the tail lock.
    #[cold]
    pub(crate) fn wake_pollers(&self) -> Result<()> {
        self.parts.event.set()?;
        // Killed before this, we leave the mark, and the next push tells once more.
        self.header().tail.set_armed(false);
        Ok(())
    }

    fn close(&self) {
        let Header { tail, not_empty, not_full, .. } = self.header();
        let guard = self.lock(tail, None);
        // As before a commit, and again where a producer that was stopped inside keeps us from the lock. That it fails is
        // not known to happen, and nobody but pollers would wait for it.
        let _ = self.parts.event.set();
        self.header().closed().store(1, SeqCst);
        match guard {
            Ok(Some(guard)) => drop(guard),
            _ => drop(self.parts.event.set()),
        }
        not_empty.bell().ring_all();
        not_full.bell().ring_all();
    }
}
