//! The integration tests of mp-sem.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not `#[test]` functions")]

mod allocations;
mod conformance;
mod creation;
mod interop;
mod kills;
mod limits;
mod ownership;
mod posix_only;
mod sweeps;
mod sysv_only;
#[cfg(feature = "serde")]
mod transfer;

use std::{io, time::Duration};

use mp_sem::{
    posix,
    sysv::{self, Key},
};
use mp_testkit::{unique_key, unique_name};

/// What both kinds of semaphore have, with their outcomes as kinds of [`io::Error`].
trait Semaphore {
    /// Another handle of the semaphore, as a stranger gets it.
    fn again(&self) -> io::Result<Box<dyn Semaphore>>;
    fn acquire(&self) -> io::Result<Box<dyn Permit + '_>>;
    fn try_acquire(&self) -> io::Result<Box<dyn Permit + '_>>;
    fn acquire_timeout(&self, timeout: Duration) -> io::Result<Box<dyn Permit + '_>>;
    fn release(&self, permits: u32) -> io::Result<()>;
    fn value(&self) -> u32;
    fn is_owner(&self) -> bool;
    fn persist(&self);
    fn duplicate(&self) -> Box<dyn Semaphore>;
    /// Takes the name or the object away.
    fn remove(&self);
}

trait Permit {
    fn forget(self: Box<Self>);
}

/// One of the mechanisms.
trait Backend {
    /// The most permits that it counts.
    const MAX: u32;
    /// Whether the kernel gives back what a killed process held.
    const UNDOES: bool;

    /// A name for it that nobody uses.
    fn name() -> String;
    fn create_new(name: &str, permits: u32) -> io::Result<Box<dyn Semaphore>>;
    fn create(name: &str, permits: u32) -> io::Result<Box<dyn Semaphore>>;
    fn open(name: &str) -> io::Result<Box<dyn Semaphore>>;

    fn fresh(permits: u32) -> Box<dyn Semaphore> {
        Self::create_new(&Self::name(), permits).unwrap()
    }
}

struct Named;

impl Backend for Named {
    const MAX: u32 = posix::MAX_VALUE;
    const UNDOES: bool = false;

    fn name() -> String {
        unique_name("sem")
    }

    fn create_new(name: &str, permits: u32) -> io::Result<Box<dyn Semaphore>> {
        Ok(Box::new(posix::Semaphore::create_new(name, permits)?))
    }

    fn create(name: &str, permits: u32) -> io::Result<Box<dyn Semaphore>> {
        Ok(Box::new(posix::CreateOptions::new().create(name, permits)?))
    }

    fn open(name: &str) -> io::Result<Box<dyn Semaphore>> {
        Ok(Box::new(posix::Semaphore::open(name)?))
    }
}

/// Without a name: only what needs none is tested with it.
struct Unnamed;

impl Backend for Unnamed {
    const MAX: u32 = posix::MAX_VALUE;
    const UNDOES: bool = false;

    fn name() -> String {
        String::new()
    }

    fn create_new(_: &str, permits: u32) -> io::Result<Box<dyn Semaphore>> {
        Ok(Box::new(posix::Semaphore::unnamed(permits)?))
    }

    fn create(_: &str, _: u32) -> io::Result<Box<dyn Semaphore>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn open(_: &str) -> io::Result<Box<dyn Semaphore>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Semaphore for posix::Semaphore {
    fn again(&self) -> io::Result<Box<dyn Semaphore>> {
        Ok(Box::new(match self.memory() {
            Some(memory) => Self::open_in(memory, 0)?,
            None => Self::open(self.name().unwrap())?,
        }))
    }

    fn acquire(&self) -> io::Result<Box<dyn Permit + '_>> {
        Ok(Box::new(Self::acquire(self)?))
    }

    fn try_acquire(&self) -> io::Result<Box<dyn Permit + '_>> {
        Ok(Box::new(Self::try_acquire(self)?))
    }

    fn acquire_timeout(&self, timeout: Duration) -> io::Result<Box<dyn Permit + '_>> {
        Ok(Box::new(Self::acquire_timeout(self, timeout)?))
    }

    fn release(&self, permits: u32) -> io::Result<()> {
        Ok(Self::release(self, permits)?)
    }

    fn value(&self) -> u32 {
        Self::value(self).unwrap()
    }

    fn is_owner(&self) -> bool {
        Self::is_owner(self)
    }

    fn persist(&self) {
        Self::persist(self);
    }

    fn duplicate(&self) -> Box<dyn Semaphore> {
        Box::new(self.clone())
    }

    fn remove(&self) {
        Self::unlink(self.name().unwrap()).unwrap();
    }
}

impl Permit for posix::Permit<'_> {
    fn forget(self: Box<Self>) {
        (*self).forget();
    }
}

struct SystemV;

fn key(name: &str) -> Key {
    Key::new(name.parse().unwrap())
}

impl Backend for SystemV {
    const MAX: u32 = sysv::MAX_VALUE as u32;
    const UNDOES: bool = true;

    fn name() -> String {
        unique_key().as_raw().to_string()
    }

    fn create_new(name: &str, permits: u32) -> io::Result<Box<dyn Semaphore>> {
        Ok(Box::new(sysv::SemaphoreSet::create_new(key(name), &[permits as u16])?))
    }

    fn create(name: &str, permits: u32) -> io::Result<Box<dyn Semaphore>> {
        Ok(Box::new(sysv::CreateOptions::new().create(key(name), &[permits as u16])?))
    }

    fn open(name: &str) -> io::Result<Box<dyn Semaphore>> {
        Ok(Box::new(sysv::SemaphoreSet::open(key(name))?))
    }
}

/// The first of its set.
impl Semaphore for sysv::SemaphoreSet {
    fn again(&self) -> io::Result<Box<dyn Semaphore>> {
        Ok(Box::new(Self::open(self.key())?))
    }

    fn acquire(&self) -> io::Result<Box<dyn Permit + '_>> {
        Ok(Box::new(Self::acquire(self, 0)?))
    }

    fn try_acquire(&self) -> io::Result<Box<dyn Permit + '_>> {
        Ok(Box::new(Self::try_acquire(self, 0)?))
    }

    fn acquire_timeout(&self, timeout: Duration) -> io::Result<Box<dyn Permit + '_>> {
        Ok(Box::new(Self::acquire_timeout(self, 0, timeout)?))
    }

    fn release(&self, permits: u32) -> io::Result<()> {
        Ok(Self::release(self, 0, permits as u16)?)
    }

    fn value(&self) -> u32 {
        Self::value(self, 0).unwrap().into()
    }

    fn is_owner(&self) -> bool {
        Self::is_owner(self)
    }

    fn persist(&self) {
        Self::persist(self);
    }

    fn duplicate(&self) -> Box<dyn Semaphore> {
        Box::new(self.clone())
    }

    fn remove(&self) {
        Self::remove(self).unwrap();
    }
}

impl Permit for sysv::Permit<'_> {
    fn forget(self: Box<Self>) {
        (*self).forget().unwrap();
    }
}

/// Writes each function of this module as a test of the kinds of semaphore named.
macro_rules! for_each_of {
    ([$($kind:ident: $backend:ident),+]; $tests:tt) => {
        $(crate::for_each_of! { @one $kind: $backend; $tests })+
    };
    (@one $kind:ident: $backend:ident; {$($test:ident),+ $(,)?}) => {
        mod $kind {
            $(#[test]
            fn $test() {
                mp_testkit::isolated(|| super::$test::<crate::$backend>());
            })+
        }
    };
}

use for_each_of;
