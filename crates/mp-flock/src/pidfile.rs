use std::{
    error, fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process,
};

use nix::libc;

use crate::{Error, Failed, Flock, Guard, Result, TryError, holders};

/// "At most one of these runs": a file with the number of the one that does, locked for as long as it lives.
///
/// **The lock tells, not the number.** Whoever is killed leaves the file with its number but without the lock, so the next
/// one takes it over: nothing is stale and no reused number is mistaken for a running program. The lock is an [`Flock`],
/// which `flock(1)` understands. Dropped, it removes the file; a forked child that drops its copy does nothing.
///
/// A child that is forked and does *not* execute another program keeps the lock after its parent died. A daemon makes the
/// file after its last fork.
///
/// # Examples
///
/// ```
/// use mp_flock::{PidFile, PidFileError};
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("server.pid");
/// let running = PidFile::create(&path)?;
/// assert_eq!(std::fs::read_to_string(&path)?, format!("{}\n", std::process::id()));
/// match PidFile::create(&path) {
///     Err(PidFileError::Running(pid)) => assert_eq!(pid, Some(std::process::id())),
///     other => panic!("{other:?}"),
/// }
/// drop(running);
/// assert!(!path.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "dropped, it removes the file and unlocks it"]
pub struct PidFile {
    path: PathBuf,
    lock: Guard<File, Flock>,
    owner: u32,
}

/// Why there is no pidfile.
#[derive(Debug)]
#[non_exhaustive]
pub enum PidFileError {
    /// Another one runs, with this number, if it has written it already.
    Running(Option<u32>),
    /// The operating system refused it.
    Os(Error),
}

impl PidFile {
    /// Creates the file at `path`, or takes over one that nobody locks, and writes the number of this process into it.
    ///
    /// Never waits. Readable by everybody and writable by its owner, as far as the umask lets it. A symbolic link is refused.
    ///
    /// # Errors
    ///
    /// [`Running`](PidFileError::Running) where somebody locks it; otherwise what `open(2)` and `write(2)` fail with.
    #[doc(alias = "pidfile_open")]
    pub fn create(path: impl AsRef<Path>) -> Result<Self, PidFileError> {
        let path = path.as_ref();
        let failed = |error| Error::new("create", format!("pidfile `{}`", path.display()), error);
        loop {
            let file = open(path).map_err(failed)?;
            let mut lock = match Flock::exclusive().try_lock(file) {
                Ok(lock) => lock,
                Err(Failed { value, error: TryError::WouldBlock }) => {
                    return Err(PidFileError::Running(read_number(value).map_err(failed)?));
                }
                Err(Failed { error, .. }) => return Err(failed(error.into()).into()),
            };
            // Its owner may have removed it between our open and our lock: then it is not the file at `path`.
            if is_at(&lock, path).map_err(failed)? {
                write_number(&mut lock).map_err(failed)?;
                return Ok(Self { path: path.to_owned(), lock, owner: process::id() });
            }
        }
    }

    /// The process that locks the file at `path`; `None` where nobody does, whatever number is in it.
    ///
    /// Looks at `/proc/locks`, locks nothing and never waits, so it disturbs no [`create`](Self::create) of another process.
    ///
    /// # Errors
    ///
    /// What `open(2)`, but for a missing file, or reading `/proc` fails with.
    pub fn owner(path: impl AsRef<Path>) -> Result<Option<u32>> {
        let path = path.as_ref();
        // Nonblocking, so that a FIFO at the path keeps nobody waiting.
        let file = match File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|error| {
                Error::new("open", format!("pidfile `{}`", path.display()), error)
            })?,
        };
        let locks = holders(&file)?;
        Ok(locks.iter().find(|lock| !lock.is_waiting()).and_then(crate::Holder::pid))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file and unlocks it, as dropping does, and tells whether that worked.
    ///
    /// # Errors
    ///
    /// What `unlink(2)` fails with.
    pub fn remove(self) -> Result<()> {
        let object = || format!("pidfile `{}`", self.path.display());
        self.unlink().map_err(|error| Error::new("remove", object(), error))
    }

    /// While it is locked: after that, the file at the path may be the next one's.
    fn unlink(&self) -> io::Result<()> {
        if process::id() == self.owner && is_at(&self.lock, &self.path)? {
            fs::remove_file(&self.path)?;
        }
        Ok(())
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Where it cannot be removed it stays, unlocked, which the next `create` understands; `remove` tells why.
        let _ = self.unlink();
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((own.dev(), own.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The number in the file; `None` where its owner is about to write it.
fn read_number(file: File) -> io::Result<Option<u32>> {
    let mut text = String::new();
    // A number has ten digits: a file of something else is not read whole.
    file.take(16).read_to_string(&mut text)?;
    Ok(text.trim_end().parse().ok())
}

fn write_number(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(format!("{}\n", process::id()).as_bytes())
}

impl fmt::Display for PidFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(Some(pid)) => write!(f, "it is running already, as process {pid}"),
            Self::Running(None) => f.write_str("it is running already"),
            Self::Os(error) => error.fmt(f),
        }
    }
}

impl error::Error for PidFileError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Running(_) => None,
            Self::Os(error) => error.source(),
        }
    }
}

impl From<Error> for PidFileError {
    fn from(error: Error) -> Self {
        Self::Os(error)
    }
}

impl From<PidFileError> for io::Error {
    fn from(error: PidFileError) -> Self {
        match error {
            PidFileError::Running(_) => Self::new(io::ErrorKind::WouldBlock, error),
            PidFileError::Os(error) => error.into(),
        }
    }
}
