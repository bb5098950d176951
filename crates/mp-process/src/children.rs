//! The children of this process, whatever their results.

mod sys;

use std::{
    fmt,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::process::ExitStatusExt,
    },
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mp_os::{Deadline, Result};
use mp_signal::Signal;
use parking_lot::Mutex;

use crate::{
    keeper::Keeper,
    process::{End, Process},
    sys::PerProcess,
};

static REGISTRY: PerProcess<Registry> = PerProcess::new();

#[derive(Debug, Default)]
struct Registry {
    entries: Mutex<Vec<Entry>>,
    /// Whether this process waits for some when it ends.
    waits_at_exit: AtomicBool,
}

#[derive(Debug)]
struct Entry {
    process: Weak<Process>,
    name: Arc<str>,
    is_daemon: bool,
}

impl Entry {
    fn child(&self) -> Option<AnyChild> {
        let process = self.process.upgrade()?;
        Some(AnyChild { process, name: Arc::clone(&self.name), is_daemon: self.is_daemon })
    }
}

/// A child of this process, whatever it runs: a handle beside its [`Child`](crate::Child), without the right to its result.
///
/// # Examples
///
/// One thread waits for the result, and another may end the process:
///
/// ```
/// use mp_process::{ProcessError, Signal};
///
/// let child = mp_process::spawn(|()| -> () { loop { std::thread::park() } }, ())?;
/// let handle = child.any();
/// let waiter = std::thread::spawn(|| child.join());
/// handle.terminate()?;
/// let error = waiter.join().unwrap().unwrap_err();
/// assert!(matches!(error, ProcessError::Signaled { signal: Signal::TERM, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct AnyChild {
    pub(crate) process: Arc<Process>,
    name: Arc<str>,
    is_daemon: bool,
}

impl AnyChild {
    /// A new child, which from now on is one of the [`active_children`].
    pub(crate) fn register(process: Arc<Process>, name: &str, is_daemon: bool) -> Self {
        let child = Self { process, name: name.into(), is_daemon };
        // Without memory for a page it is no registered child; it is a child all the same.
        if let Ok(registry) = REGISTRY.get_or_set(|| Ok(Registry::default())) {
            registry.add(&child);
        }
        child
    }

    /// The process id.
    ///
    /// Once it has been joined or asked for its [exit code](Self::exit_code) the number may come to mean another process.
    #[doc(alias = "ident")]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its name: that of the [`Builder`](crate::Builder), or `Process-1`, `Process-2` and so on.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this process, when it ends, does not wait for it: see [`Builder::daemon`](crate::Builder::daemon).
    pub fn is_daemon(&self) -> bool {
        self.is_daemon
    }

    /// Whether it has not ended yet.
    pub fn is_alive(&self) -> bool {
        // It fails for lack of kernel memory only; then nothing is known, and a wait will tell.
        !self.process.wait(Deadline::after(Duration::ZERO)).unwrap_or(false)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    ///
    /// What `ppoll(2)` fails with.
    pub fn wait(&self) -> Result<()> {
        self.wait_until(Deadline::never()).map(drop)
    }

    /// [`wait`](Self::wait): true once it has ended, false when `timeout` has passed first.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool> {
        self.wait_until(Deadline::after(timeout))
    }

