//! What is left when a process is killed: everything that was sent, nothing that was not, and nobody waits for the dead.

use std::{io::ErrorKind, time::Duration};

use mp_testkit::{Gate, fork_child, wait_asleep, wait_for_kill};

use crate::{Backend, CAPACITY, for_both, number, text};

for_both! {
    a_killed_sender_leaves_whole_messages,
    a_killed_receiver_takes_at_most_what_it_was_given,
    a_killed_waiting_receiver_takes_nothing,
    a_killed_waiting_sender_leaves_nothing,
    a_dead_sender_is_waited_for_until_the_deadline,
    a_blocked_sender_gets_the_room_of_another_receiver,
    a_killed_owner_leaves_the_queue_to_the_others,
}

fn a_killed_sender_leaves_whole_messages(backend: &dyn Backend) {
    for _ in 0..20 {
        let queue = backend.fresh();
        let child = fork_child(|| {
            let mut n = 0;
            loop {
                queue.send(&text(n)).unwrap();
                n += 1;
            }
        });
        for n in 0..50 {
            assert_eq!(number(&queue.recv().unwrap()), n);
        }
        child.kill();
        let mut next = 50;
        while let Ok(message) = queue.try_recv() {
            assert_eq!(number(&message), next);
            next += 1;
        }
        assert!(next <= 50 + CAPACITY);
        queue.send(&text(1)).unwrap();
        assert_eq!(queue.recv().unwrap(), text(1));
    }
}

fn a_killed_receiver_takes_at_most_what_it_was_given(backend: &dyn Backend) {
    for _ in 0..20 {
        let queue = backend.fresh();
        let child = fork_child(|| {
            loop {
                queue.recv().unwrap();
            }
        });
        (0..50).for_each(|n| queue.send(&text(n)).unwrap());
        child.kill();
        let rest: Vec<_> =
            std::iter::from_fn(|| queue.try_recv().ok()).map(|m| number(&m)).collect();
        let expected: Vec<_> = (50 - rest.len()..50).collect();
        assert_eq!(rest, expected, "what is left is what was sent last, without a gap");
    }
}

fn a_killed_waiting_receiver_takes_nothing(backend: &dyn Backend) {
    let queue = backend.fresh();
    for timed in [false, true] {
        let child = fork_child(|| {
            let outcome = match timed {
                true => queue.recv_timeout(Duration::from_secs(60)),
                false => queue.recv(),
            };
            i32::from(outcome.is_ok())
        });
        wait_asleep(child.id(), child.id());
        child.kill();
        queue.send(&text(3)).unwrap();
        assert_eq!(queue.try_recv().unwrap(), text(3));
    }
}

fn a_killed_waiting_sender_leaves_nothing(backend: &dyn Backend) {
    let queue = backend.fresh();
    (0..CAPACITY).for_each(|n| queue.send(&text(n)).unwrap());
    for timed in [false, true] {
        let child = fork_child(|| {
            let outcome = match timed {
                true => queue.send_timeout(&text(9), Duration::from_secs(60)),
                false => queue.send(&text(9)),
            };
            i32::from(outcome.is_ok())
        });
        wait_asleep(child.id(), child.id());
        child.kill();
    }
    for n in 0..CAPACITY {
        assert_eq!(queue.recv().unwrap(), text(n));
    }
    assert_eq!(queue.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// The kernel does not know who would have sent: the deadline ends the wait.
fn a_dead_sender_is_waited_for_until_the_deadline(backend: &dyn Backend) {
    let queue = backend.fresh();
    let there = Gate::new();
    let sender = fork_child(|| {
        queue.send(&text(1)).unwrap();
        there.open();
        wait_for_kill()
    });
    sender.wait_at(&there);
    sender.kill();
    assert_eq!(queue.recv().unwrap(), text(1), "what it has sent is there");
    let outcome = queue.recv_timeout(Duration::from_millis(30));
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::TimedOut);
}

fn a_blocked_sender_gets_the_room_of_another_receiver(backend: &dyn Backend) {
    let queue = backend.fresh();
    (0..CAPACITY).for_each(|n| queue.send(&text(n)).unwrap());
    let sender = fork_child(|| queue.send(&text(9)).map_or(1, |()| 0));
    wait_asleep(sender.id(), sender.id());
    let there = Gate::new();
    let receiver = fork_child(|| {
        there.open();
        wait_for_kill()
    });
    receiver.wait_at(&there);
    receiver.kill();
    assert_eq!(queue.recv().unwrap(), text(0));
    assert!(sender.wait().success());
}

fn a_killed_owner_leaves_the_queue_to_the_others(backend: &dyn Backend) {
    let name = backend.name();
    let there = Gate::new();
    let owner = fork_child(|| {
        let queue = backend.create_new(&name).unwrap();
        queue.send(&text(5)).unwrap();
        there.open();
        wait_for_kill()
    });
    owner.wait_at(&there);
    owner.kill();
    let queue = backend.open(&name).unwrap();
    assert_eq!(queue.recv().unwrap(), text(5));
    queue.remove();
    assert_eq!(backend.open(&name).err().unwrap().kind(), ErrorKind::NotFound);
}
