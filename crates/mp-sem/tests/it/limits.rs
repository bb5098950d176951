//! Where a limit is the cause, the error says which.

use std::fs;

use mp_sem::sysv::{Key, Limits, MAX_VALUE, Op, SemaphoreSet};
use mp_testkit::{assert_explained, has_own_ipc, is_root, isolated, skip};
use nix::libc;

#[test]
fn sysv_operations_a_step() {
    isolated(|| {
        let most = Limits::read().unwrap().semopm as usize;
        let set = SemaphoreSet::create_new(Key::PRIVATE, &[0]).unwrap();
        set.op(&vec![Op::release(0, 1); most]).unwrap();
        let outcome = set.op(&vec![Op::release(0, 1); most + 1]).unwrap_err();
        let words = ["SEMOPM", &most.to_string()];
        assert_explained(outcome.os_error().unwrap(), libc::E2BIG, &words);
        assert_eq!(usize::from(set.value(0).unwrap()), most);
    });
}

#[test]
fn sysv_semaphores_a_set() {
    isolated(|| {
        let most = Limits::read().unwrap().semmsl as usize;
        if most >= 65_535 {
            return skip("this machine allows more semaphores than an index can tell");
        }
        let error = SemaphoreSet::create_new(Key::PRIVATE, &vec![0; most + 1]).unwrap_err();
        assert_explained(&error, libc::EINVAL, &["SEMMSL", &most.to_string()]);
    });
}

#[test]
fn sysv_number_of_sets() {
    isolated(|| {
        if !is_root() || !has_own_ipc() {
            return skip("lowering kernel.sem needs root and an IPC namespace of our own");
        }
        fs::write("/proc/sys/kernel/sem", "10 20 5 1").unwrap();
        let limits = Limits::read().unwrap();
        assert_eq!((limits.semmsl, limits.semmns, limits.semopm, limits.semmni), (10, 20, 5, 1));
        let _first = SemaphoreSet::create_new(Key::PRIVATE, &[1]).unwrap();
        let error = SemaphoreSet::create_new(Key::PRIVATE, &[1]).unwrap_err();
        assert_explained(&error, libc::ENOSPC, &["1 sets (SEMMNI)", "20 semaphores"]);
    });
}

#[test]
fn sysv_values() {
    isolated(|| {
        let set = SemaphoreSet::create_new(Key::PRIVATE, &[MAX_VALUE, 1]).unwrap();
        let outcome = set.op(&[Op::acquire(1, 1), Op::release(0, 1)]).unwrap_err();
        assert_explained(outcome.os_error().unwrap(), libc::ERANGE, &["SEMVMX", "32767"]);
        assert_eq!(set.values().unwrap(), [MAX_VALUE, 1]);
    });
}
