use std::marker::PhantomData;

use crate::{Error, Result, SignalSet, sys};

/// `pthread_sigmask(3)`—Signals that the calling thread does not take, for as long as the guard lives.
///
/// They stay pending meanwhile: a standard signal once, however often it was sent; a real-time one every time. The
/// guard is of its thread (`!Send`) and, dropped, unblocks those that were not blocked when it was made.
///
/// **Only this thread** (and those it starts later) blocks them: one sent to the *process* goes to any thread that does
/// not. So a program that [waits](Self::wait) for signals blocks them in `main`, before it starts threads.
/// Children inherit the mask, also those of [`Command`](std::process::Command) and across `execve(2)`: see
/// [`reset_for_child`](crate::reset_for_child).
///
/// # Examples
///
/// ```
/// use mp_signal::{Block, Signal, SignalSet};
///
/// let block = Block::new([Signal::USR1])?;
/// assert!(SignalSet::blocked()?.contains(Signal::USR1));
/// drop(block);
/// assert!(!SignalSet::blocked()?.contains(Signal::USR1));
/// # Ok::<(), mp_signal::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "dropped, it unblocks the signals again"]
pub struct Block {
    set: SignalSet,
    /// Those of the set that were not blocked before.
    added: SignalSet,
    /// The mask is the thread's.
    _not_send: PhantomData<*const ()>,
}

impl Block {
    /// Blocks `set`, beside what the thread blocks already.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput), before any call, where `set` has `SIGKILL` or `SIGSTOP`;
    /// [`SignalSet::full`] does not.
    #[doc(alias("pthread_sigmask", "sigprocmask"))]
    pub fn new(set: impl Into<SignalSet>) -> Result<Self> {
        let set = set.into();
        set.refuse_uncatchable("block")?;
        let previous = sys::block(set)
            .map_err(|error| Error::new("block", format!("signals {set}"), error))?;
        Ok(Self { set, added: set.except(previous), _not_send: PhantomData })
    }

    /// The signals it was made for.
    pub const fn set(&self) -> SignalSet {
        self.set
    }

    /// Leaves the signals blocked for the rest of the thread's life.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // It cannot fail: the only errors are of bad arguments.
        let _ = sys::unblock(self.added);
    }
}
