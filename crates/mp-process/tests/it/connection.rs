use std::{io, thread, time::Duration};

use mp_os::transfer::Fd;
use mp_process::{Connection, RecvError, SendError};
use mp_testkit::isolated;

use crate::{each_method, wait_for_kill};

#[test]
fn values_of_any_size_both_ways() {
    isolated(|| {
        let (left, right) = Connection::pair().unwrap();
        for len in [0, 1, 65_000, 65_536, 66_000, 10 << 20] {
            let data = "7".repeat(len);
            left.send(&data).unwrap();
            right.send(&(len, "reply")).unwrap();
            assert!(right.recv::<String>().unwrap() == data, "{len} bytes");
            assert_eq!(left.recv::<(usize, String)>().unwrap(), (len, "reply".to_owned()));
        }
    });
}

#[test]
fn it_travels_and_carries_handles() {
    isolated(|| {
        each_method(|builder| {
            let (ours, theirs) = Connection::pair().unwrap();
            let echo = |peer: Connection| {
                while let Ok((file, n)) = peer.recv::<(Fd<io::PipeReader>, u32)>() {
                    peer.send(&(file, n + 1)).unwrap();
                }
            };
            let child = builder.spawn(echo, theirs).unwrap();
            let (reader, writer) = io::pipe().unwrap();
            ours.send(&(Fd::new(reader), 1_u32)).unwrap();
            let (reader, n) = ours.recv::<(Fd<io::PipeReader>, u32)>().unwrap();
            assert_eq!(n, 2);
            io::Write::write_all(&mut &writer, b"through both").unwrap();
            drop(writer);
            assert_eq!(io::read_to_string(reader.into_inner()).unwrap(), "through both");
            drop(ours);
            child.join().unwrap();
        });
    });
}

#[test]
fn an_undecodable_message_is_the_only_one_lost() {
    isolated(|| {
        let (left, right) = Connection::pair().unwrap();
        left.send(&300_u32).unwrap();
        left.send("text").unwrap();
        left.send(&1_u8).unwrap();
        assert!(matches!(right.recv::<bool>(), Err(RecvError::Undecodable(_))));
        assert_eq!(right.recv::<String>().unwrap(), "text");
        assert!(matches!(right.recv::<Fd<std::fs::File>>(), Err(RecvError::Undecodable(_))));
        assert!(matches!(right.try_recv::<u8>(), Err(RecvError::TimedOut)));
    });
}

#[test]
fn a_closed_peer_is_told_after_what_it_sent() {
    isolated(|| {
        let (left, right) = Connection::pair().unwrap();
        left.send(&1_u8).unwrap();
        drop(left);
        assert_eq!(right.recv::<u8>().unwrap(), 1);
        assert!(matches!(right.recv::<u8>(), Err(RecvError::Closed)));
        assert!(matches!(right.send(&1_u8), Err(SendError::Closed)));
    });
}

#[test]
fn a_killed_peer_ends_every_wait() {
    isolated(|| {
        each_method(|builder| {
            let (ours, theirs) = Connection::pair().unwrap();
            let child = builder.spawn(wait_for_kill, theirs).unwrap();
            // The parent's copies are closed by the time `spawn` returns, so only the child has the other end.
            thread::scope(|scope| {
                let receiver = scope.spawn(|| ours.recv::<u8>());
                let sender = scope.spawn(|| while ours.send(&vec![7_u8; 9_000]).is_ok() {});
                child.kill().unwrap();
                assert!(matches!(receiver.join().unwrap(), Err(RecvError::Closed)));
                sender.join().unwrap();
            });
            assert!(child.join().is_err());
        });
    });
}

#[test]
fn waits_end_in_time() {
    isolated(|| {
        let (left, right) = Connection::pair().unwrap();
        let timeout = Duration::from_millis(10);
        assert!(matches!(right.recv_timeout::<u8>(timeout), Err(RecvError::TimedOut)));
        while left.try_send(&[0_u8; 32]).is_ok() {}
        assert!(matches!(left.send_timeout(&1_u8, timeout), Err(SendError::TimedOut)));
        assert_eq!(right.recv::<[u8; 32]>().unwrap(), [0; 32]);
    });
}

#[test]
fn several_receivers_each_get_whole_messages() {
    isolated(|| {
        let (left, right) = Connection::pair().unwrap();
        let total: u64 = thread::scope(|scope| {
            let receivers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut sum = 0;
                        while let Ok((n, data)) = right.recv::<(u64, Vec<u8>)>() {
                            assert!(data.iter().all(|&byte| u64::from(byte) == n % 256));
                            sum += n;
                        }
                        sum
                    })
                })
                .collect();
            for n in 0..500_u64 {
                left.send(&(n, vec![n as u8; n as usize * 300])).unwrap();
            }
            drop(left);
            receivers.into_iter().map(|receiver| receiver.join().unwrap()).sum()
        });
        assert_eq!(total, 499 * 500 / 2);
    });
}
