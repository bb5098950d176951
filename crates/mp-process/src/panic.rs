//! Panics as values.

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    cell::{Cell, RefCell},
    fmt,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
};

use serde::{Deserialize, Serialize};

/// What a task panicked with, as it travels to the parent.
///
/// In processes that this crate starts, a task's panic prints nothing: it is delivered instead. Panics of further threads
/// that a task starts go to standard error as everywhere.
///
/// # Examples
///
/// ```
/// use mp_process::ProcessError;
///
/// let child = mp_process::spawn(|n: i32| 1 / n, 0)?;
/// let Err(ProcessError::Panicked(panic)) = child.join() else { unreachable!() };
/// assert_eq!(panic.message, "attempt to divide by zero");
/// assert!(panic.location.is_some());
/// # Ok::<(), mp_process::SpawnError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Panic {
    /// The message.
    pub message: String,
    /// File, line and column, as `src/x.rs:3:5`. Unknown where a hook of the program itself took the panic.
    pub location: Option<String>,
    /// The backtrace, where `RUST_BACKTRACE` asks for one.
    pub backtrace: Option<String>,
}

impl Panic {
    /// What there is to say of a panic that was caught by [`std::panic::catch_unwind`]: its message.
    pub fn from_payload(payload: &(dyn Any + Send)) -> Self {
        Self { message: message(payload).to_owned(), location: None, backtrace: None }
    }

    fn from_hook(info: &PanicHookInfo<'_>) -> Self {
        let backtrace = Backtrace::capture();
        let captured = backtrace.status() == BacktraceStatus::Captured;
        Self {
            message: message(info.payload()).to_owned(),
            location: info.location().map(ToString::to_string),
            backtrace: captured.then(|| backtrace.to_string()),
        }
    }
}

/// The location and the message; the backtrace in the alternate form (`{:#}`).
impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            Some(location) => write!(f, "panicked at {location}: {}", self.message)?,
            None => write!(f, "panicked: {}", self.message)?,
        }
        match &self.backtrace {
            Some(backtrace) if f.alternate() => write!(f, "\n{backtrace}"),
            _ => Ok(()),
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "a value that is not a string"
    }
}

thread_local! {
    /// How many calls of [`catch`] this thread is in.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// What the hook saw last on this thread.
    static LAST: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// Runs `task`; its panic is an error.
pub(crate) fn catch<R>(task: impl FnOnce() -> R) -> Result<R, Panic> {
    DEPTH.set(DEPTH.get() + 1);
    // A task owns what it got, and whoever gets the error gets nothing else of it: nothing half-done is seen.
    let result = panic::catch_unwind(AssertUnwindSafe(task));
    DEPTH.set(DEPTH.get() - 1);
    result.map_err(|payload| {
        let panic = Panic::from_payload(&*payload);
        // Unless it is one that the task itself caught before.
        let panic = LAST.take().filter(|last| last.message == panic.message).unwrap_or(panic);
        // A payload whose destructor panics must not take the worker along.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| drop(payload)));
        panic
    })
}

/// Makes panics of tasks be recorded rather than printed, in a process that this crate started.
///
/// `before_abort` is handed the panic in programs built with `panic = "abort"`, where nothing can be caught.
pub(crate) fn install_hook(before_abort: fn(&Panic)) {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if DEPTH.get() == 0 {
            return previous(info);
        }
        let panic = Panic::from_hook(info);
        if cfg!(panic = "abort") {
            before_abort(&panic);
        }
        LAST.set(Some(panic));
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_payload_is_told() {
        assert_eq!(catch(|| 3), Ok(3));
        let text = catch(|| panic!("{} apples", 3)).unwrap_err();
        assert!(text.to_string().ends_with("3 apples"), "{text}");
        let other = catch(|| panic::panic_any(7)).unwrap_err();
        assert_eq!(other.message, "a value that is not a string");
    }
}
