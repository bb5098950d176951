//! What only System V sets do: several semaphores in one step, zero, undo, removal, state.

use std::{
    io::ErrorKind,
    time::{Duration, SystemTime},
};

use mp_sem::sysv::{
    CreateOptions, Key, MAX_VALUE, Op, OpenOptions, SemaphoreSet, TimeoutError, TryError,
    WaitError, list,
};
use mp_testkit::{
    Gate, as_ordinary_user, fork_child, is_root, isolated, skip, unique_key, wait_asleep,
    wait_for_kill,
};

pub(crate) fn set(values: &[u16]) -> SemaphoreSet {
    SemaphoreSet::create_new(Key::PRIVATE, values).unwrap()
}

#[test]
fn an_operation_is_all_or_nothing() {
    isolated(|| {
        let set = set(&[1, 0, 5]);
        let ops = [Op::acquire(0, 1), Op::acquire(1, 1), Op::release(2, 1)];
        assert!(matches!(set.try_op(&ops), Err(TryError::WouldBlock)));
        let soon = set.op_timeout(&ops, Duration::from_millis(2));
        assert!(matches!(soon, Err(TimeoutError::TimedOut)));
        assert_eq!(set.values().unwrap(), [1, 0, 5]);
        let child = fork_child(|| set.op(&ops).map_or(1, |()| 0));
        wait_asleep(child.id(), child.id());
        assert_eq!(set.values().unwrap(), [1, 0, 5], "a waiter takes nothing");
        set.release(1, 1).unwrap();
        assert!(child.wait().success());
        assert_eq!(set.values().unwrap(), [0, 0, 6]);
    });
}

#[test]
fn several_permits_and_many_operations() {
    isolated(|| {
        let set = set(&[10; 40]);
        let ops: Vec<_> = (0..40).map(|index| Op::acquire(index, index % 10 + 1)).collect();
        set.op(&ops).unwrap();
        assert_eq!(set.value(9).unwrap(), 0);
        assert!(matches!(set.try_op(&[Op::acquire(8, 2)]), Err(TryError::WouldBlock)));
        set.op(&[Op::release(8, 1), Op::acquire(8, 2)]).unwrap();
        assert_eq!(set.value(8).unwrap(), 0);
    });
}

#[test]
fn zero_can_be_waited_for() {
    isolated(|| {
        let set = set(&[1, 0]);
        assert!(matches!(set.try_wait_zero(0), Err(TryError::WouldBlock)));
        let soon = set.wait_zero_timeout(0, Duration::from_millis(2));
        assert!(matches!(soon, Err(TimeoutError::TimedOut)));
        set.wait_zero(1).unwrap();
        let there = Gate::new();
        let child = fork_child(|| {
            there.open();
            set.wait_zero(0).map_or(1, |()| 0)
        });
        child.wait_at(&there);
        wait_asleep(child.id(), child.id());
        assert_eq!((set.zero_waiters(0).unwrap(), set.waiters(0).unwrap()), (1, 0));
        set.acquire(0).unwrap().forget().unwrap();
        assert!(child.wait().success());
        assert_eq!(set.zero_waiters(0).unwrap(), 0);
    });
}

#[test]
fn what_a_process_did_is_undone_when_it_ends() {
    isolated(|| {
        let set = set(&[5, 5, 5]);
        for killed in [false, true] {
            let there = Gate::new();
            let child = fork_child(|| {
                set.op(&[Op::acquire(0, 2).undo(), Op::release(1, 3).undo()]).unwrap();
                set.op(&[Op::acquire(0, 1).undo(), Op::acquire(2, 1)]).unwrap();
                there.open();
                if killed { wait_for_kill() } else { 0 }
            });
            child.wait_at(&there);
            if killed {
                assert_eq!(set.values().unwrap(), [2, 8, 3]);
                child.kill();
            } else {
                assert!(child.wait().success());
            }
            assert_eq!(set.values().unwrap()[..2], [5, 5]);
        }
        assert_eq!(set.value(2).unwrap(), 3, "what was done without stays done");
    });
}

