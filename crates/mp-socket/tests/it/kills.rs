//! `SIGKILL` while the other side waits, or in the middle of sending.

use std::io::ErrorKind;

use mp_socket::TimeoutError;
use mp_testkit::{Gate, fork_child, holder, once_asleep, wait_for_kill};

use crate::{
    PATIENCE,
    backends::{Channel, for_every_backend},
};

for_every_backend! {
    receiver_waits_for_the_killed, sender_waits_for_the_killed, sender_killed, receiver_killed, sigpipe_is_never_raised,
}

fn receiver_waits_for_the_killed<C: Channel>(make: impl Fn() -> (C, C)) {
    if !C::HAS_END {
        return;
    }
    for timeout in [None, Some(PATIENCE)] {
        let (left, right) = make();
        let child = holder(left);
        let wait = || match timeout {
            None => right.recv(&mut [0; 4]),
            Some(timeout) => Ok(right.recv_timeout(&mut [0; 4], timeout)?),
        };
        assert_eq!(once_asleep(wait, || _ = child.kill()).unwrap(), 0);
    }
}

fn sender_waits_for_the_killed<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    while left.try_send(b"fill").is_ok() {}
    let child = holder(right);
    let outcome = once_asleep(|| left.send_timeout(b"x", PATIENCE), || _ = child.kill());
    let Err(TimeoutError::Os(error)) = outcome else { panic!("{outcome:?}") };
    use ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset};
    assert!(matches!(error.kind(), BrokenPipe | ConnectionRefused | ConnectionReset), "{error}");
}

/// Every message that is received is whole, and none before the last one is missing.
fn sender_killed<C: Channel>(make: impl Fn() -> (C, C)) {
    if !C::HAS_MESSAGES {
        return; // see `frames`
    }
    let len = |number: u64| 8 + (number as usize * 3_701) % 60_000;
    for count in 0..40 {
        let (left, right) = make();
        let child = fork_child(|| {
            for number in 0_u64.. {
                let mut message = vec![number as u8; len(number)];
                message[..8].copy_from_slice(&number.to_le_bytes());
                left.send(&message).unwrap();
            }
            0
        });
        drop(left);
        let mut child = Some(child);
        let mut buffer = vec![0; 1 << 16];
        for number in 0_u64.. {
            if number == count {
                child.take().map(mp_testkit::Child::kill);
            }
            let received = match child {
                Some(_) => right.recv(&mut buffer).unwrap(),
                // What it had sent is there; datagrams have no end, only nothing more.
                None => right.try_recv(&mut buffer).unwrap_or(0),
            };
            if received == 0 {
                assert!(number >= count);
                break;
            }
            assert_eq!(received, len(number));
            assert_eq!(buffer[..8], number.to_le_bytes());
            assert!(buffer[8..received].iter().all(|byte| *byte == number as u8));
        }
    }
}

/// A killed receiver takes at most the message in its hands with it: the others are for whoever shares the socket.
fn receiver_killed<C: Channel>(make: impl Fn() -> (C, C)) {
    if !C::HAS_MESSAGES {
        return; // its bytes have no boundaries at which another could go on
    }
    let (left, right) = make();
    for number in 0_u8..8 {
        left.send(&[number]).unwrap();
    }
    let ready = Gate::new();
    let child = fork_child(|| {
        let mut buffer = [9];
        right.recv(&mut buffer).unwrap();
        assert_eq!(buffer, [0]);
        ready.open();
        wait_for_kill()
    });
    child.wait_at(&ready);
    child.kill();
    for number in 1..8 {
        let mut buffer = [9];
        assert_eq!(right.recv(&mut buffer).unwrap(), 1);
        assert_eq!(buffer, [number]);
    }
}

fn sigpipe_is_never_raised<C: Channel>(make: impl Fn() -> (C, C)) {
    use nix::sys::signal::{SigHandler, Signal, signal};
    let (left, right) = make();
    drop(right);
    let child = fork_child(|| {
        // SAFETY: the default action runs no code.
        #[expect(unsafe_code, reason = "a signal's action is set")]
        unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
        assert!(left.send(b"x").is_err());
        assert!(left.try_send(b"x").is_err());
        assert!(left.send_timeout(b"x", PATIENCE).is_err());
        assert!(left.send_fds(b"x", &[left.as_fd()]).is_err());
        7
    });
    assert_eq!(child.wait().code(), Some(7));
}
