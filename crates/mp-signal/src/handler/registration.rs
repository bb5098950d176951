use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use signal_hook::{SigId, consts::FORBIDDEN, low_level::unregister};

use crate::{Disposition, Error, Result, Signal, SignalSet, sys};

/// One action of `signal-hook`, removed when dropped; the last one of a signal puts back what the signal did before.
///
/// `signal-hook` never takes its own handler away, which would leave a signal without effect for good, and does not
/// notice when somebody else did, after which registering would be without effect. Both are mended here.
#[derive(Debug)]
pub(super) struct Registration {
    signal: Signal,
    id: SigId,
}

/// What is known of one signal.
struct Slot {
    /// How many registrations there are.
    count: usize,
    /// The action that calls `signal-hook`, once it was seen.
    hook: Option<sys::Action>,
    /// What the signal did before the first of the present registrations, if that was no handler.
    before: Option<sys::Action>,
}

/// By signal number. Never locked in a handler.
static SLOTS: Mutex<[Slot; 65]> =
    Mutex::new([const { Slot { count: 0, hook: None, before: None } }; 65]);

fn slots() -> MutexGuard<'static, [Slot; 65]> {
    SLOTS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn index(signal: Signal) -> usize {
    signal.as_raw().unsigned_abs() as usize
}

impl Registration {
    /// One registration for each of `signals`, made by `register`; none where one of them fails.
    pub(super) fn each(
        signals: SignalSet,
        register: impl Fn(Signal) -> io::Result<SigId>,
    ) -> Result<Vec<Self>> {
        signals.refuse_uncatchable("catch")?;
        if let Some(signal) = signals.iter().find(|signal| FORBIDDEN.contains(&signal.as_raw())) {
            let reason = "after its handler the faulty instruction would be executed again";
            return Err(Error::invalid_input("catch", signal.name(), reason));
        }
        signals
            .iter()
            .map(|signal| {
                Self::new(signal, &register)
                    .map_err(|error| Error::new("catch", signal.name(), error))
            })
            .collect()
    }

    fn new(signal: Signal, register: impl Fn(Signal) -> io::Result<SigId>) -> io::Result<Self> {
        let slot = &mut slots()[index(signal)];
        let before = sys::action(signal)?;
        let registration = register(signal)?;
        if let Err(error) = slot.ensure_installed(signal) {
            unregister(registration);
            return Err(error);
        }
        if slot.count == 0 {
            slot.before = (before.disposition() != Disposition::Handler).then_some(before);
        }
        slot.count += 1;
        Ok(Self { signal, id: registration })
    }
}

impl Slot {
    /// Installs the handler of `signal-hook` again, where somebody has reset the signal since its first registration.
    fn ensure_installed(&mut self, signal: Signal) -> io::Result<()> {
        let now = sys::action(signal)?;
        if now.disposition() == Disposition::Handler {
            self.hook.get_or_insert(now);
            return Ok(());
        }
        let hook = self.hook.as_ref().ok_or_else(|| {
            io::Error::other("another user of signal-hook caught it first, and then it was reset")
        })?;
        sys::restore_action(signal, hook)
    }

    /// Puts back what the signal did before, unless somebody has changed that meanwhile.
    fn restore(&mut self, signal: Signal) -> io::Result<()> {
        match (self.before.take(), &self.hook) {
            (Some(before), Some(hook)) if sys::action(signal)?.is_same_function(hook) => {
                sys::restore_action(signal, &before)
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let slot = &mut slots()[index(self.signal)];
        unregister(self.id);
        slot.count -= 1;
        if slot.count == 0 {
            // It cannot fail: the signal is valid, and so are actions that were in force.
            let _ = slot.restore(self.signal);
        }
    }
}
