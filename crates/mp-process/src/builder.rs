use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use mp_os::transfer;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Child, SpawnError, TaskKey, encoding, fork, forkserver, protocol::Task};

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
}

impl Builder {
    /// A process with a default name, started by the default method.
    pub const fn new() -> Self {
        Self { name: None, method: StartMethod::Forkserver }
    }

    /// Names it. `top` and `ps -o comm` show the first 15 bytes.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Chooses how it comes to be.
    #[must_use]
    pub const fn start_method(mut self, method: StartMethod) -> Self {
        self.method = method;
        self
    }

    /// Runs `f(args)` in a new process.
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
        let name = self.name.clone().unwrap_or_else(default_name);
        let start = match self.method {
            StartMethod::Fork => return fork::fork_named(name, || f(args)),
            StartMethod::Forkserver => forkserver::spawn,
            StartMethod::Spawn => forkserver::spawn_fresh,
        };
        let mut message = Task::new(TaskKey::of(f)?, &name).message()?;
        let (encoded, fds) = transfer::collect(|| encoding::encode(&args, &mut message));
        encoded?;
        Ok(Child::new(start(&message, &fds)?, name))
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
