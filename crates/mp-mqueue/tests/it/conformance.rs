//! What a queue does, whichever the mechanism.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    time::{Duration, Instant},
};

use mp_testkit::{Gate, fork_child, wait_asleep};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::{Backend, CAPACITY, SIZE, for_both, number, text};

for_both! {
    smoke,
    capacity,
    len_empty_full,
    messages_keep_their_order,
    empty_and_largest_messages,
    a_message_that_is_too_long_is_refused,
    a_buffer_that_is_too_small_takes_nothing,
    try_recv,
    try_send,
    recv_timeout,
    send_timeout,
    a_past_deadline_still_takes_what_is_there,
    recv_waits_for_a_sender,
    send_waits_for_a_receiver,
    a_timed_recv_gets_what_comes_meanwhile,
    a_timed_recv_notices_in_time,
    a_timed_send_gets_the_room_that_comes_meanwhile,
    every_waiter_is_served,
    the_longest_waiting_receiver_is_served_first,
    a_signal_does_not_end_a_wait,
    spsc,
    mpmc,
}

const LONG: Duration = Duration::from_secs(20);

fn smoke(backend: &dyn Backend) {
    let queue = backend.fresh();
    queue.send(&text(1)).unwrap();
    assert_eq!(queue.again().unwrap().recv().unwrap(), text(1));
}

