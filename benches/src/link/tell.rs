//! Ways to say that something is there: each counts, so that nothing that was said is missed.

use std::{
    fs::File,
    hint,
    io::{Read, Write},
    os::fd::OwnedFd,
    sync::atomic::{
        AtomicU32,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use mp_os::{sysv::Key, transfer::Fd};
use mp_sem::{
    posix,
    sysv::{Op, SemaphoreSet},
};
use nix::sys::eventfd::{EfdFlags, EventFd as Event};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::unique;
use crate::sys::{futex_wait, futex_wake};

/// A counter that one process raises, and another one waits for and lowers. A word of shared memory that is zero at first is
/// there for it, to use or not.
pub trait Tell: Serialize + DeserializeOwned + 'static {
    /// What criterion calls messages in shared memory that are told of by this.
    const NAME: &'static str;

    /// The counter, with a number to begin with.
    fn create(count: u16, word: &AtomicU32) -> Self;

    /// Raises it by one.
    fn post(&mut self, word: &AtomicU32);

    /// Waits until it is above zero and lowers it by one.
    fn wait(&mut self, word: &AtomicU32);
}

/// A word for which the other one looks all the time.
#[derive(Debug, Serialize, Deserialize)]
pub struct Spin {
    /// How often it was waited for.
    seen: u32,
}

impl Tell for Spin {
    const NAME: &'static str = "shm-spin";

    fn create(count: u16, word: &AtomicU32) -> Self {
        word.store(count.into(), Release);
        Self { seen: 0 }
    }

    fn post(&mut self, word: &AtomicU32) {
        // Nobody else raises it.
        word.store(word.load(Relaxed).wrapping_add(1), Release);
    }

    fn wait(&mut self, word: &AtomicU32) {
        while word.load(Acquire) == self.seen {
            hint::spin_loop();
        }
        self.seen = self.seen.wrapping_add(1);
    }
}

/// A futex: the lowest bit of the word says that somebody sleeps, those above it count.
#[derive(Debug, Serialize, Deserialize)]
pub struct Futex {
    /// How often it was waited for, times two.
    seen: u32,
}

const SLEEPS: u32 = 1;
const ONE: u32 = 2;

impl Tell for Futex {
    const NAME: &'static str = "shm-futex";

    fn create(count: u16, word: &AtomicU32) -> Self {
        word.store(u32::from(count) * ONE, Release);
        Self { seen: 0 }
    }

    fn post(&mut self, word: &AtomicU32) {
        if word.fetch_add(ONE, Release) & SLEEPS != 0 {
            word.fetch_and(!SLEEPS, Relaxed);
            futex_wake(word, 1);
        }
    }

    fn wait(&mut self, word: &AtomicU32) {
        let mut now = word.load(Acquire);
        while now & !SLEEPS == self.seen {
            let sleeping = now | SLEEPS;
            match word.compare_exchange(now, sleeping, Relaxed, Relaxed) {
                Ok(_) => futex_wait(word, sleeping),
                Err(_) => hint::spin_loop(),
            }
            now = word.load(Acquire);
        }
        self.seen = self.seen.wrapping_add(ONE);
    }
}

/// `mp_sem::posix`, without a name.
#[derive(Debug, Serialize, Deserialize)]
pub struct PosixSemaphore(posix::Semaphore);

impl Tell for PosixSemaphore {
    const NAME: &'static str = "posix-sem";

    fn create(count: u16, _word: &AtomicU32) -> Self {
        Self(posix::Semaphore::unnamed(count.into()).expect("a semaphore"))
    }

    fn post(&mut self, _word: &AtomicU32) {
        self.0.release(1).expect("a semaphore that is there");
    }

    fn wait(&mut self, _word: &AtomicU32) {
        self.0.acquire().expect("a semaphore that is there").forget();
    }
}

/// `mp_sem::posix`, by a name.
#[derive(Debug, Serialize, Deserialize)]
pub struct NamedSemaphore(posix::Semaphore);

impl Tell for NamedSemaphore {
    const NAME: &'static str = "posix-sem-named";

    fn create(count: u16, _word: &AtomicU32) -> Self {
        let semaphore = posix::Semaphore::create_new(format!("/{}", unique()), count.into());
        Self(semaphore.expect("a semaphore"))
    }

    fn post(&mut self, _word: &AtomicU32) {
        self.0.release(1).expect("a semaphore that is there");
    }

    fn wait(&mut self, _word: &AtomicU32) {
        self.0.acquire().expect("a semaphore that is there").forget();
    }
}

/// `mp_sem::sysv`.
#[derive(Debug, Serialize, Deserialize)]
pub struct SysvSemaphore(SemaphoreSet);

impl Tell for SysvSemaphore {
    const NAME: &'static str = "sysv-sem";

    fn create(count: u16, _word: &AtomicU32) -> Self {
        Self(SemaphoreSet::create_new(Key::PRIVATE, &[count]).expect("a set of semaphores"))
    }

    fn post(&mut self, _word: &AtomicU32) {
        self.0.release(0, 1).expect("a set that is there");
    }

    fn wait(&mut self, _word: &AtomicU32) {
        self.0.op(&[Op::acquire(0, 1)]).expect("a set that is there");
    }
}

/// `eventfd(2)`, as a semaphore.
#[derive(Debug, Serialize, Deserialize)]
pub struct EventFd(Fd<File>);

impl Tell for EventFd {
    const NAME: &'static str = "eventfd";

    fn create(count: u16, _word: &AtomicU32) -> Self {
        let event = Event::from_value_and_flags(count.into(), EfdFlags::EFD_SEMAPHORE);
        Self(File::from(OwnedFd::from(event.expect("an eventfd"))).into())
    }

    fn post(&mut self, _word: &AtomicU32) {
        self.0.write_all(&1_u64.to_ne_bytes()).expect("an eventfd");
    }

    fn wait(&mut self, _word: &AtomicU32) {
        self.0.read_exact(&mut [0; 8]).expect("an eventfd");
    }
}
