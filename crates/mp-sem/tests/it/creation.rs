//! The race between creating a set and giving it its values, won whenever the creator dies.

use std::{
    fs,
    io::ErrorKind,
    time::{Duration, Instant},
};

use mp_sem::sysv::{CreateOptions, Key, OpenOptions, SemaphoreSet};
use mp_testkit::{Child, Gate, fork_child, isolated, unique_key, wait_asleep};
use nix::{
    libc,
    sys::{
        ptrace,
        signal::{Signal, raise},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

const VALUES: [u16; 3] = [3, 0, 7];
const GRACE: Duration = Duration::from_millis(40);

fn patient() -> CreateOptions {
    CreateOptions::new().init_timeout(Duration::from_secs(20))
}

fn hasty() -> CreateOptions {
    CreateOptions::new().init_timeout(GRACE)
}

/// A child that stops before and after each of its system calls.
fn traced(body: impl FnOnce() -> i32) -> Child {
    let child = fork_child(|| {
        ptrace::traceme().unwrap();
        raise(Signal::SIGSTOP).unwrap();
        body()
    });
    assert!(stopped(&child), "it stops itself");
    child
}

/// Waits until it stops; false where it ended instead.
fn stopped(child: &Child) -> bool {
    // Left to be reaped by its handle.
    let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    let id = nix::sys::wait::Id::Pid(pid(child));
    match nix::sys::wait::waitid(id, flags).unwrap() {
        WaitStatus::Exited(..) | WaitStatus::Signaled(..) => false,
        _ => {
            waitpid(pid(child), None).unwrap();
            true
        }
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

/// Lets it run to the next start or end of a system call; false where it ended instead.
fn step(child: &Child) -> bool {
    ptrace::syscall(pid(child), None).unwrap();
    stopped(child)
}

/// Lets it run until it has just come back from `semget`.
fn run_past_semget(child: &Child) {
    let in_semget = || {
        let call = fs::read_to_string(format!("/proc/{}/syscall", child.id())).unwrap();
        call.split(' ').next().unwrap() == libc::SYS_semget.to_string()
    };
    while !in_semget() {
        assert!(step(child), "it calls semget");
    }
    assert!(step(child), "and comes back");
}

/// Lets it run to its end untraced.
fn finish(child: Child) -> Option<i32> {
    ptrace::detach(pid(&child), None).unwrap();
    child.wait().code()
}

fn creator(key: Key) -> Child {
    traced(move || {
        let set = SemaphoreSet::create_new(key, &VALUES).unwrap();
        set.persist();
        0
    })
}

/// Killed at every start and end of a system call: the next creator finds the values or sets them, in time.
#[test]
fn a_creator_killed_at_any_call_is_replaced() {
    isolated(|| {
        let mut windows = 0;
        for calls in 0.. {
            let key = unique_key();
            let victim = creator(key);
            let alive = (0..calls).all(|_| step(&victim));
            let unfinished = OpenOptions::new()
                .init_timeout(Duration::ZERO)
                .open(key)
                .is_ok_and(|set| set.stat().unwrap().operated_at.is_none());
            victim.kill();

            let start = Instant::now();
            let set = hasty().create(key, &VALUES).unwrap();
            assert_eq!(set.values().unwrap(), VALUES, "killed at stop {calls}");
            assert!(start.elapsed() >= GRACE || !unfinished);
            windows += u32::from(unfinished);
            SemaphoreSet::open(key).unwrap().remove().unwrap();
            if !alive {
                break;
            }
        }
        assert!(windows > 0, "the window between the two steps was hit");
    });
}

#[test]
fn an_opener_waits_for_a_slow_creator() {
    isolated(|| {
        let key = unique_key();
        let slow = creator(key);
        run_past_semget(&slow);
        let openers: Vec<_> = (0..3)
            .map(|n| {
                fork_child(move || {
                    let set = match n {
                        0 => patient().create(key, &VALUES).unwrap(),
                        _ => OpenOptions::new()
                            .init_timeout(Duration::from_secs(20))
                            .open(key)
                            .unwrap(),
                    };
                    i32::from(set.is_owner() || set.values().unwrap() != VALUES)
                })
            })
            .collect();
        openers.iter().for_each(|child| wait_asleep(child.id(), child.id()));
        assert_eq!(finish(slow), Some(0));
        assert!(openers.into_iter().all(|child| child.wait().success()));
        SemaphoreSet::open(key).unwrap().remove().unwrap();
    });
}

#[test]
fn an_opener_of_a_dead_creators_set_is_told() {
    isolated(|| {
        let key = unique_key();
        let victim = creator(key);
        run_past_semget(&victim);
        victim.kill();
        let start = Instant::now();
        let error = OpenOptions::new().init_timeout(GRACE).open(key).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(start.elapsed() >= GRACE);
        assert!(error.to_string().contains("its creator has not initialised it"), "{error}");

        let as_it_is = OpenOptions::new().init_timeout(Duration::ZERO).open(key).unwrap();
        assert_eq!(as_it_is.values().unwrap(), [0, 0, 0]);
        as_it_is.remove().unwrap();
    });
}

#[test]
fn of_many_who_take_a_dead_creators_place_one_succeeds() {
    isolated(|| {
        for _ in 0..5 {
            let key = unique_key();
            let victim = creator(key);
            run_past_semget(&victim);
            victim.kill();
            let (start, owners) = (Gate::new(), Gate::new());
            let children: Vec<_> = (0..6)
                .map(|_| {
                    fork_child(|| {
                        start.wait();
                        let set = hasty().create(key, &VALUES).unwrap();
                        if set.is_owner() {
                            owners.open();
                        }
                        set.persist();
                        i32::from(set.values().unwrap() != VALUES)
                    })
                })
                .collect();
            (0..6).for_each(|_| start.open());
            assert!(children.into_iter().all(|child| child.wait().success()));
            assert!(owners.wait_timeout(Duration::ZERO), "somebody owns it");
            assert!(!owners.wait_timeout(Duration::ZERO), "nobody else does");
            SemaphoreSet::open(key).unwrap().remove().unwrap();
        }
    });
}

/// A creator that is alive but too late finds its place taken, and sets nothing a second time.
#[test]
fn a_creator_that_was_overtaken_is_told() {
    isolated(|| {
        let key = unique_key();
        let late = traced(|| {
            let error = SemaphoreSet::create_new(key, &VALUES).unwrap_err();
            i32::from(error.kind() != ErrorKind::AlreadyExists)
        });
        run_past_semget(&late);
        let set = hasty().create(key, &VALUES).unwrap();
        assert!(set.is_owner());
        let _permit = set.acquire(0).unwrap();
        assert_eq!(finish(late), Some(0));
        assert_eq!(set.values().unwrap(), [2, 0, 7]);
    });
}

#[test]
fn a_set_of_another_size_is_refused() {
    isolated(|| {
        let key = unique_key();
        let _set = SemaphoreSet::create_new(key, &VALUES).unwrap();
        let error = CreateOptions::new().create(key, &[1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("3 semaphores, and not 1"), "{error}");
    });
}

/// More semaphores than one operation can change.
#[test]
fn large_sets_are_initialised_too() {
    isolated(|| {
        for first in [0, 1, mp_sem::sysv::MAX_VALUE] {
            let mut values: Vec<_> = (0..1_000).collect();
            values[0] = first;
            let key = unique_key();
            let set = SemaphoreSet::create_new(key, &values).unwrap();
            assert_eq!(set.values().unwrap(), values);
            assert_eq!(SemaphoreSet::open(key).unwrap().len(), 1_000);
        }
    });
}