#[test]
fn an_undo_ends_the_wait_of_others() {
    isolated(|| {
        let set = set(&[1]);
        let there = Gate::new();
        let holder = fork_child(|| {
            let _permit = set.acquire(0).unwrap();
            there.open();
            wait_for_kill()
        });
        holder.wait_at(&there);
        let waiter = fork_child(|| set.acquire(0).map_or(1, |_| 0));
        wait_asleep(waiter.id(), waiter.id());
        assert_eq!(set.waiters(0).unwrap(), 1);
        holder.kill();
        assert!(waiter.wait().success());
        assert_eq!(set.value(0).unwrap(), 1);
    });
}

#[test]
fn a_fork_has_nothing_to_undo() {
    isolated(|| {
        let set = set(&[2]);
        let permit = set.acquire(0).unwrap();
        fork_child(|| 0).wait();
        assert_eq!(set.value(0).unwrap(), 1);
        drop(permit);
        assert_eq!(set.value(0).unwrap(), 2);
    });
}

#[test]
fn the_end_of_a_thread_undoes_nothing() {
    isolated(|| {
        let set = set(&[1]);
        let there = Gate::new();
        let child = fork_child(|| {
            let thread = || set.op(&[Op::acquire(0, 1).undo()]).unwrap();
            std::thread::scope(|scope| scope.spawn(thread).join().unwrap());
            there.open();
            wait_for_kill()
        });
        child.wait_at(&there);
        assert_eq!(set.value(0).unwrap(), 0);
        child.kill();
        assert_eq!(set.value(0).unwrap(), 1);
    });
}

#[test]
fn setting_a_value_forgets_what_was_to_be_undone() {
    isolated(|| {
        let set = set(&[2, 2]);
        let there = Gate::new();
        let child = fork_child(|| {
            set.op(&[Op::acquire(0, 1).undo(), Op::acquire(1, 1).undo()]).unwrap();
            there.open();
            wait_for_kill()
        });
        child.wait_at(&there);
        set.set_value(0, 9).unwrap();
        child.kill();
        assert_eq!(set.values().unwrap(), [9, 2]);
        set.set_values(&[0, MAX_VALUE]).unwrap();
        assert_eq!(set.values().unwrap(), [0, MAX_VALUE]);
    });
}

#[test]
fn setting_a_value_wakes_who_waits() {
    isolated(|| {
        let set = set(&[0, 1]);
        let children = [
            fork_child(|| set.acquire(0).map_or(1, |_| 0)),
            fork_child(|| set.wait_zero(1).map_or(1, |()| 0)),
        ];
        children.iter().for_each(|child| wait_asleep(child.id(), child.id()));
        set.set_values(&[1, 0]).unwrap();
        assert!(children.into_iter().all(|child| child.wait().success()));
    });
}

