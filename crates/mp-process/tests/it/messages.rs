//! Messages as bytes, from none to more than 4 GiB, and which way they go.

use std::{
    os::fd::AsFd,
    thread,
    time::{Duration, Instant},
};

use mp_os::poll::{self, Interest};
use mp_process::{Connection, Deadline, RecvError, RecvOnly, SendError, SendOnly};
use mp_testkit::{fork_child, isolated, isolated_for, skip, sweep, sweep_sample, wait_asleep};
use nix::{
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction},
    unistd::Pid,
};

use crate::each_method;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

/// Bytes that tell their message from all others, and their place in it.
fn message(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|place| (number * 31 + place * 7 + place / 251) as u8).collect()
}

#[test]
fn bytes_of_any_size() {
    isolated(|| {
        let (left, right) = Connection::pair().unwrap();
        for len in [0, 1, 65_535, 65_536, 65_537, 1 << 20] {
            left.send_bytes(&message(7, len)).unwrap();
            assert!(right.recv_bytes().unwrap() == message(7, len), "{len} bytes");
        }
    });
}

#[test]
fn sixty_four_mebibytes_to_a_process_and_back() {
    isolated(|| {
        each_method(|builder| {
            let (ours, theirs) = Connection::pair().unwrap();
            let echo = |peer: Connection| {
                let bytes = peer.recv_bytes().unwrap();
                peer.send_bytes(&bytes).unwrap();
            };
            let child = builder.spawn(echo, theirs).unwrap();
            let mut sent = vec![0; 64 << 20];
            sent.iter_mut().step_by(4096).enumerate().for_each(|(n, byte)| *byte = n as u8);
            ours.send_bytes(&sent).unwrap();
            let mut received = vec![1; sent.len()];
            assert_eq!(ours.recv_bytes_into(&mut received).unwrap(), sent.len());
            assert!(received == sent);
            child.join().unwrap();
        });
    });
}

#[test]
#[ignore = "takes 13 GiB of memory"]
fn more_than_four_gibibytes() {
    isolated_for(Duration::from_secs(300), || {
        let available = std::fs::read_to_string("/proc/meminfo").unwrap();
        let available = available.lines().find(|line| line.starts_with("MemAvailable")).unwrap();
        let kib: u64 = available.split_whitespace().nth(1).unwrap().parse().unwrap();
        if kib < 15 << 20 {
            return skip("15 GiB of memory are not available");
        }
        let (left, right) = Connection::pair().unwrap();
        let len = (4 << 30) + 3;
        let mut sent = vec![0; len];
        sent[len - 3..].copy_from_slice(b"end");
        left.send_bytes(&sent).unwrap();
        drop(sent);
        let received = right.recv_bytes().unwrap();
        assert_eq!((received.len(), &received[len - 3..]), (len, &b"end"[..]));
        let zeroes = vec![0; 1 << 20];
        assert!(received[..len - 3].chunks(1 << 20).all(|chunk| chunk == &zeroes[..chunk.len()]));
    });
}

#[test]
fn a_buffer_that_is_too_short_costs_nothing() {
    isolated(|| {
        let (left, right) = Connection::pair().unwrap();
        for len in [0, 10, 100_000] {
            let mut buffer = vec![0xff; len + 5];
            left.send_bytes(&message(1, len)).unwrap();
            assert_eq!(right.recv_bytes_into(&mut buffer[3..]).unwrap(), len);
            assert!(buffer[3..3 + len] == message(1, len), "{len} bytes");
            assert!(buffer[..3] == [0xff; 3] && buffer[3 + len..] == [0xff; 2], "nothing else");
        }
        for len in [10, 100_000] {
            left.send_bytes(&message(2, len)).unwrap();
            let Err(RecvError::TooLong(whole)) = right.recv_bytes_into(&mut [0; 9]) else {
                panic!("it does not fit")
            };
            assert!(whole == message(2, len));
        }
        assert!(matches!(right.try_recv_bytes(), Err(RecvError::TimedOut)), "all are taken");
    });
}

#[test]
fn poll_takes_nothing_and_merges_nothing() {
    isolated(|| {
        let (left, right) = Connection::pair().unwrap();
        assert!(!right.poll().unwrap());
        let start = Instant::now();
        assert!(!right.poll_timeout(Duration::from_millis(20)).unwrap());
        assert!(start.elapsed() >= Duration::from_millis(20));
        assert!(!right.poll_deadline(start).unwrap());
        let messages: [&[u8]; 8] = [b"", b"a", b"b", b"", b"", b"cd", b"x", b""];
        for message in messages {
            left.send_bytes(message).unwrap();
        }
        for message in messages {
            assert!(right.poll().unwrap() && right.poll_timeout(LONG).unwrap());
            assert_eq!(right.recv_bytes().unwrap(), message);
        }
        assert!(!right.poll().unwrap());
        drop(left);
        assert!(right.poll_deadline(Instant::now() + LONG).unwrap(), "the end is ready");
        assert!(matches!(right.recv_bytes(), Err(RecvError::Closed)));
    });
}

#[test]
fn one_way_ends_travel() {
    isolated(|| {
        each_method(|builder| {
            let (requests, to_them) = Connection::one_way().unwrap();
            let (from_them, replies) = Connection::one_way().unwrap();
            let upper = |(requests, replies): (Connection<RecvOnly>, Connection<SendOnly>)| {
                while let Ok(text) = requests.recv::<String>() {
                    replies.send(&text.to_uppercase()).unwrap();
                }
            };
            let child = builder.spawn(upper, (requests, replies)).unwrap();
            to_them.send("here and there").unwrap();
            assert_eq!(from_them.recv::<String>().unwrap(), "HERE AND THERE");
            drop(to_them);
            child.join().unwrap();
            assert!(matches!(from_them.recv_bytes(), Err(RecvError::Closed)));
        });
    });
}

