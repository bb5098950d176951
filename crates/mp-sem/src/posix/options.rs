use mp_os::{Error, ObjectName, Owner, Result, create_or_open};

use super::{
    MAX_VALUE, Semaphore,
    semaphore::{Inner, object},
    sys::Raw,
};

/// How to create a named semaphore: what only a creator may say.
///
/// # Examples
///
/// ```
/// use mp_sem::posix::CreateOptions;
///
/// let name = format!("/mp-doc-create-{}", std::process::id());
/// let semaphore = CreateOptions::new().mode(0o660).create_new(&name, 3)?;
/// assert_eq!(semaphore.value()?, 3);
/// assert!(CreateOptions::new().create_new(&name, 3).is_err(), "it exists");
/// # Ok::<(), mp_sem::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CreateOptions {
    mode: u32,
}

impl CreateOptions {
    /// Mode 0600.
    pub const fn new() -> Self {
        Self { mode: 0o600 }
    }

    /// The permission bits, of which the process's umask takes some away. Others need both read and write. Default: 0600.
    #[must_use]
    pub const fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// `sem_open(O_CREAT | O_EXCL)`—Creates a semaphore that must not exist yet, with `permits`, and owns it.
    ///
    /// It appears under its name initialised: no opener ever sees it before.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](std::io::ErrorKind::AlreadyExists); [`InvalidInput`](std::io::ErrorKind::InvalidInput) for a bad name
    /// or mode or more than [`MAX_VALUE`] permits; `ENOSPC` where `/dev/shm` is full.
    #[doc(alias = "sem_open")]
    pub fn create_new(&self, name: impl AsRef<str>, permits: u32) -> Result<Semaphore> {
        let name = ObjectName::new(name)?;
        let refuse = |reason| Err(Error::invalid_input("create", object(Some(&name)), reason));
        if self.mode & !0o777 != 0 {
            return refuse("the mode has more than the permission bits");
        }
        if permits > MAX_VALUE {
            return refuse("it cannot count so many permits");
        }
        let raw = Raw::create_new(name.as_c_str(), self.mode, permits)
            .map_err(|error| Error::new("create", object(Some(&name)), error))?;
        Ok(Inner { raw, name: Some(name), owner: Owner::this_process() }.into())
    }

    /// `sem_open(O_CREAT)`—Opens the semaphore, or creates it with `permits` and owns it where there is none.
    ///
    /// A semaphore that exists keeps its own value and mode; see [`is_owner`](Semaphore::is_owner).
    ///
    /// # Errors
    ///
    /// As for [`create_new`](Self::create_new) and [`open`](Semaphore::open), except that either outcome is fine.
    pub fn create(&self, name: impl AsRef<str>, permits: u32) -> Result<Semaphore> {
        let name = ObjectName::new(name)?;
        create_or_open(|| self.create_new(&name, permits), || Semaphore::open(&name).map(Some))
    }
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self::new()
    }
}
