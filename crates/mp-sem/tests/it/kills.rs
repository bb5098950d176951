//! What is left when a process is killed, and that nobody waits for the dead.

use std::{io::ErrorKind, time::Duration};

use mp_sem::sysv::Op;
use mp_testkit::{Gate, fork_child, isolated, wait_asleep, wait_for_kill};

use crate::{Backend, for_each_of};

for_each_of! { [posix_named: Named, posix_unnamed: Unnamed, sysv: SystemV]; {
    the_permit_of_a_killed_holder,
    a_killed_waiter_takes_nothing,
    a_killed_waiter_does_not_hide_a_release_from_the_others,
    random_kills_lose_nothing_where_the_kernel_undoes,
}}

for_each_of! { [posix: Named, owner_sysv: SystemV]; {
    a_killed_owner_leaves_the_semaphore_to_the_others,
}}

/// System V gives it back, to a waiter too. POSIX loses it: the waiter's deadline passes.
fn the_permit_of_a_killed_holder<B: Backend>() {
    let semaphore = B::fresh(1);
    let there = Gate::new();
    let holder = fork_child(|| {
        let _permit = semaphore.acquire().unwrap();
        there.open();
        wait_for_kill()
    });
    holder.wait_at(&there);
    let patience = Duration::from_millis(if B::UNDOES { 20_000 } else { 100 });
    let waiter = fork_child(|| match semaphore.acquire_timeout(patience) {
        Ok(_permit) => 0,
        Err(error) if error.kind() == ErrorKind::TimedOut => 1,
        Err(_) => 2,
    });
    wait_asleep(waiter.id(), waiter.id());
    holder.kill();
    assert_eq!(waiter.wait().code(), Some(i32::from(!B::UNDOES)));
    assert_eq!(semaphore.value(), u32::from(B::UNDOES));
}

fn a_killed_waiter_takes_nothing<B: Backend>() {
    let semaphore = B::fresh(0);
    for timed in [false, true] {
        let waiter = fork_child(|| {
            let permit = match timed {
                true => semaphore.acquire_timeout(Duration::from_secs(60)),
                false => semaphore.acquire(),
            };
            i32::from(permit.is_ok())
        });
        wait_asleep(waiter.id(), waiter.id());
        waiter.kill();
        semaphore.release(1).unwrap();
        semaphore.try_acquire().unwrap().forget();
    }
}

fn a_killed_waiter_does_not_hide_a_release_from_the_others<B: Backend>() {
    let semaphore = B::fresh(0);
    let waiters: Vec<_> =
        (0..3).map(|_| fork_child(|| semaphore.acquire().map_or(1, |_| 0))).collect();
    waiters.iter().for_each(|child| wait_asleep(child.id(), child.id()));
    let mut waiters = waiters.into_iter();
    waiters.next().unwrap().kill();
    semaphore.release(1).unwrap();
    assert!(waiters.all(|child| child.wait().success()));
}

/// Processes that take and give back are killed at any moment.
fn random_kills_lose_nothing_where_the_kernel_undoes<B: Backend>() {
    let semaphore = B::fresh(2);
    let started = Gate::new();
    let mut lost = 0;
    for round in 0..60_u32 {
        let victim = fork_child(|| {
            started.open();
            loop {
                drop(semaphore.acquire().unwrap());
            }
        });
        victim.wait_at(&started);
        (0..round * 50).for_each(|_| std::hint::spin_loop());
        victim.kill();
        if !B::UNDOES {
            // At most the one in its hand, which is made good here.
            lost = 2 - semaphore.value();
            assert!(lost <= 1);
            semaphore.release(lost).unwrap();
        }
        assert_eq!(semaphore.value(), 2, "after {round} kills, {lost} lost");
    }
}

fn a_killed_owner_leaves_the_semaphore_to_the_others<B: Backend>() {
    let name = B::name();
    let there = Gate::new();
    let owner = fork_child(|| {
        let _semaphore = B::create_new(&name, 5).unwrap();
        there.open();
        wait_for_kill()
    });
    owner.wait_at(&there);
    owner.kill();
    let semaphore = B::open(&name).unwrap();
    assert_eq!(semaphore.value(), 5);
    semaphore.remove();
    assert_eq!(B::open(&name).err().unwrap().kind(), ErrorKind::NotFound);
}

/// What a dead process had taken with undo comes back to those who wait for several permits at once, and what it had given with
/// undo goes away for those who wait for zero, with a deadline or without.
#[test]
fn a_wait_for_zero_or_for_several_ends_with_the_killed_holder() {
    isolated(|| {
        let set = crate::sysv_only::set(&[1, 1, 0]);
        let there = Gate::new();
        let holder = fork_child(|| {
            set.op(&[Op::acquire(0, 1).undo(), Op::release(2, 1).undo()]).unwrap();
            there.open();
            wait_for_kill()
        });
        holder.wait_at(&there);
        let long = Duration::from_secs(60);
        let both = [Op::acquire(0, 1).undo(), Op::acquire(1, 1).undo()];
        let waiters = [
            fork_child(|| i32::from(set.op(&both).is_err())),
            fork_child(|| i32::from(set.op_timeout(&both, long).is_err())),
            fork_child(|| i32::from(set.wait_zero(2).is_err())),
            fork_child(|| i32::from(set.wait_zero_timeout(2, long).is_err())),
        ];
        waiters.iter().for_each(|child| wait_asleep(child.id(), child.id()));
        assert_eq!(set.value(1).unwrap(), 1, "nothing is taken in part");
        holder.kill();
        // Each that has both gives them back when it ends.
        assert!(waiters.map(|child| child.wait().success()).iter().all(|ended| *ended));
        assert_eq!(set.values().unwrap(), [1, 1, 0]);
    });
}
