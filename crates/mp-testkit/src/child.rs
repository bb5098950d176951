use std::{
    env,
    os::{fd::AsFd, unix::process::ExitStatusExt},
    panic::{self, AssertUnwindSafe},
    process::{self, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use mp_os::{
    Deadline, PidFd,
    poll::{self, Interest},
};

use crate::{Gate, isolated, sys};

/// How long a wait without a duration of its own may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A second process of a test, killed and reaped when it is dropped.
///
/// Made by [`fork_child`] or [`exec_child`].
#[derive(Debug)]
pub struct Child {
    pid: u32,
    /// Whose child it is: a process that is forked meanwhile has a copy of this handle, but no right to its child.
    parent: u32,
    /// `None` where a seccomp profile forbids pidfds; a thread waits then.
    pidfd: Option<PidFd>,
    reaped: bool,
}

/// Runs `body` in a forked child, which shares the test's mappings and descriptors, and ends with the code it returns.
///
/// The child may do all that a process with one thread may, as long as the test has not started threads of its own: the
/// harness's second thread sleeps meanwhile and holds no lock. With threads, only what is async-signal-safe: no allocation,
/// no printing. A panic is printed and ends the child with code 101. Destructors of the test's variables do not run in it.
///
/// # Examples
///
/// ```
/// let child = mp_testkit::fork_child(|| 7);
/// assert_eq!(child.wait().code(), Some(7));
/// ```
#[track_caller]
pub fn fork_child(body: impl FnOnce() -> i32) -> Child {
    match sys::fork().expect("a child can be forked") {
        Some(pid) => Child::new(pid),
        None => sys::exit_now(panic::catch_unwind(AssertUnwindSafe(body)).unwrap_or(101)),
    }
}

/// Runs `role` with `arguments` in a new process of this executable, which shares nothing with the test but names.
///
/// Only inside [`isolated`](crate::isolated), whose test it re-executes. Its output goes where the test's goes. A panic
/// ends it with code 101.
///
/// # Panics
///
/// Outside an isolated test, and where an argument holds a NUL or a line feed.
#[track_caller]
pub fn exec_child(role: fn(Vec<String>) -> i32, arguments: &[&str]) -> Child {
    assert!(!arguments.iter().any(|text| text.contains(['\n', '\0'])), "an argument has no lines");
    let test =
        env::var(isolated::TEST).expect("only an isolated test has a process to execute again");
    let child = isolated::command(&test)
        .env(isolated::ROLE, sys::code_offset(role).to_string())
        .env(
            isolated::ARGUMENTS,
            arguments.iter().flat_map(|text| [*text, "\n"]).collect::<String>(),
        )
        .stdin(Stdio::null())
        .spawn();
    Child::new(child.expect("this executable can be started again").id())
}

/// A child that holds `end`, which the caller gives up, until it is killed.
#[track_caller]
pub fn holder<E>(end: E) -> Child {
    let ready = Gate::new();
    let child = fork_child(|| {
        ready.open();
        wait_for_kill()
    });
    drop(end);
    child.wait_at(&ready);
    child
}

/// Stays in the kernel until a signal kills the process: the place where a kill test wants its victim.
pub fn wait_for_kill() -> ! {
    sys::pause_for_ever()
}

impl Child {
    fn new(pid: u32) -> Self {
        Self { pid, parent: process::id(), pidfd: PidFd::open(pid).ok(), reaped: false }
    }

    /// Its process number.
    pub fn id(&self) -> u32 {
        self.pid
    }

    /// Its pidfd; `None` where a seccomp profile forbids them.
    pub fn pidfd(&self) -> Option<&PidFd> {
        self.pidfd.as_ref()
    }

    /// Waits until the child has opened `gate`.
    ///
    /// # Panics
    ///
    /// Where it dies before, or has not got there after half a minute.
    #[track_caller]
    pub fn wait_at(&self, gate: &Gate) {
        let deadline = Deadline::after(PATIENCE);
        loop {
            // Asked before the gate: a child that opened it and then died was there.
            let dead = self.is_dead();
            if gate.wait_timeout(Duration::ZERO) {
                return;
            }
            assert!(!dead, "child {} died before it opened the gate", self.pid);
            assert!(
                !deadline.is_past(),
                "child {} did not open the gate in {PATIENCE:?}",
                self.pid
            );
            self.wait_gate_or_death(gate, deadline);
        }
    }

    fn wait_gate_or_death(&self, gate: &Gate, deadline: Deadline) {
        let gate = (gate.as_fd(), Interest::Readable);
        if let Some(pidfd) = &self.pidfd {
            let fds = [gate, (pidfd.as_fd(), Interest::Readable)];
            poll::wait_many(&fds, deadline).expect("descriptors can be polled");
        } else {
            let slice = deadline.or_after(Duration::from_millis(20));
            poll::wait(gate.0, gate.1, slice).expect("a gate can be polled");
        }
    }

    fn is_dead(&self) -> bool {
        sys::is_dead(self.pid).expect("a child can be waited for")
    }

    /// `SIGKILL`: waits until the child is dead and reaps it. By then the kernel has released all that it held.
    #[track_caller]
    pub fn kill(mut self) -> ExitStatus {
        self.end()
    }

    /// Sends `signal` and does not wait.
    #[track_caller]
    pub fn signal(&self, signal: i32) {
        sys::signal(self.pid, signal).expect("a child that is not reaped can be signalled");
    }

    /// Waits until the child has ended by itself, and reaps it.
    ///
    /// # Panics
    ///
    /// Where it has not ended after half a minute.
    #[track_caller]
    pub fn wait(self) -> ExitStatus {
        let pid = self.pid;
        self.wait_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("child {pid} has not ended after {PATIENCE:?}"))
    }

    /// Waits until the child has ended by itself, and reaps it.
    ///
    /// # Errors
    ///
    /// The child, where `timeout` has passed first.
    pub fn wait_timeout(mut self, timeout: Duration) -> Result<ExitStatus, Self> {
        if wait_dead(self.pid, self.pidfd.as_ref(), Deadline::after(timeout)) {
            Ok(self.reap())
        } else {
            Err(self)
        }
    }

    fn end(&mut self) -> ExitStatus {
        sys::kill(self.pid);
        self.reap()
    }

    fn reap(&mut self) -> ExitStatus {
        self.reaped = true;
        ExitStatus::from_raw(sys::reap(self.pid).expect("a child can be reaped"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped && self.parent == process::id() {
            self.end();
        }
    }
}

/// Waits until our child `pid` is dead: false when `deadline` has passed first. It is left to be reaped.
pub(crate) fn wait_dead(pid: u32, pidfd: Option<&PidFd>, deadline: Deadline) -> bool {
    if let Some(pidfd) = pidfd {
        return pidfd.wait_exit(deadline).expect("a pidfd can be polled");
    }
    let (sender, receiver) = mpsc::channel();
    // Ends at the latest when the child is reaped.
    thread::spawn(move || sender.send(sys::wait_dead(pid)));
    match deadline.remaining() {
        Some(left) => receiver.recv_timeout(left).is_ok(),
        None => receiver.recv().is_ok(),
    }
}
