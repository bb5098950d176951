//! The locks of the C library.
//!
//! # Safety
//!
//! The objects lie in the first line of [`Words`], which each value here holds, so they stay mapped; a line is as long and as
//! aligned as any of them needs. Nothing else uses that line, and [`Lock::create`] initializes it before anybody attaches.

#![allow(unsafe_code, reason = "system calls")]

use std::mem::MaybeUninit;

use nix::libc;

use super::Lock;
use crate::Words;

const _: () = assert!(size_of::<libc::pthread_mutex_t>() <= 128);
const _: () = assert!(size_of::<libc::sem_t>() <= 128);

/// A process-shared pthread mutex.
#[derive(Debug)]
pub struct Pthread(Words);

impl Lock for Pthread {
    const NAME: &'static str = "pthread";

    fn create(words: &Words) {
        create_mutex(words, libc::PTHREAD_MUTEX_STALLED);
    }

    fn attach(words: &Words) -> Self {
        Self(words.clone())
    }

    #[inline]
    fn with<R>(&self, section: impl FnOnce() -> R) -> R {
        with_mutex(&self.0, section)
    }
}

/// A process-shared, robust pthread mutex.
#[derive(Debug)]
pub struct PthreadRobust(Words);

impl Lock for PthreadRobust {
    const NAME: &'static str = "pthread-robust";

    fn create(words: &Words) {
        create_mutex(words, libc::PTHREAD_MUTEX_ROBUST);
    }

    fn attach(words: &Words) -> Self {
        Self(words.clone())
    }

    #[inline]
    fn with<R>(&self, section: impl FnOnce() -> R) -> R {
        with_mutex(&self.0, section)
    }
}

fn create_mutex(words: &Words, robustness: libc::c_int) {
    let mut attributes = MaybeUninit::uninit();
    let attributes = attributes.as_mut_ptr();
    // SAFETY: it initializes the local.
    check(unsafe { libc::pthread_mutexattr_init(attributes) });
    // SAFETY: initialized above.
    check(unsafe { libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED) });
    // SAFETY: initialized above.
    check(unsafe { libc::pthread_mutexattr_setrobust(attributes, robustness) });
    // SAFETY: the line has room for a mutex, and nobody uses it yet.
    check(unsafe { libc::pthread_mutex_init(words.address(0).cast(), attributes) });
    // SAFETY: initialized above, and not used again.
    check(unsafe { libc::pthread_mutexattr_destroy(attributes) });
}

#[inline]
fn with_mutex<R>(words: &Words, section: impl FnOnce() -> R) -> R {
    let mutex = words.address(0).cast();
    // SAFETY: `create_mutex` has initialized it.
    check(unsafe { libc::pthread_mutex_lock(mutex) });
    let result = section();
    // SAFETY: this thread has locked it.
    check(unsafe { libc::pthread_mutex_unlock(mutex) });
    result
}

/// A process-shared POSIX semaphore of one permit.
#[derive(Debug)]
pub struct Semaphore(Words);

impl Lock for Semaphore {
    const NAME: &'static str = "sem_t";

    fn create(words: &Words) {
        // SAFETY: the line has room for a semaphore, and nobody uses it yet.
        check(unsafe { libc::sem_init(words.address(0).cast(), 1, 1) });
    }

    fn attach(words: &Words) -> Self {
        Self(words.clone())
    }

    #[inline]
    fn with<R>(&self, section: impl FnOnce() -> R) -> R {
        let semaphore = self.0.address(0).cast();
        // SAFETY: `create` has initialized it. No signal handler is installed here that could interrupt the wait.
        check(unsafe { libc::sem_wait(semaphore) });
        let result = section();
        // SAFETY: as above.
        check(unsafe { libc::sem_post(semaphore) });
        result
    }
}

#[inline]
fn check(result: libc::c_int) {
    assert_eq!(result, 0, "the C library refuses");
}