#[test]
fn bad_input_is_refused_before_anything_changes() {
    isolated(|| {
        let set = set(&[1, 1]);
        let refused = |outcome: WaitError| {
            assert_eq!(outcome.os_error().unwrap().kind(), ErrorKind::InvalidInput, "{outcome}");
        };
        refused(set.op(&[]).unwrap_err());
        for bad in [
            Op::acquire(2, 1),
            Op::wait_zero(2),
            Op::acquire(0, 0),
            Op::release(0, 0),
            Op::acquire(0, MAX_VALUE + 1),
        ] {
            refused(set.op(&[Op::acquire(1, 1), bad]).unwrap_err());
        }
        refused(set.set_values(&[1]).unwrap_err());
        refused(set.set_values(&[1, MAX_VALUE + 1]).unwrap_err());
        refused(set.set_value(0, MAX_VALUE + 1).unwrap_err());
        refused(set.set_value(2, 1).unwrap_err());
        refused(set.value(2).unwrap_err());
        refused(set.set_mode(0o4755).unwrap_err());
        assert_eq!(set.values().unwrap(), [1, 1]);

        let key = unique_key();
        for bad in [&[][..], &[MAX_VALUE + 1]] {
            let error = SemaphoreSet::create_new(key, bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
        let error = CreateOptions::new().mode(0o1000).create_new(key, &[1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(SemaphoreSet::open(key).unwrap_err().kind(), ErrorKind::NotFound);
        let error = OpenOptions::new().open(Key::PRIVATE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(SemaphoreSet::from_id(-1).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn removal_ends_every_wait_with_its_own_outcome() {
    isolated(|| {
        let set = set(&[0, 1, 1]);
        let minute = Duration::from_secs(60);
        let removed = |case| match case {
            0 => matches!(set.acquire(0), Err(WaitError::Removed)),
            1 => matches!(set.wait_zero(1), Err(WaitError::Removed)),
            2 => matches!(set.acquire_timeout(0, minute), Err(TimeoutError::Removed)),
            _ => matches!(set.op_timeout(&[Op::acquire(1, 2)], minute), Err(TimeoutError::Removed)),
        };
        let children: Vec<_> =
            (0..4).map(|case| fork_child(move || i32::from(!removed(case)))).collect();
        children.iter().for_each(|child| wait_asleep(child.id(), child.id()));
        let permit = set.acquire(2).unwrap();
        set.remove().unwrap();
        for (case, child) in children.into_iter().enumerate() {
            assert!(child.wait().success(), "case {case}");
        }
        drop(permit);
        assert!((0..4).all(removed), "it stays so");
        assert!(matches!(set.remove(), Err(WaitError::Removed)));
        assert!(matches!(set.stat(), Err(WaitError::Removed)));
        assert!(matches!(set.values(), Err(WaitError::Removed)));
        assert!(matches!(set.try_acquire(0), Err(TryError::Removed)));
    });
}

#[test]
fn stat_tells_who_did_what() {
    isolated(|| {
        let key = unique_key();
        let before = SystemTime::now() - Duration::from_secs(2);
        let set = CreateOptions::new().mode(0o640).create_new(key, &[2, 0]).unwrap();
        let stat = set.stat().unwrap();
        assert_eq!((stat.len, stat.permissions.key, stat.permissions.mode), (2, key, 0o640));
        assert!(stat.operated_at.unwrap() > before && stat.changed_at.unwrap() > before);

        let child = fork_child(|| set.release(0, 1).map_or(1, |()| 0));
        let process = child.id();
        assert!(child.wait().success());
        // The kernel remembers the process, but tells its number only while there is one.
        assert!([None, Some(process)].contains(&set.last_process(0).unwrap()));
        set.release(0, 1).unwrap();
        assert_eq!(set.last_process(0).unwrap(), Some(std::process::id()));
        assert_eq!(set.value(0).unwrap(), 4);

        set.set_mode(0o604).unwrap();
        assert_eq!(set.stat().unwrap().permissions.mode, 0o604);
        if !is_root() {
            return skip("giving a set away needs root");
        }
        set.set_owner(65_534, 65_534).unwrap();
        let permissions = set.stat().unwrap().permissions;
        assert_eq!((permissions.uid, permissions.creator_uid), (65_534, 0));
    });
}

#[test]
fn permissions_are_checked_at_every_operation() {
    isolated(|| {
        if !is_root() {
            return skip("a set of another user needs root");
        }
        let key = unique_key();
        let _set = CreateOptions::new().mode(0o604).create_new(key, &[1]).unwrap();
        as_ordinary_user(|| {
            let denied = |outcome: WaitError| {
                assert_eq!(outcome.os_error().unwrap().kind(), ErrorKind::PermissionDenied);
            };
            let other = SemaphoreSet::open(key).unwrap();
            assert_eq!(other.values().unwrap(), [1]);
            other.try_wait_zero(0).unwrap_err();
            denied(other.acquire(0).map(drop).unwrap_err());
            denied(other.set_value(0, 7).unwrap_err());
            denied(other.set_values(&[7]).unwrap_err());
            denied(other.remove().unwrap_err());
            denied(other.set_mode(0o666).unwrap_err());
        });
    });
}

#[test]
fn existing_sets_are_listed() {
    isolated(|| {
        let key = unique_key();
        let set = SemaphoreSet::create_new(key, &[1]).unwrap();
        let found = |id| list().unwrap().into_iter().find(|listed| listed.id == id);
        assert_eq!(found(set.id()).unwrap().key, key);
        set.remove().unwrap();
        assert!(found(set.id()).is_none());
    });
}
