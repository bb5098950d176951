//! The traps that the docs name, each as it is.

use std::{
    fs::File,
    sync::atomic::{AtomicI32, Ordering},
    time::Duration,
};

use mp_flock::{Failed, Flock, Ofd, Posix, Remains, TimeoutError, TryError};
use mp_testkit::{Gate, fork_child, isolated, wait_for_kill};
use nix::libc;
use tempfile::NamedTempFile;

static CAUGHT: AtomicI32 = AtomicI32::new(0);

extern "C" fn count(_: libc::c_int) {
    CAUGHT.fetch_add(1, Ordering::SeqCst);
}

/// Without `SA_RESTART`, so that a blocking call fails with `EINTR`.
pub(crate) fn catch_usr1_without_restart() {
    // SAFETY: all zeroes is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count as *const () as libc::sighandler_t;
    // SAFETY: the handler changes an atomic only.
    let set = unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) };
    assert_eq!(set, 0);
}

pub(crate) fn caught() -> i32 {
    CAUGHT.load(Ordering::SeqCst)
}

/// Whether another process can lock the file as `lock` does: 0 if so.
fn other_process(lock: impl FnOnce() -> bool) -> bool {
    fork_child(|| i32::from(!lock())).wait().success()
}

#[test]
fn closing_any_descriptor_drops_a_posix_lock_but_not_the_others() {
    isolated(|| {
        let file = NamedTempFile::new().unwrap();
        let open = || File::options().read(true).write(true).open(file.path()).unwrap();

        let _posix = Posix::exclusive().lock(open()).unwrap();
        assert!(!other_process(|| Posix::exclusive().try_lock(open()).is_ok()));
        // As a library does that only wants to read it.
        drop(std::fs::read(file.path()).unwrap());
        assert!(other_process(|| Posix::exclusive().try_lock(open()).is_ok()), "the trap");

        let _ofd = Ofd::exclusive().lock(open()).unwrap();
        drop(std::fs::read(file.path()).unwrap());
        assert!(!other_process(|| Ofd::exclusive().try_lock(open()).is_ok()));

        let _flock = Flock::exclusive().lock(open()).unwrap();
        drop(std::fs::read(file.path()).unwrap());
        assert!(!other_process(|| Flock::exclusive().try_lock(open()).is_ok()));
    });
}

#[test]
fn two_opens_of_one_process_exclude_each_other_but_for_posix() {
    isolated(|| {
        let file = NamedTempFile::new().unwrap();
        let [one, two] = [0; 2].map(|_| file.reopen().unwrap());
        let lock = Flock::exclusive().lock(&one).unwrap();
        assert!(Flock::exclusive().try_lock(&two).is_err());
        drop(lock);
        let lock = Ofd::exclusive().lock(&one).unwrap();
        assert!(Ofd::exclusive().try_lock(&two).is_err());
        assert!(Posix::exclusive().try_lock(&two).is_err(), "an OFD lock is another owner's");
        drop(lock);
        let _lock = Posix::exclusive().lock(&one).unwrap();
        assert!(Posix::exclusive().try_lock(&two).is_ok());
    });
}

/// Threads that each open the file: one of each kind excludes the others of the two lists.
#[test]
fn threads_that_open_the_file_exclude_each_other() {
    isolated(|| {
        for by_range in [false, true] {
            let file = NamedTempFile::new().unwrap();
            let (inside, count) = (AtomicI32::new(0), AtomicI32::new(0));
            let critical = || {
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two at a time");
                count.fetch_add(1, Ordering::SeqCst);
                inside.fetch_sub(1, Ordering::SeqCst);
            };
            let work = || {
                let mine = file.reopen().unwrap();
                for _ in 0..200 {
                    if by_range {
                        let _lock = Ofd::exclusive().range(7..9).unwrap().lock(&mine).unwrap();
                        critical();
                    } else {
                        let _lock = Flock::exclusive().lock(&mine).unwrap();
                        critical();
                    }
                }
            };
            std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
            assert_eq!(count.into_inner(), 800);
        }
    });
}

#[test]
fn a_duplicate_shares_the_lock_of_an_open_file() {
    isolated(|| {
        let file = NamedTempFile::new().unwrap();
        let lock = Flock::exclusive().lock(file.reopen().unwrap()).unwrap();
        let duplicate = lock.try_clone().unwrap();
        let locked = lock.into_locked();
        drop(locked);
        assert!(Flock::shared().try_lock(file.reopen().unwrap()).is_err(), "the duplicate has it");
        drop(duplicate);
        assert!(Flock::shared().try_lock(file.reopen().unwrap()).is_ok());
    });
}

/// Two processes, each with one byte and waiting for the other's: the kernel tells the second one.
#[test]
fn a_circle_of_posix_locks_is_an_error_with_a_hint() {
    isolated(|| {
        let file = NamedTempFile::new().unwrap();
        let mine = file.reopen().unwrap();
        let first = Posix::exclusive().range(0..1).unwrap();
        let second = Posix::exclusive().range(1..2).unwrap();
        let held = first.lock(&mine).unwrap();
        let gate = Gate::new();
        let other = fork_child(|| {
            let theirs = file.reopen().unwrap();
            let _held = second.lock(&theirs).unwrap();
            gate.open();
            drop(first.lock(&theirs).unwrap());
            0
        });
        other.wait_at(&gate);
        while !mp_flock::holders(&mine).unwrap().iter().any(mp_flock::Holder::is_waiting) {
            std::thread::yield_now();
        }
        let error = second.lock(&mine).unwrap_err().error;
        assert_eq!(error.raw_os_error(), Some(libc::EDEADLK));
        assert!(error.hint().unwrap().contains("unlock"), "{error}");
        let timed = second.lock_timeout(&mine, Duration::from_millis(2)).unwrap_err();
        assert!(matches!(timed.error, TimeoutError::TimedOut));
        drop(held);
        assert!(other.wait().success());
    });
}

/// An `flock` is given up before it is upgraded: in between another one can take it, and then nothing is left.
#[test]
fn an_flock_can_be_lost_in_an_upgrade() {
    isolated(|| {
        let file = NamedTempFile::new().unwrap();
        let lock = Flock::shared().lock(file.reopen().unwrap()).unwrap();
        let (shares, wins) = (Gate::new(), Gate::new());
        let other = fork_child(|| {
            let lock = Flock::shared().lock(file.reopen().unwrap()).unwrap();
            shares.open();
            // Until the parent's first attempt has given its own lock up.
            while mp_flock::holders(&lock).unwrap().len() > 1 {
                std::thread::yield_now();
            }
            let _exclusive = lock.try_upgrade().unwrap();
            wins.open();
            wait_for_kill()
        });
        other.wait_at(&shares);
        let failed = lock.upgrade_timeout(Duration::from_millis(500)).unwrap_err();
        other.wait_at(&wins);
        assert!(matches!(failed.error, TimeoutError::TimedOut));
        assert!(matches!(failed.value, Remains::Nothing(_)), "{failed:?}");
        other.kill();
    });
}

#[test]
fn kinds_ignore_each_other_or_not() {
    isolated(|| {
        let file = NamedTempFile::new().unwrap();
        let [one, two] = [0; 2].map(|_| file.reopen().unwrap());
        let _flock = Flock::exclusive().lock(&one).unwrap();
        let ofd = Ofd::exclusive().try_lock(&two).unwrap();
        let Err(Failed { error: TryError::WouldBlock, .. }) = Posix::shared().try_lock(&two) else {
            panic!("POSIX and OFD locks are of one list")
        };
        drop(ofd);
    });
}