fn capacity(backend: &dyn Backend) {
    let queue = backend.fresh();
    for n in 0..CAPACITY {
        queue.try_send(&text(n)).unwrap();
    }
    assert_eq!(queue.try_send(&text(9)).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(queue.recv().unwrap(), text(0));
    queue.try_send(&text(9)).unwrap();
}

fn len_empty_full(backend: &dyn Backend) {
    let queue = backend.fresh();
    for n in 0..CAPACITY {
        assert_eq!(queue.len(), n);
        queue.send(&text(n)).unwrap();
    }
    for n in (0..CAPACITY).rev() {
        queue.recv().unwrap();
        assert_eq!(queue.len(), n);
    }
}

fn messages_keep_their_order(backend: &dyn Backend) {
    let queue = backend.fresh();
    for round in 0..3 {
        for n in 0..CAPACITY {
            queue.send(&text(round * 10 + n)).unwrap();
        }
        for n in 0..CAPACITY {
            assert_eq!(queue.recv().unwrap(), text(round * 10 + n));
        }
    }
}

fn empty_and_largest_messages(backend: &dyn Backend) {
    let queue = backend.fresh();
    for len in [0, 1, SIZE - 1, SIZE] {
        queue.send(&text(7)[..len]).unwrap();
        assert_eq!(queue.recv().unwrap(), text(7)[..len]);
    }
}

fn a_message_that_is_too_long_is_refused(backend: &dyn Backend) {
    let queue = backend.fresh();
    let long = vec![0; CAPACITY * SIZE + 1];
    let error = queue.send(&long).unwrap_err();
    assert!(error.to_string().contains(&format!("has {} bytes", long.len())), "{error}");
    queue.try_send(&long).unwrap_err();
    let error = queue.send_timeout(&long, LONG).unwrap_err();
    assert_ne!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(queue.len(), 0);
}

fn a_buffer_that_is_too_small_takes_nothing(backend: &dyn Backend) {
    let name = backend.name();
    let queue = backend.create_new(&name).unwrap();
    queue.send(&text(3)).unwrap();
    let mut small = [0; SIZE - 1];
    let error = match name.parse() {
        Ok(key) => {
            let queue =
                mp_mqueue::sysv::MessageQueue::open(mp_mqueue::sysv::Key::new(key)).unwrap();
            let select = mp_mqueue::sysv::Select::FIRST;
            queue.recv(&mut small, select).unwrap_err().to_string()
        }
        Err(_) => {
            let queue = mp_mqueue::posix::MessageQueue::open(&name).unwrap();
            queue.recv(&mut small).unwrap_err().to_string()
        }
    };
    assert!(error.contains("buffer") && error.contains("15 bytes"), "{error}");
    assert_eq!(queue.recv().unwrap(), text(3));
}

fn try_recv(backend: &dyn Backend) {
    let queue = backend.fresh();
    assert_eq!(queue.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    queue.send(&text(5)).unwrap();
    assert_eq!(queue.try_recv().unwrap(), text(5));
    assert_eq!(queue.try_recv().unwrap_err().kind(), ErrorKind::WouldBlock);
}

fn try_send(backend: &dyn Backend) {
    let queue = full(backend);
    assert_eq!(queue.try_send(&text(9)).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(queue.len(), CAPACITY);
}

fn recv_timeout(backend: &dyn Backend) {
    let queue = backend.fresh();
    times_out_in_time(|timeout| queue.recv_timeout(timeout).unwrap_err().kind());
}

fn send_timeout(backend: &dyn Backend) {
    let queue = full(backend);
    times_out_in_time(|timeout| queue.send_timeout(&text(9), timeout).unwrap_err().kind());
    assert_eq!(queue.len(), CAPACITY);
}

/// Never early, and once at least not later than the 20 ms that the docs promise on an idle machine.
fn times_out_in_time(operation: impl Fn(Duration) -> ErrorKind) {
    let timeouts = [0, 1, 300, 5_000, 30_000, 12_345].map(Duration::from_micros);
    let late = timeouts.map(|timeout| {
        let start = Instant::now();
        assert_eq!(operation(timeout), ErrorKind::TimedOut);
        start.elapsed().checked_sub(timeout).expect("it was not early")
    });
    assert!(late.iter().min().unwrap() < &Duration::from_millis(20), "{late:?}");
}

fn a_past_deadline_still_takes_what_is_there(backend: &dyn Backend) {
    let queue = backend.fresh();
    queue.send_timeout(&text(1), Duration::ZERO).unwrap();
    assert_eq!(queue.recv_timeout(Duration::ZERO).unwrap(), text(1));
}

fn recv_waits_for_a_sender(backend: &dyn Backend) {
    let queue = backend.fresh();
    let child = fork_child(|| i32::from(queue.recv().unwrap() != text(4)));
    wait_asleep(child.id(), child.id());
    queue.send(&text(4)).unwrap();
    assert!(child.wait().success());
}

fn send_waits_for_a_receiver(backend: &dyn Backend) {
    let queue = full(backend);
    let child = fork_child(|| queue.send(&text(4)).map_or(1, |()| 0));
    wait_asleep(child.id(), child.id());
    for n in 0..=CAPACITY {
        assert_eq!(queue.recv().unwrap(), text(n));
    }
    assert!(child.wait().success());
}

fn a_timed_recv_gets_what_comes_meanwhile(backend: &dyn Backend) {
    let queue = backend.fresh();
    let child = fork_child(|| i32::from(queue.recv_timeout(LONG).unwrap() != text(4)));
    wait_asleep(child.id(), child.id());
    queue.send(&text(4)).unwrap();
    assert!(child.wait().success());
}

/// Once at least within the 20 ms that the docs promise on an idle machine, after a wait that has become patient.
fn a_timed_recv_notices_in_time(backend: &dyn Backend) {
    fn now() -> usize {
        let now = mp_os::Deadline::after(Duration::ZERO).to_monotonic().unwrap();
        now.tv_sec as usize * 1_000_000 + now.tv_nsec as usize / 1_000
    }

    let (queue, never) = (backend.fresh(), backend.fresh());
    let child = fork_child(|| {
        let late = (0..5).map(|_| {
            let sent = number(&queue.recv_timeout(LONG).unwrap());
            now() - sent
        });
        i32::from(late.min().unwrap() > 20_000)
    });
    for _ in 0..5 {
        never.recv_timeout(Duration::from_millis(50)).unwrap_err();
        queue.send(&text(now())).unwrap();
    }
    assert!(child.wait().success());
}

fn a_timed_send_gets_the_room_that_comes_meanwhile(backend: &dyn Backend) {
    let queue = full(backend);
    let child = fork_child(|| queue.send_timeout(&text(4), LONG).map_or(1, |()| 0));
    wait_asleep(child.id(), child.id());
    for n in 0..=CAPACITY {
        assert_eq!(queue.recv().unwrap(), text(n));
    }
    assert!(child.wait().success());
}

fn every_waiter_is_served(backend: &dyn Backend) {
    let queue = backend.fresh();
    let waiters: Vec<_> = (0..3)
        .map(|n| {
            fork_child(|| match n {
                0 => queue.recv().map_or(1, |_| 0),
                _ => queue.recv_timeout(LONG).map_or(1, |_| 0),
            })
        })
        .collect();
    waiters.iter().for_each(|child| wait_asleep(child.id(), child.id()));
    (0..3).for_each(|n| queue.send(&text(n)).unwrap());
    assert!(waiters.into_iter().all(|child| child.wait().success()));
    assert_eq!(queue.len(), 0);
}

fn the_longest_waiting_receiver_is_served_first(backend: &dyn Backend) {
    let queue = backend.fresh();
    let waiters: Vec<_> = (0..3)
        .map(|n| {
            let child = fork_child(|| i32::from(queue.recv().unwrap() != text(n)));
            wait_asleep(child.id(), child.id());
            child
        })
        .collect();
    (0..3).for_each(|n| queue.send(&text(n)).unwrap());
    assert!(waiters.into_iter().all(|child| child.wait().success()));
}

/// A handler without `SA_RESTART`, which ends a system call with `EINTR`.
fn a_signal_does_not_end_a_wait(backend: &dyn Backend) {
    extern "C" fn handler(_: i32) {}

    let queue = backend.fresh();
    let (there, timeout) = (Gate::new(), Duration::from_millis(300));
    let child = |timed: bool| {
        fork_child(|| {
            let action =
                SigAction::new(SigHandler::Handler(handler), SaFlags::empty(), SigSet::empty());
            // SAFETY: the handler does nothing.
            unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
            let start = Instant::now();
            there.open();
            if timed {
                let outcome = queue.recv_timeout(timeout).unwrap_err();
                return i32::from(
                    outcome.kind() != ErrorKind::TimedOut || start.elapsed() < timeout,
                );
            }
            i32::from(queue.recv().unwrap() != text(6))
        })
    };
    for timed in [true, false] {
        let child = child(timed);
        child.wait_at(&there);
        for _ in 0..10 {
            wait_asleep(child.id(), child.id());
            child.signal(Signal::SIGUSR1 as i32);
        }
        if !timed {
            queue.send(&text(6)).unwrap();
        }
        assert!(child.wait().success());
    }
}

fn spsc(backend: &dyn Backend) {
    let queue = backend.fresh();
    let child = fork_child(|| {
        (0..1_000).for_each(|n| queue.send(&text(n)).unwrap());
        0
    });
    for n in 0..1_000 {
        assert_eq!(number(&queue.recv().unwrap()), n);
    }
    assert!(child.wait().success());
}

/// Two senders and two receivers, half of them with deadlines: every message arrives once.
fn mpmc(backend: &dyn Backend) {
    let (queue, results) = (backend.fresh(), backend.fresh());
    let senders: Vec<_> = [0, 1]
        .map(|sender| {
            fork_child(|| {
                for n in (sender..400).step_by(2) {
                    match sender {
                        0 => queue.send(&text(n)).unwrap(),
                        _ => queue.send_timeout(&text(n), LONG).unwrap(),
                    }
                }
                0
            })
        })
        .into();
    let receivers: Vec<_> = [0, 1]
        .map(|receiver| {
            fork_child(|| {
                for _ in 0..200 {
                    let message = match receiver {
                        0 => queue.recv().unwrap(),
                        _ => queue.recv_timeout(LONG).unwrap(),
                    };
                    results.send(&message).unwrap();
                }
                0
            })
        })
        .into();
    let seen: BTreeSet<_> = (0..400).map(|_| number(&results.recv().unwrap())).collect();
    assert_eq!(seen.len(), 400);
    assert!(senders.into_iter().chain(receivers).all(|child| child.wait().success()));
}

fn full(backend: &dyn Backend) -> Box<dyn crate::Queue> {
    let queue = backend.fresh();
    (0..CAPACITY).for_each(|n| queue.send(&text(n)).unwrap());
    queue
}
