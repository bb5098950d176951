use std::{
    cell::RefCell,
    ffi::OsStr,
    os::fd::OwnedFd,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use mp_os::{Deadline, Error, transfer};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Child, Limit, SpawnError, Stdio, TaskKey, encoding, fork, forkserver,
    identity::{self, Identity},
    process::Process,
    protocol::Task,
    setup::Setup,
    stdio::Stream,
};

/// How a process comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StartMethod {
    /// A copy of a process of this executable that does nothing but being copied. It was started at first use and has
    /// nothing of this process but its executable, arguments and environment of that time. The fastest.
    Forkserver,
    /// This executable, started anew.
    Spawn,
    /// A copy of this process, which must have one thread only: see [`fork`](crate::fork()).
    Fork,
}

/// That of [`start_method`](crate::start_method()): `Forkserver`, unless the program says otherwise.
impl Default for StartMethod {
    fn default() -> Self {
        identity::start_method()
    }
}

/// The start methods that there are here, the default first.
#[doc(alias = "get_all_start_methods")]
pub const fn available_start_methods() -> &'static [StartMethod] {
    &[StartMethod::Forkserver, StartMethod::Spawn, StartMethod::Fork]
}

/// What a process is to be like, before it is started.
///
/// # Examples
///
/// ```
/// use mp_process::{Builder, StartMethod};
///
/// let builder = Builder::new().name("adder").start_method(StartMethod::Spawn);
/// let child = builder.spawn(|(a, b): (u32, u32)| a + b, (40, 2))?;
/// assert_eq!(child.name(), "adder");
/// assert_eq!(child.join()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    name: Option<String>,
    method: StartMethod,
    is_daemon: bool,
    setup: Setup,
    streams: [Stdio; 3],
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            name: None,
            method: StartMethod::default(),
            is_daemon: true,
            setup: Setup::default(),
            streams: Default::default(),
        }
    }
}

impl Builder {
    /// A process with a default name, started by the [default method](crate::start_method()).
    pub fn new() -> Self {
        Self::default()
    }

    /// Names it, rather than `Process-1` and so on. `top` and `ps -o comm` show the first 15 bytes; see also
    /// [`title`](Self::title).
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Chooses how it comes to be.
    #[must_use]
    pub fn start_method(mut self, method: StartMethod) -> Self {
        self.method = method;
        self
    }

    /// Shows `title` as its command line, as `ps -o args` and `/proc/PID/cmdline` have it, in full.
    ///
    /// For programs that look for processes by it. It costs about as much as a tenth of a start, and what the process
    /// itself sees of its arguments ([`std::env::args`]) does not change.
    #[must_use]
    #[doc(alias = "setproctitle")]
    pub fn title(mut self, title: impl AsRef<OsStr>) -> Self {
        self.setup.title = Some(title.as_ref().to_owned());
        self
    }

