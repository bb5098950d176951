//! How long tasks may run.

use mp_os::Deadline;

use super::{local::Local, slot::Check, state::State};

impl Local {
    /// Kills the workers whose tasks have run for too long: when to look again.
    pub(super) fn keep_limits(&self) -> Deadline {
        if !self.state.lock().has_limits {
            return Deadline::never();
        }
        // So that what is known of the workers is not older than what they are asked.
        self.advance();
        self.state.lock().keep_limits()
    }
}

impl State {
    fn keep_limits(&mut self) -> Deadline {
        let mut next = Deadline::never();
        for slot in &mut self.slots {
            match slot.check_limit() {
                Check::Unlimited => {}
                Check::Again(left) => next = next.or_after(left),
                Check::Condemned => {
                    if let Err(error) = slot.kill() {
                        self.unkillable = Some(error.to_string());
                    }
                }
            }
        }
        next
    }
}
