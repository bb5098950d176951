//! `sigwaitinfo(2)` and its kin: waiting for the signals that a guard blocks.

use std::io;

use mp_os::Deadline;

use crate::{Block, Error, SignalInfo, TimeoutError, sys};

/// Waiting, without a handler and without a descriptor.
///
/// Takes what was sent to the calling thread before what was sent to the process, and the lowest number first; those of
/// one real-time signal come in the order sent.
impl Block {
    mp_os::family! {
        /// `sigwaitinfo(2)`—Takes the next of the blocked signals, waiting for it.
        ///
        /// A handler that runs meanwhile, for another signal, does not end the wait.
        ///
        /// # Errors
        ///
        /// None that is known; whatever the call answers.
        #[doc(alias("sigwaitinfo", "sigtimedwait", "sigwait"))]
        pub fn wait, try_wait, wait_timeout, wait_deadline(self: &Self) -> SignalInfo = wait_until;
    }

    fn wait_until(&self, deadline: Deadline) -> Result<SignalInfo, TimeoutError> {
        loop {
            match sys::sigtimedwait(self.set(), deadline.to_relative()) {
                Ok(info) => return Ok(info),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // The kernel's timer counts from its own reading of the clock: look again rather than be early.
                    if deadline.is_past() {
                        return Err(TimeoutError::TimedOut);
                    }
                }
                Err(error) => {
                    return Err(
                        Error::new("wait for", format!("signals {}", self.set()), error).into()
                    );
                }
            }
        }
    }
}
