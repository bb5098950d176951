//! A pool as its users hold it. Whose process forks by itself has a copy that holds one as well, and may do nothing with it.

use std::{mem, sync::Arc};

use mp_os::{Deadline, process_id};

use super::{builder::Settings, local::Local};
use crate::{Result, task::Engine};

pub(super) struct Handle {
    local: Arc<Local>,
    /// The process that the workers are children of: a copy of it by `fork(2)` has none, and no supervisor.
    maker: u32,
}

impl Handle {
    pub(super) fn new(local: Arc<Local>) -> Arc<Self> {
        Arc::new(Self { local, maker: process_id() })
    }

    /// The pool, which is to be had only here, and only in the process whose children the workers are.
    ///
    /// # Errors
    ///
    /// In a copy of that: the channels to the workers are shared, so that it would take what is its parent's, and a thread
    /// that it does not have may have held a lock.
    #[inline]
    pub(super) fn ours(&self, verb: &'static str) -> Result<&Arc<Local>> {
        if self.maker == process_id() { Ok(&self.local) } else { Err(not_ours(verb)) }
    }

    /// What never changes, a copy may know too.
    pub(super) fn settings(&self) -> &Settings {
        &self.local.settings
    }

    /// The number of workers there should be.
    pub(super) fn workers(&self) -> usize {
        self.local.size()
    }

    /// [`Local::wait_for`], unless it is `done` already.
    ///
    /// # Errors
    ///
    /// As there; in a copy, whose results another one gets.
    pub(super) fn wait_for(
        &self,
        deadline: Deadline,
        mut done: impl FnMut() -> bool,
    ) -> Result<bool> {
        if done() { Ok(true) } else { self.ours("wait for")?.wait_for(deadline, done) }
    }
}

#[cold]
fn not_ours(verb: &'static str) -> crate::Error {
    mp_os::Error::invalid_input(verb, "pool", "it is the parent process's").into()
}

impl Engine for Handle {
    fn check(&self) -> Result<()> {
        self.ours("wait for").map(drop)
    }

    fn wait_until(&self, deadline: Deadline, done: &mut dyn FnMut() -> bool) -> Result<bool> {
        self.wait_for(deadline, done)
    }

    fn advance(&self) -> bool {
        self.ours("look at").is_ok_and(|local| local.advance())
    }

    fn rouse(&self) {
        if let Ok(local) = self.ours("wake") {
            local.bell.ring_all();
        }
    }

    fn is_running(&self, mailbox: *const ()) -> bool {
        self.ours("look at").is_ok_and(|local| local.is_running(mailbox))
    }

    fn cancel(&self, mailbox: *const ()) -> bool {
        self.ours("cancel a task of").is_ok_and(|local| local.cancel(mailbox))
    }

    fn add_awaited(&self) {
        if let Ok(local) = self.ours("wait for") {
            local.add_awaited();
        }
    }

    fn remove_awaited(&self) {
        if let Ok(local) = self.ours("wait for") {
            local.remove_awaited();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.ours("drop").is_err() {
            // The workers are not ours to end, nor their channels to close. The memory goes with this process.
            mem::forget(Arc::clone(&self.local));
        }
    }
}
