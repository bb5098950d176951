//! `mq_notify`.

use std::{io, time::Duration};

use mp_mqueue::{
    TimeoutError, TryError,
    posix::{MessageQueue, Notify, NotifyError},
};
use mp_testkit::{Gate, fork_child, isolated, unique_name, wait_asleep, wait_for_kill};
use nix::{
    libc,
    sys::signal::{SigSet, Signal},
};

use crate::{SIZE, posix_options};

fn fresh() -> MessageQueue {
    posix_options().create_new(unique_name("mqueue")).unwrap()
}

fn block_signal() -> SigSet {
    let mut set = SigSet::empty();
    set.add(Signal::SIGUSR1);
    set.thread_block().unwrap();
    set
}

/// Runs `body` in a process with one thread, which alone can have the signal of the process.
fn alone(body: impl FnOnce()) {
    let child = fork_child(|| {
        body();
        0
    });
    assert!(child.wait().success());
}

/// The pending `SIGUSR1`, taken without waiting: its code and its value.
fn pending(set: &SigSet) -> Option<(i32, usize)> {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: all three pointers are valid for the call.
    let signal = unsafe { libc::sigtimedwait(set.as_ref(), info.as_mut_ptr(), &raw const zero) };
    if signal < 0 {
        assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::EAGAIN));
        return None;
    }
    // SAFETY: the kernel has filled it.
    let info = unsafe { info.assume_init() };
    // SAFETY: a queue's signal carries a value.
    Some((info.si_code, unsafe { info.si_value() }.sival_ptr.addr()))
}

#[test]
fn a_signal_tells_the_first_message_once() {
    isolated(|| {
        alone(|| {
            let (queue, set) = (fresh(), block_signal());
            queue.notify_signal(libc::SIGUSR1, 77).unwrap();
            assert_eq!(pending(&set), None);
            queue.send(b"x", 0).unwrap();
            assert_eq!(pending(&set), Some((libc::SI_MESGQ, 77)));
            queue.recv(&mut [0; SIZE]).unwrap();
            queue.send(b"x", 0).unwrap();
            assert_eq!(pending(&set), None, "the registration is over");
            queue.notify_signal(libc::SIGUSR1, 78).unwrap();
            queue.send(b"x", 0).unwrap();
            assert_eq!(pending(&set), None, "the queue was not empty");
            while queue.try_recv(&mut [0; SIZE]).is_ok() {}
            queue.send(b"x", 0).unwrap();
            assert_eq!(pending(&set), Some((libc::SI_MESGQ, 78)));
        })
    });
}

#[test]
fn there_is_one_registration_at_a_time() {
    isolated(|| {
        let queue = fresh();
        let there = Gate::new();
        let child = fork_child(|| {
            queue.notify_signal(libc::SIGUSR1, 0).unwrap();
            there.open();
            wait_for_kill()
        });
        child.wait_at(&there);
        assert!(matches!(queue.notify_fd(), Err(NotifyError::Busy)));
        queue.cancel_notify().unwrap();
        assert!(matches!(queue.notify_fd(), Err(NotifyError::Busy)), "it was not ours");
        child.kill();
        let _notifier = queue.notify_fd().unwrap();
        assert!(matches!(queue.notify_signal(libc::SIGUSR1, 0), Err(NotifyError::Busy)));
        let refused = queue.notify_signal(1_000, 0);
        assert!(
            matches!(refused, Err(NotifyError::Os(error)) if error.raw_os_error() == Some(libc::EINVAL))
        );
    });
}

#[test]
fn a_cancelled_registration_tells_nothing() {
    isolated(|| {
        alone(|| {
            let (queue, set) = (fresh(), block_signal());
            queue.notify_signal(libc::SIGUSR1, 0).unwrap();
            queue.cancel_notify().unwrap();
            queue.send(b"x", 0).unwrap();
            assert_eq!(pending(&set), None);
        })
    });
}

#[test]
fn a_descriptor_tells_the_first_message_to_all_who_wait() {
    isolated(|| {
        let queue = fresh();
        let notifier = queue.notify_fd().unwrap();
        assert!(matches!(notifier.try_wait(), Err(TryError::WouldBlock)));
        let soon = notifier.wait_timeout(Duration::from_millis(2));
        assert!(matches!(soon, Err(TimeoutError::TimedOut)));
        let child = fork_child(|| i32::from(notifier.wait().unwrap() != Notify::Arrived));
        wait_asleep(child.id(), child.id());
        queue.send(b"x", 0).unwrap();
        assert!(child.wait().success());
        assert_eq!(notifier.wait().unwrap(), Notify::Arrived);
        assert_eq!(notifier.try_wait().unwrap(), Notify::Arrived);
    });
}

#[test]
fn a_dropped_notifier_makes_way_and_an_old_one_does_not_disturb() {
    isolated(|| {
        let queue = fresh();
        drop(queue.notify_fd().unwrap());
        let old = queue.notify_fd().unwrap();
        queue.send(b"x", 0).unwrap();
        queue.recv(&mut [0; SIZE]).unwrap();
        let new = queue.notify_fd().unwrap();
        drop(old);
        queue.send(b"x", 0).unwrap();
        assert_eq!(new.wait().unwrap(), Notify::Arrived);

        queue.recv(&mut [0; SIZE]).unwrap();
        let cancelled = queue.notify_fd().unwrap();
        queue.cancel_notify().unwrap();
        assert_eq!(cancelled.wait().unwrap(), Notify::Cancelled);
    });
}

/// Whoever is killed while it waits is not registered any more.
#[test]
fn a_killed_waiter_makes_way() {
    isolated(|| {
        let queue = fresh();
        let there = Gate::new();
        let waiter = fork_child(|| {
            let notifier = queue.notify_fd().unwrap();
            there.open();
            i32::from(notifier.wait().is_ok())
        });
        waiter.wait_at(&there);
        wait_asleep(waiter.id(), waiter.id());
        assert!(matches!(queue.notify_fd(), Err(NotifyError::Busy)));
        waiter.kill();
        let notifier = queue.notify_fd().unwrap();
        queue.send(b"x", 0).unwrap();
        assert_eq!(notifier.wait().unwrap(), Notify::Arrived);
    });
}

/// A receiver blocked in the kernel takes the message, and the registration lasts.
#[test]
fn a_blocked_receiver_comes_first() {
    isolated(|| {
        let queue = fresh();
        let child = fork_child(|| queue.recv(&mut [0; SIZE]).map_or(1, |_| 0));
        wait_asleep(child.id(), child.id());
        let notifier = queue.notify_fd().unwrap();
        queue.send(b"x", 0).unwrap();
        assert!(child.wait().success());
        assert!(matches!(notifier.try_wait(), Err(TryError::WouldBlock)));
        queue.send(b"y", 0).unwrap();
        assert_eq!(notifier.wait().unwrap(), Notify::Arrived);
    });
}

/// The kernel's rule is about any descriptor of the queue that the process closes.
#[test]
fn closing_the_queue_ends_the_registration() {
    isolated(|| {
        let queue = fresh();
        let other = MessageQueue::open(queue.name().unwrap()).unwrap();
        other.notify_signal(libc::SIGUSR1, 0).unwrap();
        assert!(matches!(queue.notify_fd(), Err(NotifyError::Busy)));
        drop(other);
        queue.notify_fd().unwrap();
    });
}
