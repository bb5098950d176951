use std::io;

use crate::{Error, Result, Signal, SignalSet, sys};

/// What happens when a signal is delivered to this process.
///
/// # Examples
///
/// ```
/// use mp_signal::{Disposition, Signal};
///
/// // Rust ignores SIGPIPE before `main`, so that a write to a closed pipe is an error.
/// assert_eq!(Disposition::of(Signal::PIPE)?, Disposition::Ignore);
/// assert_eq!(Disposition::of(Signal::TERM)?, Disposition::Default);
/// assert!(Disposition::Ignore.set(Signal::KILL).is_err());
/// # Ok::<(), mp_signal::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// `SIG_DFL`: its [default action](Signal::default_action).
    Default,
    /// `SIG_IGN`: nothing. Inherited by children, also across `execve(2)`.
    Ignore,
    /// A function of this program runs. Becomes [`Default`](Self::Default) across `execve(2)`.
    Handler,
}

impl Disposition {
    /// `sigaction(2)`—What `signal` does now.
    ///
    /// # Errors
    ///
    /// None that is known; whatever the call answers.
    #[doc(alias = "sigaction")]
    pub fn of(signal: Signal) -> Result<Self> {
        sys::action(signal)
            .map(|action| action.disposition())
            .map_err(|error| Error::new("read", format!("the disposition of {signal}"), error))
    }

    /// `sigaction(2)`—Makes `signal` be ignored or take its default action, for the whole process.
    ///
    /// A handler that was there is gone; one that [this crate](crate::handler) registers later works all the same.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput), before any call, for `SIGKILL` and `SIGSTOP`, and for
    /// [`Handler`](Self::Handler), which names no function: see [`handler`](crate::handler) instead.
    pub fn set(self, signal: Signal) -> Result<()> {
        SignalSet::from(signal).refuse_uncatchable("set the disposition of")?;
        let object = || format!("the disposition of {signal}");
        if self == Self::Handler {
            return Err(Error::invalid_input("set", object(), "it does not name a function"));
        }
        sys::set_disposition(signal, self == Self::Ignore)
            .map_err(|error| Error::new("set", object(), error))
    }
}

/// `sigaction(2)`, `sigprocmask(2)`—Makes every signal take its default action, then unblocks every signal.
///
/// For a child between `fork` and its work: it inherits the dispositions and the mask of the thread that forked, and
/// ignored signals and the mask even survive `execve(2)`, [`Command`](std::process::Command) or not. Signals that were pending while blocked take their default
/// action before this returns. Includes `SIGPIPE`, which Rust programs ignore: a child that wants it so says
/// [`Disposition::Ignore.set(Signal::PIPE)`](Disposition::set). What the C library keeps for its threads is left alone.
///
/// Async-signal-safe: about 60 system calls, no allocation and no lock, also when it fails.
///
/// # Errors
///
/// None that is known; whatever the calls answer.
///
/// # Examples
///
/// ```
/// use mp_signal::{Block, Signal, reset_for_child};
/// use std::{os::unix::process::CommandExt, process::Command};
///
/// let _block = Block::new(Signal::TERM)?;
/// let mut command = Command::new("sh");
/// command.args(["-c", "kill -TERM $$; echo it was blocked"]);
/// // SAFETY: the function is async-signal-safe.
/// unsafe { command.pre_exec(reset_for_child) };
/// assert!(command.output()?.stdout.is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("sigaction", "sigprocmask"))]
pub fn reset_for_child() -> io::Result<()> {
    for signal in Signal::all().filter(|signal| signal.is_catchable()) {
        sys::set_disposition(signal, false)?;
    }
    sys::set_mask(SignalSet::empty())
}
