//! Who this process is, among those that this crate starts.

mod sys;

use std::{
    fmt, process,
    sync::{
        LazyLock, OnceLock,
        atomic::{AtomicU8, AtomicU32, Ordering::Relaxed},
    },
};

use mp_os::{Error, Result};
use nix::unistd::{Pid, getppid};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{StartMethod, sys::PerProcess};

/// Who a process is, as its parent tells it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Birth {
    pub(crate) name: String,
    /// Its number among its parent's children, behind its parent's: `1:2`.
    number: String,
    pub(crate) is_daemon: bool,
    method: StartMethod,
    authkey: Vec<u8>,
    parent_name: String,
    parent: u32,
}

/// Who this process is, and what it passes on to its children.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) birth: Birth,
    /// The process whose child this is to the kernel: the parent, or the guard between the two.
    pub(crate) parent: Option<Pid>,
    /// How many processes it has started.
    started: AtomicU32,
    /// By which it starts processes, unless told otherwise.
    method: AtomicU8,
    /// Made when it is needed, in a process that was not given one.
    authkey: Mutex<Option<AuthKey>>,
}

/// That of a process which nobody of this crate started.
static FIRST: LazyLock<Identity> = LazyLock::new(|| {
    let birth = Birth {
        name: "MainProcess".to_owned(),
        number: String::new(),
        is_daemon: false,
        method: StartMethod::Forkserver,
        authkey: Vec::new(),
        parent_name: String::new(),
        parent: 0,
    };
    Identity::new(birth, None)
});

/// That of a process which was started afresh.
static STARTED: OnceLock<Identity> = OnceLock::new();

/// That of a copy, which has the identity of its original in memory as well.
static FORKED: PerProcess<Identity> = PerProcess::new();

impl Identity {
    fn new(birth: Birth, parent: Option<Pid>) -> Self {
        let authkey = parent.map(|_| AuthKey::new(birth.authkey.as_slice()));
        Self {
            parent,
            started: AtomicU32::new(0),
            method: AtomicU8::new(birth.method as u8),
            authkey: Mutex::new(authkey),
            birth,
        }
    }

    /// That of this process.
    pub(crate) fn this() -> &'static Self {
        FORKED.get().or_else(|| STARTED.get()).unwrap_or_else(|| &FIRST)
    }

    /// The next child of this process.
    pub(crate) fn child(
        &self,
        name: Option<&str>,
        is_daemon: bool,
        method: StartMethod,
    ) -> Result<Birth> {
        let count = self.started.fetch_add(1, Relaxed) + 1;
        let number = match self.birth.number.as_str() {
            "" => count.to_string(),
            own => format!("{own}:{count}"),
        };
        Ok(Birth {
            name: name.map_or_else(|| format!("Process-{number}"), str::to_owned),
            number,
            is_daemon,
            method,
            authkey: self.authkey()?.as_bytes().to_owned(),
            parent_name: self.birth.name.clone(),
            parent: process::id(),
        })
    }

    pub(crate) fn authkey(&self) -> Result<AuthKey> {
        let mut authkey = self.authkey.lock();
        if authkey.is_none() {
            *authkey = Some(AuthKey::random()?);
        }
        Ok(authkey.clone().unwrap_or_default())
    }

    pub(crate) fn set_authkey(&self, authkey: AuthKey) {
        *self.authkey.lock() = Some(authkey);
    }

    /// The name and the id of its parent.
    pub(crate) fn parent(&self) -> Option<(&str, u32)> {
        self.parent.map(|_| (self.birth.parent_name.as_str(), self.birth.parent))
    }
}

/// From now on this process, which was started afresh, is who its parent says.
pub(crate) fn become_started(birth: &Birth) {
    // It is called once.
    let _ = STARTED.set(Identity::new(birth.clone(), Some(getppid())));
}

/// From now on this process, a copy of its parent, is who that says.
pub(crate) fn become_forked(birth: &Birth) -> Result<()> {
    FORKED
        .get_or_set(|| Ok(Identity::new(birth.clone(), Some(getppid()))))
        .map(drop)
        .map_err(|error| Error::new("name", "process", error))
}

/// By which method this process starts processes, unless told otherwise.
///
/// In the first process [`Forkserver`](StartMethod::Forkserver), and in each other the one by which it was itself started.
#[doc(alias = "get_start_method")]
pub fn start_method() -> StartMethod {
    match Identity::this().method.load(Relaxed) {
        method if method == StartMethod::Spawn as u8 => StartMethod::Spawn,
        method if method == StartMethod::Fork as u8 => StartMethod::Fork,
        _ => StartMethod::Forkserver,
    }
}

/// Lets this process start others by `method` from now on, unless told otherwise.
///
/// Unlike Python's it may be called at any time, because processes of all methods work together.
///
/// # Examples
///
/// ```
/// use mp_process::{StartMethod, set_start_method, start_method};
///
/// set_start_method(StartMethod::Spawn);
/// let child = mp_process::spawn(|()| start_method(), ())?;
/// assert_eq!(child.join()?, StartMethod::Spawn);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn set_start_method(method: StartMethod) {
    Identity::this().method.store(method as u8, Relaxed);
}

/// The secret by which the processes of one program know each other: 32 random bytes, or what the program sets.
///
/// It travels to each child, and cannot be sent otherwise.
#[derive(Clone, Default)]
pub struct AuthKey(Box<[u8]>);

impl AuthKey {
    /// This secret.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    fn random() -> Result<Self> {
        let mut bytes = [0; 32];
        sys::fill_randomly(&mut bytes).map_err(|error| Error::new("make", "secret", error))?;
        Ok(Self::new(bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Does not show it.
impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthKey({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_ancestors_and_ones_own() {
        let child = |parent: &Identity, name| {
            Identity::new(parent.child(name, false, StartMethod::Spawn).unwrap(), Some(Pid::this()))
        };
        let first = child(&FIRST, Some("first"));
        let number: u32 = first.birth.number.parse().unwrap();
        assert_eq!(first.birth.name, "first");
        let second = child(&first, None);
        assert_eq!(second.birth.name, format!("Process-{number}:1"));
        assert_eq!(child(&first, None).birth.name, format!("Process-{number}:2"));
        assert_eq!(child(&second, None).birth.name, format!("Process-{number}:1:1"));
        assert_eq!(second.parent(), Some(("first", process::id())));
        assert_eq!(FIRST.parent(), None);
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", AuthKey::new(*b"abc")), "AuthKey(3 bytes)");
        let (one, other) = (AuthKey::random().unwrap(), AuthKey::random().unwrap());
        assert_ne!(one.as_bytes(), other.as_bytes());
    }
}