    /// Whether this process, when it ends by itself (by a return from `main`, by [`std::process::exit`], or with the task
    /// of a child), leaves that one behind, which the kernel kills then; otherwise it waits for it first.
    ///
    /// By default it is a daemon. Unlike in Python, one that is may have children of its own.
    ///
    /// ```
    /// let parent = |()| {
    ///     let (reader, writer) = std::io::pipe().unwrap();
    ///     let slow = |_reader| std::thread::yield_now();
    ///     let child = mp_process::Builder::new().daemon(false).spawn(slow, mp_os::transfer::Fd::new(reader));
    ///     drop((child, writer));
    ///     // Here the process waits for its child.
    /// };
    /// mp_process::spawn(parent, ())?.join()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn daemon(mut self, is_daemon: bool) -> Self {
        self.is_daemon = is_daemon;
        self
    }

    /// Ends with it all that descends from it, programs that it executes and their children included.
    ///
    /// The task then runs in a child of a *guard*, which is the process that the parent knows. The guard adopts every
    /// orphan below it, so nobody leaves the tree, not even by two forks and a session of its own. It ends the whole tree,
    /// and then itself in the task's way,
    ///
    /// * when the task has ended, however: returned, panicked, exited, crashed, killed;
    /// * when this process has ended, however;
    /// * on [`kill`](crate::AnyChild::kill). All other signals are passed on to the task.
    ///
    /// So [`join`](Child::join) returns when all are dead. Not promised: the end of processes that have become another
    /// user's, and that of other programs' processes where somebody kills the guard itself, by its number, with `SIGKILL`:
    /// then only those that this crate started end.
    #[must_use]
    #[doc(alias = "PR_SET_CHILD_SUBREAPER")]
    pub fn kill_tree(mut self, is_guarded: bool) -> Self {
        self.setup.is_guarded = is_guarded;
        self
    }

    /// Lets it run on when this process has ended, however, rather than be killed by the kernel.
    ///
    /// It finds out by [`parent_process`](crate::parent_process).
    #[must_use]
    pub fn outlive_parent(mut self, outlives: bool) -> Self {
        self.setup.outlives = outlives;
        self
    }

    /// Puts it into the cgroup of this directory (v2, or one of v1), which must exist and be writable for it. Several are
    /// joined in order.
    #[must_use]
    #[doc(alias = "cgroup.procs")]
    pub fn cgroup(mut self, directory: impl AsRef<Path>) -> Self {
        self.setup.cgroups.push(directory.as_ref().as_os_str().to_owned());
        self
    }

    /// Chooses its standard input: something open, [`Stdio::null`], [`Stdio::piped`], or this process's, which is the
    /// default.
    ///
    /// ```
    /// use std::{io::{pipe, read_to_string}, fs::File};
    ///
    /// let (output, theirs) = pipe()?;
    /// let builder = mp_process::Builder::new().stdin(File::open("/dev/null")?).stdout(theirs);
    /// let child = builder.spawn(|()| println!("{:?}", read_to_string(std::io::stdin())), ())?;
    /// drop(builder);
    /// assert_eq!(read_to_string(output)?, "Ok(\"\")\n");
    /// child.join()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stdin(mut self, stream: impl Into<Stdio>) -> Self {
        self.streams[0] = stream.into();
        self
    }

    /// Chooses its standard output, likewise, or [`Stdio::captured`].
    ///
    /// The builder keeps its own handle of what it is given: a pipe ends when that is dropped too.
    #[must_use]
    pub fn stdout(mut self, stream: impl Into<Stdio>) -> Self {
        self.streams[1] = stream.into();
        self
    }

    /// Chooses its standard error, as [`stdout`](Self::stdout).
    #[must_use]
    pub fn stderr(mut self, stream: impl Into<Stdio>) -> Self {
        self.streams[2] = stream.into();
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let (name, value) = (name.as_ref().to_owned(), value.as_ref().to_owned());
        self.setup.variables.push((name, Some(value)));
        self
    }

    /// Removes a variable from its environment.
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.setup.variables.push((name.as_ref().to_owned(), None));
        self
    }

    /// Lets it begin in this directory. Otherwise it is that of this process, at the first use of the fork server.
    #[must_use]
    #[doc(alias = "chdir")]
    pub fn current_dir(mut self, path: impl AsRef<Path>) -> Self {
        self.setup.directory = Some(path.as_ref().as_os_str().to_owned());
        self
    }

    /// Lets it use at most `value` of a resource; soft and hard limit.
    #[must_use]
    #[doc(alias("setrlimit", "ulimit"))]
    pub fn limit(mut self, limit: Limit, value: u64) -> Self {
        self.setup.limits.push((limit, value));
        self
    }

    /// Lets it yield to other processes: up to 19; below zero needs a privilege.
    #[must_use]
    #[doc(alias = "setpriority")]
    pub fn nice(mut self, value: i32) -> Self {
        self.setup.nice = Some(value);
        self
    }

    /// Lets it run on these processors only.
    #[must_use]
    #[doc(alias = "sched_setaffinity")]
    pub fn processors(mut self, numbers: impl IntoIterator<Item = u32>) -> Self {
        self.setup.processors = Some(numbers.into_iter().collect());
        self
    }

    /// Puts it into the process group of this number; zero makes a new one, which it leads.
    #[must_use]
    #[doc(alias = "setpgid")]
    pub fn process_group(mut self, group: u32) -> Self {
        self.setup.group = Some(group);
        self
    }

    /// Runs `f(args)` in a new process.
    ///
    /// What the builder asks for is done in the child. Where that fails, [`Child::join`] tells
    /// ([`ProcessError::Os`](crate::ProcessError::Os)), and the task has not begun.
    ///
    /// `f` is a function or a closure that captures nothing: what it needs is in `args`, files and other handles included.
    ///
    /// ```compile_fail
    /// let base = String::from("captured");
    /// mp_process::Builder::new().spawn(|n: usize| base.len() + n, 1);
    /// ```
    ///
    /// # Errors
    ///
    /// [`SpawnError`]; nothing was started then.
    pub fn spawn<A, R>(&self, f: fn(A) -> R, args: A) -> Result<Child<R>, SpawnError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        self.spawn_until(f, args, Deadline::never())
    }

    /// [`spawn`](Self::spawn), which waits for the fork server for at most `timeout`.
    ///
    /// The server answers at once, unless it is stopped, or runs its [hook](crate::set_forkserver_preload).
    ///
    /// # Errors
    ///
    /// [`SpawnError::TimedOut`] when `timeout` has passed first; otherwise as there.
    pub fn spawn_timeout<A, R>(
        &self,
        f: fn(A) -> R,
        args: A,
        timeout: Duration,
    ) -> Result<Child<R>, SpawnError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        self.spawn_until(f, args, Deadline::after(timeout))
    }

    /// [`spawn`](Self::spawn), which waits for the fork server until `deadline` at the latest.
    ///
    /// # Errors
    ///
    /// [`SpawnError::TimedOut`] when `deadline` has passed first; otherwise as there.
    pub fn spawn_deadline<A, R>(
        &self,
        f: fn(A) -> R,
        args: A,
        deadline: Instant,
    ) -> Result<Child<R>, SpawnError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        self.spawn_until(f, args, Deadline::at(deadline))
    }

    /// [`spawn_deadline`](Self::spawn_deadline), for who has a [`Deadline`], which may be never.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn spawn_until<A, R>(
        &self,
        f: fn(A) -> R,
        args: A,
        deadline: Deadline,
    ) -> Result<Child<R>, SpawnError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        let start = match self.method {
            StartMethod::Fork => return self.fork(|| f(args)),
            StartMethod::Forkserver => forkserver::spawn,
            StartMethod::Spawn => forkserver::spawn_fresh,
        };
        let (setup, mut fds, streams) = self.prepare(self.method)?;
        let name = setup.birth.name.clone();
        let task = Task::new(TaskKey::of(f)?, &name, setup);
        let mut message = task.message()?;
        let (encoded, handles) = transfer::collect(|| encoding::encode(&args, &mut message));
        encoded?;
        fds.extend(handles);
        Ok(Child::new(start(&message, &fds, deadline)?, &task.setup, streams))
    }

    /// Runs `task` in a copy of this process, as [`fork`](crate::fork()) does.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn fork<R: Serialize + DeserializeOwned>(
        &self,
        task: impl FnOnce() -> R,
    ) -> Result<Child<R>, SpawnError> {
        self.start_copy(|setup, fds, close_ends| {
            fork::start(setup, fds, || {
                close_ends();
                task()
            })
        })
    }

    /// A copy that `start` makes. It calls what it is passed last before its task: the copy has copies of the parent's ends
    /// of its streams, by which it would wait for itself.
    pub(crate) fn start_copy<R>(
        &self,
        start: impl FnOnce(&Setup, Vec<OwnedFd>, &dyn Fn()) -> Result<Arc<Process>, SpawnError>,
    ) -> Result<Child<R>, SpawnError> {
        let (setup, fds, streams) = self.prepare(StartMethod::Fork)?;
        let streams = RefCell::new(streams);
        let process = start(&setup, fds, &|| drop(streams.take()))?;
        Ok(Child::new(process, &setup, streams.into_inner()))
    }

    /// What a new process is to be, its standard streams, and the parent's side of those.
    fn prepare(
        &self,
        method: StartMethod,
    ) -> Result<(Setup, Vec<OwnedFd>, [Stream; 3]), SpawnError> {
        self.setup.check()?;
        if self.streams[0].is_captured() {
            return Err(Error::invalid_input("capture", "standard input", "it is no output").into());
        }
        let mut setup = self.setup.clone();
        let (mut theirs, mut ours) = (Vec::new(), <[Stream; 3]>::default());
        for (number, stream) in self.streams.iter().enumerate() {
            setup.streams[number] = !stream.is_inherited();
            let (their, our) = stream.open(number).map_err(|error| {
                Error::new("open", format!("standard stream {number} of a process"), error)
            })?;
            theirs.extend(their);
            ours[number] = our;
        }
        setup.birth = Identity::this().child(self.name.as_deref(), self.is_daemon, method)?;
        Ok((setup, theirs, ours))
    }
}

/// Runs `f(args)` in a new process: [`Builder::spawn`] with the defaults.
///
/// # Errors
///
/// [`SpawnError`]; nothing was started then.
///
/// # Examples
///
/// ```
/// use mp_process::ProcessError;
///
/// let child = mp_process::spawn(|text: String| text.len(), "seven..".to_owned())?;
/// assert_eq!(child.join()?, 7);
///
/// let child = mp_process::spawn(|code| std::process::exit(code), 3)?;
/// assert!(matches!(child.join(), Err::<(), _>(ProcessError::Exited(3))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn spawn<A, R>(f: fn(A) -> R, args: A) -> Result<Child<R>, SpawnError>
where
    A: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + 'static,
{
    Builder::new().spawn(f, args)
}
