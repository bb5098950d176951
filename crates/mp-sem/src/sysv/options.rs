use std::{io, time::Duration};

use mp_os::{
    Deadline, Error, Owner, Result, create_or_open,
    sysv::{Key, WaitError, is_gone},
};
use nix::libc::{self, semid_ds};

use super::{Limits, MAX_VALUE, SemaphoreSet, init, set::Inner, sys};

/// How long to wait for the creator of a set to initialise it, unless told otherwise.
const INIT_TIMEOUT: Duration = Duration::from_secs(1);

/// How to create a set: what only a creator may say.
///
/// # Examples
///
/// ```
/// use mp_sem::sysv::{CreateOptions, Key};
///
/// let set = CreateOptions::new().mode(0o660).create_new(Key::PRIVATE, &[4, 0])?;
/// assert_eq!(set.values()?, [4, 0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CreateOptions {
    mode: u32,
    init_timeout: Duration,
}

impl CreateOptions {
    /// Mode 0600, and a second of patience with another creator.
    pub const fn new() -> Self {
        Self { mode: 0o600, init_timeout: INIT_TIMEOUT }
    }

    /// The permission bits; the umask takes none away. Default: 0600.
    #[must_use]
    pub const fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// How long [`create`](Self::create) waits for another creator to initialise the set before it takes its place.
    /// Default: a second.
    #[must_use]
    pub const fn init_timeout(mut self, timeout: Duration) -> Self {
        self.init_timeout = timeout;
        self
    }

    /// `semget(IPC_CREAT | IPC_EXCL)`—Creates a set that must not exist yet, with a semaphore for each of `values`, and
    /// owns it.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists), also where somebody has taken our place because initialising took
    /// too long; [`InvalidInput`](io::ErrorKind::InvalidInput) for a bad mode, no values, or one above [`MAX_VALUE`];
    /// `EINVAL` and `ENOSPC` at the limits of the kernel, with a hint.
    #[doc(alias = "semget")]
    pub fn create_new(&self, key: Key, values: &[u16]) -> Result<SemaphoreSet> {
        self.check(key, values)?;
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | self.mode.cast_signed();
        let id = sys::get(key.as_raw(), values.len(), flags)
            .map_err(|error| explain(key, values, error))?;
        // From here on a failure drops the owner, which removes the set.
        let set = handle(id, key, values.len(), Owner::this_process());
        match init::initialise(&set, values) {
            Ok(true) => Ok(set),
            Ok(false) => {
                set.persist();
                let reason = "somebody else has initialised it meanwhile";
                let error = io::Error::new(io::ErrorKind::AlreadyExists, reason);
                Err(Error::new("create", object(key), error))
            }
            Err(WaitError::Os(error)) => Err(error),
            Err(removed) => Err(Error::new("create", object(key), removed.into())),
        }
    }

    /// `semget(IPC_CREAT)`—Opens the set, or creates it with `values` and owns it where there is none.
    ///
    /// A set that exists keeps its values and mode; see [`is_owner`](SemaphoreSet::is_owner). If its creator has not
    /// initialised it within the [`init_timeout`](Self::init_timeout), the set gets `values` and belongs to this handle. Of
    /// several who do that at once, one succeeds and the others open what it has made.
    ///
    /// # Errors
    ///
    /// As for [`create_new`](Self::create_new) and [`open`](SemaphoreSet::open), except that either outcome is fine;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a set with another number of semaphores.
    pub fn create(&self, key: Key, values: &[u16]) -> Result<SemaphoreSet> {
        create_or_open(|| self.create_new(key, values), || self.join(key, values))
    }