#[test]
fn an_end_that_sends_is_ready_when_the_receiver_is_gone() {
    isolated(|| {
        each_method(|builder| {
            let (theirs, sender) = Connection::one_way().unwrap();
            let stay = |_: Connection<RecvOnly>| mp_testkit::wait_for_kill();
            let child = builder.spawn::<_, ()>(stay, theirs).unwrap();
            sender.send_bytes(b"never read").unwrap();
            let ready =
                |deadline| poll::wait(sender.as_fd(), Interest::Readable, deadline).unwrap();
            assert!(!ready(Deadline::after(Duration::ZERO)));
            child.kill().unwrap();
            assert!(ready(Deadline::after(LONG)));
            assert!(matches!(sender.send_bytes(b"too late"), Err(SendError::Closed)));
            assert!(child.join().is_err());
        });
    });
}

#[test]
fn a_killed_peer_ends_every_wait_for_bytes() {
    isolated(|| {
        each_method(|builder| {
            type Wait = fn(&Connection) -> bool;
            let waits: [Wait; 4] = [
                |end| matches!(end.recv_bytes(), Err(RecvError::Closed)),
                |end| matches!(end.recv_bytes_into(&mut [0; 9]), Err(RecvError::Closed)),
                |end| end.poll_timeout(LONG).unwrap(),
                |end| loop {
                    match end.send_bytes(&[7; 9_000]) {
                        Ok(()) => {}
                        error => return matches!(error, Err(SendError::Closed)),
                    }
                },
            ];
            for wait in waits {
                let (ours, theirs) = Connection::pair().unwrap();
                let child = builder.spawn(crate::wait_for_kill, theirs).unwrap();
                thread::scope(|scope| {
                    let waiting = scope.spawn(|| wait(&ours));
                    child.kill().unwrap();
                    assert!(waiting.join().unwrap());
                });
                assert!(child.join().is_err());
            }
        });
    });
}

#[test]
fn a_sender_that_is_killed_tears_nothing() {
    isolated(|| {
        each_method(|builder| {
            let lengths = [0, 3, 5_000, 70_000, 100_000];
            let mut most = 0;
            for round in 0..10 {
                let (ours, theirs) = Connection::pair().unwrap();
                let storm = |(peer, lengths): (Connection, [usize; 5])| {
                    for number in 0.. {
                        peer.send_bytes(&message(number, lengths[number % 5])).unwrap();
                    }
                };
                let child = builder.spawn(storm, (theirs, lengths)).unwrap();
                let mut number = 0;
                let end = loop {
                    if number == round {
                        child.kill().unwrap();
                    }
                    match ours.recv_bytes() {
                        Ok(bytes) => assert!(bytes == message(number, lengths[number % 5])),
                        Err(error) => break error,
                    }
                    number += 1;
                };
                assert!(matches!(end, RecvError::Closed), "{end}");
                assert!(child.join().is_err());
                most = most.max(number);
            }
            assert!(most >= 9, "messages came before the kills");
        });
    });
}

#[test]
fn killed_at_every_instruction_a_send_happened_or_did_not() {
    isolated_for(Duration::from_secs(600), || {
        let setup = || Connection::one_way().unwrap();
        for len in [20, 70_000] {
            let message = message(7, len);
            let send = |(_, sender): &(Connection<RecvOnly>, Connection<SendOnly>)| {
                sender.send_bytes(&message).unwrap();
            };
            let oracle = |(receiver, sender), point: mp_testkit::Point| {
                drop::<Connection<SendOnly>>(sender);
                let receiver: Connection<RecvOnly> = receiver;
                match receiver.recv_bytes() {
                    Ok(bytes) => assert!(bytes == message),
                    Err(RecvError::Closed) => assert!(!point.complete),
                    Err(error) => panic!("{error}"),
                }
            };
            let report = match cfg!(debug_assertions) {
                true => sweep_sample(8, setup, send, oracle),
                false => sweep(setup, send, oracle),
            };
            assert!(report.killed > 0);
        }
    });
}

/// With a handler that ends system calls with `EINTR`.
#[test]
fn signals_interrupt_no_wait() {
    extern "C" fn handler(_: i32) {}

    isolated(|| {
        type Wait = fn(&Connection) -> bool;
        let waits: [Wait; 4] = [
            |end| end.recv_bytes().is_ok_and(|bytes| bytes == b"now"),
            |end| end.recv_bytes_timeout(LONG).is_ok_and(|bytes| bytes == b"now"),
            |end| end.poll_timeout(LONG).unwrap(),
            |end| {
                while end.try_send_bytes(&[7; 9_000]).is_ok() {}
                end.send_bytes(&[8; 300_000]).is_ok()
            },
        ];
        for wait in waits {
            let (ours, theirs) = Connection::pair().unwrap();
            let waiter = fork_child(|| {
                let handler = SigHandler::Handler(handler);
                let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
                // SAFETY: the handler does nothing.
                unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
                theirs.send(&()).unwrap();
                i32::from(!wait(&theirs))
            });
            drop(theirs);
            ours.recv::<()>().unwrap();
            for _ in 0..5 {
                wait_asleep(waiter.id(), waiter.id());
                kill(Pid::from_raw(waiter.id().cast_signed()), Signal::SIGUSR1).unwrap();
            }
            wait_asleep(waiter.id(), waiter.id());
            // For the receivers; the sender's messages are read to the end.
            let _ = ours.try_send_bytes(b"now");
            while ours.recv_bytes().is_ok() {}
            assert!(waiter.wait().success());
        }
    });
}
