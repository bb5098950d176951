//! The integration tests of mp-mqueue.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not `#[test]` functions")]

mod allocations;
mod conformance;
mod interop;
mod kills;
mod limits;
mod notify;
mod ownership;
mod posix_only;
mod sweeps;
mod sysv_only;
#[cfg(feature = "serde")]
mod transfer;

use std::{io, time::Duration};

use mp_mqueue::{
    posix,
    sysv::{self, Key, Select},
};
use mp_testkit::{unique_key, unique_name};

/// What both kinds of queue have, with their outcomes as kinds of [`io::Error`].
trait Queue {
    /// Another handle of the queue, as a stranger gets it.
    fn again(&self) -> io::Result<Box<dyn Queue>>;
    fn send(&self, bytes: &[u8]) -> io::Result<()>;
    fn try_send(&self, bytes: &[u8]) -> io::Result<()>;
    fn send_timeout(&self, bytes: &[u8], timeout: Duration) -> io::Result<()>;
    fn recv(&self) -> io::Result<Vec<u8>>;
    fn try_recv(&self) -> io::Result<Vec<u8>>;
    fn recv_timeout(&self, timeout: Duration) -> io::Result<Vec<u8>>;
    fn len(&self) -> usize;
    fn is_owner(&self) -> bool;
    fn persist(&self);
    fn duplicate(&self) -> Box<dyn Queue>;
    /// Takes the name or the object away.
    fn remove(&self);
}

/// One of the two mechanisms.
trait Backend {
    /// A name for it that nobody uses.
    fn name(&self) -> String;
    /// A queue for four messages of [`SIZE`] bytes.
    fn create_new(&self, name: &str) -> io::Result<Box<dyn Queue>>;
    fn create(&self, name: &str) -> io::Result<Box<dyn Queue>>;
    fn open(&self, name: &str) -> io::Result<Box<dyn Queue>>;

    fn fresh(&self) -> Box<dyn Queue> {
        self.create_new(&self.name()).unwrap()
    }
}

/// How many messages of [`SIZE`] bytes a queue of the tests holds.
const CAPACITY: usize = 4;
const SIZE: usize = 16;

/// A message of [`SIZE`] bytes.
fn text(number: usize) -> Vec<u8> {
    format!("{number:016}").into_bytes()
}

fn number(text: &[u8]) -> usize {
    assert_eq!(text.len(), SIZE, "a message is whole");
    std::str::from_utf8(text).unwrap().parse().unwrap()
}

struct Posix;

impl Backend for Posix {
    fn name(&self) -> String {
        unique_name("mqueue")
    }

    fn create_new(&self, name: &str) -> io::Result<Box<dyn Queue>> {
        Ok(Box::new(posix_options().create_new(name)?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Queue>> {
        Ok(Box::new(posix_options().create(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Queue>> {
        Ok(Box::new(posix::MessageQueue::open(name)?))
    }
}

fn posix_options() -> posix::CreateOptions {
    posix::CreateOptions::new().capacity(CAPACITY).message_size(SIZE)
}

impl Queue for posix::MessageQueue {
    fn again(&self) -> io::Result<Box<dyn Queue>> {
        Ok(Box::new(Self::open(self.name().unwrap())?))
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        Ok(Self::send(self, bytes, 0)?)
    }

    fn try_send(&self, bytes: &[u8]) -> io::Result<()> {
        Ok(Self::try_send(self, bytes, 0)?)
    }

    fn send_timeout(&self, bytes: &[u8], timeout: Duration) -> io::Result<()> {
        Ok(Self::send_timeout(self, bytes, 0, timeout)?)
    }

    fn recv(&self) -> io::Result<Vec<u8>> {
        Ok(Self::recv(self, &mut [0; SIZE])?.bytes.to_vec())
    }

    fn try_recv(&self) -> io::Result<Vec<u8>> {
        Ok(Self::try_recv(self, &mut [0; SIZE])?.bytes.to_vec())
    }

    fn recv_timeout(&self, timeout: Duration) -> io::Result<Vec<u8>> {
        Ok(Self::recv_timeout(self, &mut [0; SIZE], timeout)?.bytes.to_vec())
    }

    fn len(&self) -> usize {
        self.attributes().unwrap().len
    }

    fn is_owner(&self) -> bool {
        Self::is_owner(self)
    }

    fn persist(&self) {
        Self::persist(self);
    }

    fn duplicate(&self) -> Box<dyn Queue> {
        Box::new(self.clone())
    }

    fn remove(&self) {
        Self::unlink(self.name().unwrap()).unwrap();
    }
}

struct SystemV;

fn key(name: &str) -> Key {
    Key::new(name.parse().unwrap())
}

impl Backend for SystemV {
    fn name(&self) -> String {
        unique_key().as_raw().to_string()
    }

    fn create_new(&self, name: &str) -> io::Result<Box<dyn Queue>> {
        Ok(Box::new(sysv_options().create_new(key(name))?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Queue>> {
        Ok(Box::new(sysv_options().create(key(name))?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Queue>> {
        Ok(Box::new(sysv::MessageQueue::open(key(name))?))
    }
}

fn sysv_options() -> sysv::CreateOptions {
    sysv::CreateOptions::new().capacity(CAPACITY * SIZE)
}

impl Queue for sysv::MessageQueue {
    fn again(&self) -> io::Result<Box<dyn Queue>> {
        Ok(Box::new(Self::open(self.key())?))
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        Ok(Self::send(self, bytes, 1)?)
    }

    fn try_send(&self, bytes: &[u8]) -> io::Result<()> {
        Ok(Self::try_send(self, bytes, 1)?)
    }

    fn send_timeout(&self, bytes: &[u8], timeout: Duration) -> io::Result<()> {
        Ok(Self::send_timeout(self, bytes, 1, timeout)?)
    }

    fn recv(&self) -> io::Result<Vec<u8>> {
        Ok(Self::recv(self, &mut [0; SIZE], Select::FIRST)?.bytes.to_vec())
    }

    fn try_recv(&self) -> io::Result<Vec<u8>> {
        Ok(Self::try_recv(self, &mut [0; SIZE], Select::FIRST)?.bytes.to_vec())
    }

    fn recv_timeout(&self, timeout: Duration) -> io::Result<Vec<u8>> {
        Ok(Self::recv_timeout(self, &mut [0; SIZE], Select::FIRST, timeout)?.bytes.to_vec())
    }

    fn len(&self) -> usize {
        self.stat().unwrap().len
    }

    fn is_owner(&self) -> bool {
        Self::is_owner(self)
    }

    fn persist(&self) {
        Self::persist(self);
    }

    fn duplicate(&self) -> Box<dyn Queue> {
        Box::new(self.clone())
    }

    fn remove(&self) {
        Self::remove(self).unwrap();
    }
}

/// Writes each function of this module as a test of both kinds of queue.
macro_rules! for_both {
    ($($test:ident),+ $(,)?) => {
        mod posix {
            $(#[test]
            fn $test() {
                mp_testkit::isolated(|| super::$test(&crate::Posix));
            })+
        }

        mod sysv {
            $(#[test]
            fn $test() {
                mp_testkit::isolated(|| super::$test(&crate::SystemV));
            })+
        }
    };
}

use for_both;