    /// The set as another one created it, or with us in its creator's place; `None` where it is gone.
    fn join(&self, key: Key, values: &[u16]) -> Result<Option<SemaphoreSet>> {
        let Some((id, stat)) = find(key, self.init_timeout)? else { return Ok(None) };
        let len = stat.sem_nsems as usize;
        if len != values.len() {
            let reason = format!("it has {len} semaphores, and not {}", values.len());
            return Err(Error::invalid_input("create", object(key), reason));
        }
        let opener = handle(id, key, len, Owner::nobody());
        if stat.sem_otime != 0 {
            return Ok(Some(opener));
        }
        match init::initialise(&opener, values) {
            Ok(true) => Ok(Some(handle(id, key, len, Owner::this_process()))),
            Ok(false) => Ok(Some(opener)),
            Err(WaitError::Os(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn check(&self, key: Key, values: &[u16]) -> Result<()> {
        let refuse = |reason| Err(Error::invalid_input("create", object(key), reason));
        if self.mode & !0o777 != 0 {
            return refuse("the mode has more than the permission bits".to_owned());
        }
        match values.iter().find(|&&value| value > MAX_VALUE) {
            Some(value) => refuse(format!("{value} permits are more than {MAX_VALUE}")),
            None if values.is_empty() => refuse("a set has at least one semaphore".to_owned()),
            None => Ok(()),
        }
    }
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// How to open a set that exists.
///
/// # Examples
///
/// ```
/// use mp_sem::sysv::{CreateOptions, Key, OpenOptions};
/// use std::time::Duration;
///
/// let key = Key::new(0x0053_0000 + std::process::id() as i32);
/// let set = CreateOptions::new().create_new(key, &[1])?;
/// let same = OpenOptions::new().init_timeout(Duration::from_millis(100)).open(key)?;
/// assert_eq!(same.id(), set.id());
/// # Ok::<(), mp_sem::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    init_timeout: Duration,
}

impl OpenOptions {
    /// A second of patience with the creator.
    pub const fn new() -> Self {
        Self { init_timeout: INIT_TIMEOUT }
    }

    /// How long to wait for the creator to initialise the set. Default: a second.
    ///
    /// Zero opens the set as it is. That is for sets whose creator sets the values by `semctl`, or not at all, as `ipcmk(1)`
    /// does: the kernel does not note that.
    #[must_use]
    pub const fn init_timeout(mut self, timeout: Duration) -> Self {
        self.init_timeout = timeout;
        self
    }

    /// `semget(2)`—Opens a set that exists, and never removes it.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound); [`PermissionDenied`](io::ErrorKind::PermissionDenied) without permission to
    /// read; [`TimedOut`](io::ErrorKind::TimedOut) where nobody has initialised the set within the
    /// [`init_timeout`](Self::init_timeout); [`InvalidInput`](io::ErrorKind::InvalidInput) for [`Key::PRIVATE`], which finds no
    /// set but makes one.
    #[doc(alias = "semget")]
    pub fn open(&self, key: Key) -> Result<SemaphoreSet> {
        let fail = |kind: io::ErrorKind| Error::new("open", object(key), kind.into());
        if key.is_private() {
            let reason = "a private key opens nothing; open the set by its identifier";
            return Err(Error::invalid_input("open", object(key), reason));
        }
        let (id, stat) = find(key, self.init_timeout)?.ok_or_else(|| {
            Error::new("open", object(key), io::Error::from_raw_os_error(libc::ENOENT))
        })?;
        if stat.sem_otime == 0 && !self.init_timeout.is_zero() {
            return Err(fail(io::ErrorKind::TimedOut).with_hint(
                "its creator has not initialised it and may have died; `ipcrm -S` removes it, \
                 `CreateOptions::create` takes the creator's place, and a zero `init_timeout` opens it as it is",
            ));
        }
        Ok(handle(id, key, stat.sem_nsems as usize, Owner::nobody()))
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

fn handle(id: i32, key: Key, len: usize, owner: Owner) -> SemaphoreSet {
    Inner { id, key, len, owner }.into()
}

/// The set of `key` and its state, after waiting for its initialisation; `None` where there is none, or no longer.
fn find(key: Key, init_timeout: Duration) -> Result<Option<(i32, semid_ds)>> {
    let found = sys::get(key.as_raw(), 0, 0)
        .and_then(|id| Ok((id, init::wait_initialised(id, Deadline::after(init_timeout))?)));
    match found {
        Ok(found) => Ok(Some(found)),
        // Or the set that the first call found was removed before or while the second one looked at it.
        Err(error) if is_gone(error.raw_os_error()) => Ok(None),
        Err(error) => Err(Error::new("open", object(key), error)),
    }
}

fn object(key: Key) -> String {
    format!("semaphore set `{key}`")
}

fn explain(key: Key, values: &[u16], error: io::Error) -> Error {
    let errno = error.raw_os_error();
    let error = Error::new("create", object(key), error);
    match errno {
        Some(libc::EINVAL) => error.with_hint_from(Limits::read(), |limits| {
            format!(
                "the set has {} semaphores, of which `kernel.sem` (SEMMSL) allows {}",
                values.len(),
                limits.semmsl
            )
        }),
        Some(libc::ENOSPC) => error.with_hint_from(Limits::read(), |limits| {
            format!(
                "`kernel.sem` allows {} sets (SEMMNI) with {} semaphores together (SEMMNS)",
                limits.semmni, limits.semmns
            )
        }),
        _ => error,
    }
}
