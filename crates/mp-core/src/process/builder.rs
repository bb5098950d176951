use std::{
    ffi::OsStr,
    path::Path,
    time::{Duration, Instant},
};

use mp_process::{Builder, Limit, StartMethod, Stdio, current_process};
use serde::{Serialize, de::DeserializeOwned};

use super::Process;
use crate::Result;

/// How a [`Process`] is started, and what it is given.
///
/// What is asked for is done in the child. Where that fails, the task does not begin, and [`Process::join`] tells.
///
/// # Examples
///
/// ```
/// use mp_core::{Process, Stdio};
///
/// let builder = Process::builder().name("worker").env("LANG", "C").stdout(Stdio::captured());
/// let child = builder.spawn(|()| println!("{}", std::env::var("LANG").unwrap()), ())?;
/// assert_eq!(child.name(), "worker");
/// let output = child.captured_stdout().expect("it is captured");
/// child.join()?;
/// assert_eq!(output.text()?, "C\n");
/// # Ok::<(), mp_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ProcessBuilder(Builder);

impl ProcessBuilder {
    pub(super) fn new() -> Self {
        Self(Builder::new().daemon(current_process().is_daemon()))
    }

    /// The name of the process, of which `ps(1)` and `top(1)` show the first 15 bytes.
    pub fn name(self, name: impl Into<String>) -> Self {
        Self(self.0.name(name))
    }

    /// What `ps -o args` shows, in full, for a little time: see [`Builder::title`].
    pub fn title(self, title: impl AsRef<OsStr>) -> Self {
        Self(self.0.title(title))
    }

    /// How the process is started; by default [as most are](crate::start_method()).
    pub fn start_method(self, method: StartMethod) -> Self {
        Self(self.0.start_method(method))
    }

    /// Whether this process, when it ends by itself, leaves the child to be killed, rather than wait for it. By default
    /// the child is a daemon if this process is one; the first process is not.
    ///
    /// Unlike in Python, a daemon may have children.
    pub fn daemon(self, is_daemon: bool) -> Self {
        Self(self.0.daemon(is_daemon))
    }

    /// Ends with the process all that descends from it, other programs included: see [`Builder::kill_tree`].
    pub fn kill_tree(self, is_guarded: bool) -> Self {
        Self(self.0.kill_tree(is_guarded))
    }

    /// Lets the process run on when this one has ended, however.
    pub fn outlive_parent(self, outlives: bool) -> Self {
        Self(self.0.outlive_parent(outlives))
    }

    /// Standard input: something open, or one of the kinds of [`Stdio`].
    pub fn stdin(self, stream: impl Into<Stdio>) -> Self {
        Self(self.0.stdin(stream))
    }

    /// Standard output: something open, or one of the kinds of [`Stdio`].
    pub fn stdout(self, stream: impl Into<Stdio>) -> Self {
        Self(self.0.stdout(stream))
    }

    /// Standard error: something open, or one of the kinds of [`Stdio`].
    pub fn stderr(self, stream: impl Into<Stdio>) -> Self {
        Self(self.0.stderr(stream))
    }

    /// Sets a variable of the environment.
    pub fn env(self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        Self(self.0.env(name, value))
    }

    /// Removes a variable from the environment.
    pub fn env_remove(self, name: impl AsRef<OsStr>) -> Self {
        Self(self.0.env_remove(name))
    }

    /// The working directory; otherwise that of this process, for the fork server that of its first use.
    pub fn current_dir(self, path: impl AsRef<Path>) -> Self {
        Self(self.0.current_dir(path))
    }

    /// How much of a resource the process may use; soft and hard limit.
    pub fn limit(self, limit: Limit, value: u64) -> Self {
        Self(self.0.limit(limit, value))
    }

    /// How the process yields to others: up to 19; below zero needs a privilege.
    pub fn nice(self, value: i32) -> Self {
        Self(self.0.nice(value))
    }

    /// The processors that the process may use.
    pub fn processors(self, numbers: impl IntoIterator<Item = u32>) -> Self {
        Self(self.0.processors(numbers))
    }

    /// The process group; zero makes a new one, which the process leads.
    pub fn process_group(self, group: u32) -> Self {
        Self(self.0.process_group(group))
    }

    /// A cgroup to put the process into, by its directory; several are joined in order.
    pub fn cgroup(self, directory: impl AsRef<Path>) -> Self {
        Self(self.0.cgroup(directory))
    }

    /// Starts the process: see [`Process::spawn`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn spawn<A, R>(&self, function: fn(A) -> R, argument: A) -> Result<Process<R>>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        Ok(Process(self.0.spawn(function, argument)?))
    }

    /// [`spawn`](Self::spawn), which waits for the fork server for at most `timeout`: that may be stopped, or run its
    /// [hook](crate::set_forkserver_preload).
    ///
    /// # Errors
    ///
    /// [`SpawnError::TimedOut`](crate::SpawnError::TimedOut) when `timeout` has passed first; otherwise as there.
    pub fn spawn_timeout<A, R>(
        &self,
        function: fn(A) -> R,
        argument: A,
        timeout: Duration,
    ) -> Result<Process<R>>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        Ok(Process(self.0.spawn_timeout(function, argument, timeout)?))
    }

    /// [`spawn`](Self::spawn), which waits for the fork server until `deadline` at the latest.
    ///
    /// # Errors
    ///
    /// [`SpawnError::TimedOut`](crate::SpawnError::TimedOut) when `deadline` has passed first; otherwise as there.
    pub fn spawn_deadline<A, R>(
        &self,
        function: fn(A) -> R,
        argument: A,
        deadline: Instant,
    ) -> Result<Process<R>>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        Ok(Process(self.0.spawn_deadline(function, argument, deadline)?))
    }

    /// Starts a copy of this process: see [`Process::fork`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn fork<R>(&self, function: impl FnOnce() -> R) -> Result<Process<R>>
    where
        R: Serialize + DeserializeOwned + 'static,
    {
        Ok(Process(self.0.fork(function)?))
    }
}
