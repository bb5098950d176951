use std::{
    ffi::OsStr,
    io,
    os::fd::OwnedFd,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use mp_os::{Error, transfer};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Child, Limit, SpawnError, TaskKey, encoding, fork, forkserver, protocol::Task, setup::Setup,
};

/// How a process comes to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StartMethod {
    /// A copy of a process of this executable that does nothing but being copied. It was started at first use and has
    /// nothing of this process but its executable, arguments and environment of that time. The fastest.
    #[default]
    Forkserver,
    /// This executable, started anew.
    Spawn,
    /// A copy of this process, which must have one thread only: see [`fork`](crate::fork()).
    Fork,
}

/// The start methods that there are here, the default first.
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
#[derive(Clone, Debug, Default)]
pub struct Builder {
    name: Option<String>,
    method: StartMethod,
    setup: Setup,
    streams: [Option<Arc<OwnedFd>>; 3],
}

impl Builder {
    /// A process with a default name, started by the default method.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names it. `top` and `ps -o comm` show the first 15 bytes.
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

    /// Gives it `stream` (a file, one end of a pipe, a socket) as standard input.
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
    pub fn stdin(self, stream: impl Into<OwnedFd>) -> Self {
        self.stream(0, stream.into())
    }

    /// Gives it `stream` as standard output. The builder keeps its own handle of it: a pipe ends when that is dropped too.
    #[must_use]
    pub fn stdout(self, stream: impl Into<OwnedFd>) -> Self {
        self.stream(1, stream.into())
    }

    /// Gives it `stream` as standard error.
    #[must_use]
    pub fn stderr(self, stream: impl Into<OwnedFd>) -> Self {
        self.stream(2, stream.into())
    }

    fn stream(mut self, number: usize, stream: OwnedFd) -> Self {
        self.setup.streams[number] = true;
        self.streams[number] = Some(Arc::new(stream));
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
        self.setup.check()?;
        let name = self.name.clone().unwrap_or_else(default_name);
        let start = match self.method {
            StartMethod::Fork => {
                return fork::fork_with(name, &self.setup, self.stream_fds()?, || f(args));
            }
            StartMethod::Forkserver => forkserver::spawn,
            StartMethod::Spawn => forkserver::spawn_fresh,
        };
        let task = Task::new(TaskKey::of(f)?, &name, self.setup.clone());
        let mut message = task.message()?;
        let (encoded, handles) = transfer::collect(|| encoding::encode(&args, &mut message));
        encoded?;
        let mut fds = self.stream_fds()?;
        fds.extend(handles);
        Ok(Child::new(start(&message, &fds)?, name))
    }

    /// Duplicates of the streams that are not the parent's.
    fn stream_fds(&self) -> Result<Vec<OwnedFd>, SpawnError> {
        let given = self.streams.iter().flatten();
        given
            .map(|stream| stream.try_clone())
            .collect::<io::Result<_>>()
            .map_err(|error| Error::new("duplicate", "standard stream", error).into())
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

/// `Process-1`, `Process-2` and so on.
pub(crate) fn default_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("Process-{}", COUNT.fetch_add(1, Relaxed) + 1)
}
