//! Process numbers that come round, and processes that cannot be told apart by them.

use std::{io, time::Duration};

use mp_sync::{Mutex, Semaphore};
use mp_testkit::{Gate, fork_child, isolated, skip, wait_for_kill};
use nix::{
    libc,
    sched::{CloneFlags, unshare},
};

use crate::shared::{Words, stays};

const SOON: Duration = Duration::from_secs(5);

/// A child that has the number `pid`, which must be free, and stays until it is killed; an error where that is denied.
fn child_numbered(pid: u32, body: impl FnOnce()) -> io::Result<i32> {
    let numbers = [pid.cast_signed()];
    // SAFETY: all zeroes are a valid `clone_args`.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.exit_signal = libc::SIGCHLD as u64;
    arguments.set_tid = numbers.as_ptr() as u64;
    arguments.set_tid_size = 1;
    let size = size_of::<libc::clone_args>();
    // SAFETY: like `fork`: the child has a copy of everything; the arguments outlive the call.
    let child = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size) };
    match child {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            body();
            wait_for_kill()
        }
        child => Ok(child as i32),
    }
}

fn kill_and_reap(pid: i32) {
    // SAFETY: integers only, and the child has not been reaped.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    // SAFETY: a null status is allowed.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
}

/// A holder dies, and an innocent process gets its number: what the holder had comes back all the same.
#[test]
fn a_number_that_another_process_has_got() {
    isolated(|| {
        let words = Words::new();
        let semaphore = Semaphore::create(words.at(0, Semaphore::words(4)), 1).unwrap();
        let outer = Mutex::<u64>::attach(words.at(100, 8)).unwrap();
        let inner = Mutex::<u64>::attach(words.at(120, 8)).unwrap();
        for _ in 0..20 {
            let holder = stays(|| {
                (semaphore.acquire().unwrap(), outer.lock().unwrap(), inner.lock().unwrap())
            });
            let pid = holder.id();
            holder.kill();
            let ready = Gate::new();
            let another = match child_numbered(pid, || ready.open()) {
                Ok(another) => another,
                Err(error) => {
                    return skip(&format!("a process cannot choose its number here: {error}"));
                }
            };
            ready.wait();
            drop(semaphore.acquire_timeout(SOON).unwrap());
            for mutex in [outer, inner] {
                drop(mutex.lock_timeout(SOON).unwrap_err().recover().unwrap());
            }
            kill_and_reap(another);
        }
    });
}

/// In another PID namespace numbers mean something else, and what tells the namespaces apart is another one, too.
#[test]
fn another_pid_namespace() {
    isolated(|| {
        let ours = mp_sync::pid_namespace().unwrap();
        let child = fork_child(|| {
            let entered = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID);
            if entered.is_err() {
                return 2;
            }
            // Its children are there, not it itself.
            let there = fork_child(|| {
                let same = mp_sync::pid_namespace().unwrap() == ours;
                i32::from(std::process::id() != 1 || same)
            });
            there.wait().code().unwrap_or(3)
        });
        match child.wait().code() {
            Some(2) => skip("no PID namespace of its own"),
            code => assert_eq!(code, Some(0)),
        }
    });
}

/// The same number, but now it is the holder's: nothing is taken from the living.
#[test]
fn the_living_keep_what_they_have() {
    isolated(|| {
        let words = Words::new();
        let semaphore = Semaphore::create(words.at(0, Semaphore::words(4)), 1).unwrap();
        let dead = stays(|| semaphore.acquire().unwrap());
        let pid = dead.id();
        dead.kill();
        let ready = Gate::new();
        let acquire = || {
            std::mem::forget(semaphore.acquire().unwrap());
            ready.open();
        };
        let another = match child_numbered(pid, acquire) {
            Ok(another) => another,
            Err(error) => {
                return skip(&format!("a process cannot choose its number here: {error}"));
            }
        };
        ready.wait();
        assert!(semaphore.acquire_timeout(Duration::from_millis(60)).is_err());
        kill_and_reap(another);
        drop(semaphore.acquire_timeout(SOON).unwrap());
    });
}
