//! This process, its parent, and the machine they are on.

use std::{os::unix::process::parent_id, process, thread, time::Duration};

use mp_os::{Deadline, Error, PidFd, Result, TimeoutError, poll};
use nix::unistd::{Pid, getegid, geteuid, getgid, getppid, getuid};

use crate::identity::{AuthKey, Identity};

/// This process.
///
/// # Examples
///
/// ```
/// use mp_process::{Builder, current_process};
///
/// assert_eq!(current_process().name(), "MainProcess");
/// let child = Builder::new().name("adder").spawn(|()| current_process().name().to_owned(), ())?;
/// assert_eq!(child.join()?, "adder");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn current_process() -> CurrentProcess {
    CurrentProcess(Identity::this())
}

/// This process: see [`current_process`].
#[derive(Clone, Copy, Debug)]
pub struct CurrentProcess(&'static Identity);

impl CurrentProcess {
    /// Its name: what its parent gave it, or `MainProcess` where it was not started by this crate.
    ///
    /// Without a name of its own the second child of the first is `Process-1:2`.
    pub fn name(&self) -> &'static str {
        &self.0.birth.name
    }

    /// Its id. With [`kill_tree`](crate::Builder::kill_tree) its parent knows another one, that of its guard.
    pub fn pid(&self) -> u32 {
        process::id()
    }

    /// Whether its parent, when it ends, does not wait for it: see [`Builder::daemon`](crate::Builder::daemon).
    pub fn is_daemon(&self) -> bool {
        self.0.birth.is_daemon
    }

    /// The secret that it shares with its children, and was given by its parent.
    ///
    /// # Errors
    ///
    /// Where the system has no random bytes for a new one.
    pub fn authkey(&self) -> Result<AuthKey> {
        self.0.authkey()
    }

    /// Gives another secret to this process and to the children that it starts from now on.
    pub fn set_authkey(&self, authkey: AuthKey) {
        self.0.set_authkey(authkey);
    }
}

/// The process that started this one; `None` where that was none of this crate.
///
/// # Examples
///
/// ```
/// use mp_process::parent_process;
///
/// assert!(parent_process().is_none());
/// let task = |()| parent_process().is_some_and(|parent| parent.is_alive() && parent.pid() > 1);
/// assert!(mp_process::spawn(task, ())?.join()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn parent_process() -> Option<ParentProcess> {
    let identity = Identity::this();
    let (name, pid) = identity.parent()?;
    Some(ParentProcess { name, pid, parent: identity.parent? })
}

/// The process that started this one: see [`parent_process`].
///
/// A process ends with its parent, at once, so it sees its parent's death only where it was allowed to
/// [outlive](crate::Builder::outlive_parent) it.
#[derive(Clone, Copy, Debug)]
pub struct ParentProcess {
    name: &'static str,
    pid: u32,
    /// Whose child this process is while its parent lives.
    parent: Pid,
}

impl ParentProcess {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its id, which may mean another process once it is dead.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it has not ended yet.
    pub fn is_alive(&self) -> bool {
        // The kernel gives an orphan another parent before anybody can reap the first.
        getppid() == self.parent
    }

    mp_os::family! {
        /// Waits until it has ended.
        ///
        /// # Errors
        ///
        /// What `ppoll(2)` fails with.
        pub fn join, try_join, join_timeout, join_deadline(self: &Self) -> () = join_until;
    }

    fn join_until(&self, deadline: Deadline) -> Result<(), TimeoutError> {
        let failed = |error| Error::new("wait for", format!("parent process {}", self.pid), error);
        let pidfd = PidFd::open(parent_id()).ok();
        while self.is_alive() {
            match &pidfd {
                // It was opened while the parent lived, so it is the parent's.
                Some(pidfd) if pidfd.wait_exit(deadline).map_err(failed)? => return Ok(()),
                Some(_) => return Err(TimeoutError::TimedOut),
                None if deadline.is_past() => return Err(TimeoutError::TimedOut),
                // Where pidfds are denied nobody tells.
                None => {
                    let slice = deadline.or_after(Duration::from_millis(10));
                    poll::wait_many(&[], slice).map_err(failed)?;
                }
            }
        }
        Ok(())
    }
}

/// How many processors this process may use: those of its affinity, at most as many as its cgroup's quota of processor time
/// amounts to (v1 and v2, rounded down), and at least one.
///
/// # Examples
///
/// ```
/// let one = mp_process::Builder::new().processors([0]);
/// assert_eq!(one.spawn(|()| mp_process::cpu_count(), ())?.join()?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias("process_cpu_count", "available_parallelism"))]
pub fn cpu_count() -> usize {
    thread::available_parallelism().map_or(1, Into::into)
}

/// Who this process is to the kernel: [`ids`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ids {
    /// The process id.
    pub pid: u32,
    /// That of its parent now.
    pub ppid: u32,
    /// The real user.
    pub uid: u32,
    /// The effective user, by whom permissions are decided.
    pub euid: u32,
    /// The real group.
    pub gid: u32,
    /// The effective group.
    pub egid: u32,
}

/// The ids of this process.
///
/// # Examples
///
/// ```
/// let ids = mp_process::ids();
/// assert_eq!(ids.pid, std::process::id());
/// assert_eq!(mp_process::spawn(|()| mp_process::ids().ppid, ())?.join()?, ids.pid);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias("getpid", "getppid", "getuid", "geteuid", "getgid", "getegid"))]
pub fn ids() -> Ids {
    Ids {
        pid: process::id(),
        ppid: parent_id(),
        uid: getuid().as_raw(),
        euid: geteuid().as_raw(),
        gid: getgid().as_raw(),
        egid: getegid().as_raw(),
    }
}
