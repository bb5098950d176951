use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::registration::Registration;
use crate::{Result, SignalSet};

/// A flag that is set whenever one of its signals is delivered.
///
/// # Examples
///
/// ```
/// use mp_signal::{Signal, Target, handler::Flag, send};
///
/// let stop = Flag::register([Signal::TERM, Signal::INT])?;
/// let mut rounds = 0;
/// while !stop.is_set() {
///     rounds += 1;
///     send(Target::this_thread(), Signal::TERM)?;
/// }
/// assert_eq!(rounds, 1);
/// # Ok::<(), mp_signal::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "dropped, it restores what the signals did before"]
pub struct Flag {
    set: Arc<AtomicBool>,
    _registrations: Vec<Registration>,
}

impl Flag {
    /// `sigaction(2)`—A clear flag that any of `signals` sets.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput), before any call, for signals that
    /// [no handler can be registered for](crate::handler).
    #[doc(alias("sigaction", "signal"))]
    pub fn register(signals: impl Into<SignalSet>) -> Result<Self> {
        let set = Arc::new(AtomicBool::new(false));
        let registrations = Registration::each(signals.into(), |signal| {
            signal_hook::flag::register(signal.as_raw(), Arc::clone(&set))
        })?;
        Ok(Self { set, _registrations: registrations })
    }

    /// Whether a signal was delivered since the flag was made or taken.
    pub fn is_set(&self) -> bool {
        self.set.load(Ordering::SeqCst)
    }

    /// Whether a signal was delivered since the flag was made or taken; clears the flag.
    pub fn take(&self) -> bool {
        self.set.swap(false, Ordering::SeqCst)
    }
}
