use std::{fs, thread, time::Duration};

use mp_os::{Deadline, PidFd};
use nix::libc;

use crate::sys;

/// A process that a test looks at and signals without being its parent.
///
/// By a pidfd; where a seccomp profile denies those, by its number, its time of start, and `/proc`.
///
/// # Examples
///
/// ```
/// use mp_testkit::Watched;
/// use std::time::Duration;
///
/// let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn()?;
/// let watched = Watched::new(child.id()).expect("it waits for its input");
/// assert!(watched.signal(9) && watched.wait_dead(Duration::from_secs(9)));
/// child.wait()?;
/// assert!(watched.is_dead() && !watched.signal(9));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Watched {
    pid: u32,
    pidfd: Option<PidFd>,
    /// When it was started, in ticks: another process of its number was started later.
    started: String,
}

impl Watched {
    /// The process that has the number `pid` now; `None` where there is none that lives.
    pub fn new(pid: u32) -> Option<Self> {
        let watched = Self { pid, pidfd: PidFd::open(pid).ok(), started: started(pid)? };
        (!watched.is_dead()).then_some(watched)
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.pid
    }

    /// Sends it `signal`: false where it was dead before.
    ///
    /// # Panics
    ///
    /// Where it lives and may not be signalled.
    #[track_caller]
    pub fn signal(&self, signal: i32) -> bool {
        if self.is_dead() {
            return false;
        }
        let sent = match &self.pidfd {
            Some(pidfd) => pidfd.send_signal(signal),
            None => sys::signal(self.pid, signal),
        };
        match sent {
            // It died, and was reaped, meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => false,
            sent => sent.map(|()| true).expect("the process may be signalled"),
        }
    }

    /// Whether it is dead, reaped or not.
    pub fn is_dead(&self) -> bool {
        if let Some(pidfd) = &self.pidfd {
            return pidfd.has_exited().expect("a pidfd can be polled");
        }
        started(self.pid).as_ref() != Some(&self.started)
    }

    /// Waits until it is dead: false when `timeout` has passed first.
    pub fn wait_dead(&self, timeout: Duration) -> bool {
        let deadline = Deadline::after(timeout);
        if let Some(pidfd) = &self.pidfd {
            return pidfd.wait_exit(deadline).expect("a pidfd can be polled");
        }
        // Without pidfds nobody but its parent is told.
        while !self.is_dead() {
            if deadline.is_past() {
                return false;
            }
            thread::yield_now();
        }
        true
    }
}

/// When the process that lives by this number was started; `None` where it is dead.
fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything; after it come the state, and 18 fields later the time.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    fields.nth(18).filter(|_| !["Z", "X"].contains(&state)).map(str::to_owned)
}