    /// [`wait`](Self::wait): true once it has ended, false when `deadline` has passed first.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn wait_deadline(&self, deadline: Instant) -> Result<bool> {
        self.wait_until(Deadline::at(deadline))
    }

    /// [`wait_deadline`](Self::wait_deadline), with a deadline that may be never.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn wait_until(&self, deadline: Deadline) -> Result<bool> {
        self.process.wait(deadline)
    }

    /// How it ended, as Python tells it: the code it exited with, or minus the signal that killed it.
    ///
    /// `None` while it runs, and where nobody knows ([`ProcessError::Lost`](crate::ProcessError::Lost)).
    #[doc(alias = "exitcode")]
    pub fn exit_code(&self) -> Option<i32> {
        match self.process.end() {
            Ok(Some(End::Status { status, .. })) => {
                status.code().or_else(|| status.signal().map(|signal| -signal))
            }
            Ok(Some(End::Lost) | None) | Err(_) => None,
        }
    }

    /// `pidfd_send_signal(2)`—Sends it a signal; never another process that has got its number.
    ///
    /// # Errors
    ///
    /// `ESRCH` once it is reaped, `EPERM` where it has changed its user.
    #[doc(alias("kill", "pidfd_send_signal"))]
    pub fn send_signal(&self, signal: Signal) -> Result<()> {
        self.process.send_signal(signal)
    }

    /// Asks it to stop what it does: `SIGINT`, as a terminal sends it.
    ///
    /// # Errors
    ///
    /// As for [`send_signal`](Self::send_signal).
    pub fn interrupt(&self) -> Result<()> {
        self.send_signal(Signal::INT)
    }

    /// Asks it to end: `SIGTERM`.
    ///
    /// # Errors
    ///
    /// As for [`send_signal`](Self::send_signal).
    pub fn terminate(&self) -> Result<()> {
        self.send_signal(Signal::TERM)
    }

    /// Ends it at once: `SIGKILL`.
    ///
    /// # Errors
    ///
    /// As for [`send_signal`](Self::send_signal).
    pub fn kill(&self) -> Result<()> {
        self.send_signal(Signal::KILL)
    }

    /// Runs `callback` soon after the process has ended; at once if it has already.
    ///
    /// It runs on this crate's own thread, which starts and reaps processes: it must be short and must not block. A panic
    /// in it is reported by the panic hook and goes no further.
    ///
    /// # Errors
    ///
    /// At the limit of threads (first use) or of `fs.epoll.max_user_watches`; then `callback` is dropped.
    pub fn on_exit(&self, callback: impl FnOnce() + Send + 'static) -> Result<()> {
        Keeper::running()?.on_exit(&self.process, Box::new(callback))
    }
}

/// Readable once the process is dead: a pidfd, for `poll(2)`, `epoll(7)` or an async runtime. Python's sentinel.
impl AsFd for AnyChild {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }
}

impl fmt::Debug for AnyChild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyChild")
            .field("name", &self.name)
            .field("pid", &self.pid())
            .field("is_daemon", &self.is_daemon)
            .finish_non_exhaustive()
    }
}

impl Registry {
    fn add(&self, child: &AnyChild) {
        let mut entries = self.entries.lock();
        // When it is full, for the price of a copy: so the dead cost as much as growing does.
        if entries.len() == entries.capacity() {
            entries.retain(|entry| entry.process.strong_count() > 0);
        }
        let process = Arc::downgrade(&child.process);
        entries.push(Entry { process, name: Arc::clone(&child.name), is_daemon: child.is_daemon });
        if !child.is_daemon && !self.waits_at_exit.swap(true, Relaxed) {
            sys::wait_at_exit();
        }
    }

    fn alive(&self) -> Vec<AnyChild> {
        let children: Vec<_> = self.entries.lock().iter().filter_map(Entry::child).collect();
        children.into_iter().filter(AnyChild::is_alive).collect()
    }
}

/// The children of this process that run, in the order of their starts: also those whose [`Child`](crate::Child) was
/// dropped.
///
/// # Examples
///
/// ```
/// use mp_process::active_children;
///
/// let child = mp_process::spawn(|()| -> () { loop { std::thread::park() } }, ())?;
/// assert!(active_children().iter().any(|active| active.pid() == child.pid()));
/// child.kill()?;
/// let pid = child.pid();
/// child.join().unwrap_err();
/// assert!(active_children().iter().all(|active| active.pid() != pid));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn active_children() -> Vec<AnyChild> {
    REGISTRY.get().map(Registry::alive).unwrap_or_default()
}

/// Waits for the children that are no daemons.
pub(crate) fn wait_for_all() {
    for child in active_children().iter().filter(|child| !child.is_daemon) {
        // Where it cannot be waited for, it ends with this process.
        let _ = child.wait();
    }
}
