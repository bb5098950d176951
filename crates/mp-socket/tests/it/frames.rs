//! Whole messages over streams, Unix and TCP.

use std::{io::ErrorKind, net::Shutdown};

use mp_socket::{ByteSink, ByteSource, Framed, TcpListener, TcpStream, TryError, UnixStream};
use mp_testkit::{fork_child, isolated};

use crate::backends;

trait Stream: ByteSource + ByteSink {
    fn clone_of(&self) -> Self;
    fn end(&self, how: Shutdown) -> mp_socket::Result<()>;
}

macro_rules! stream {
    ($stream:ident) => {
        impl Stream for $stream {
            fn clone_of(&self) -> Self {
                self.try_clone().unwrap()
            }
            fn end(&self, how: Shutdown) -> mp_socket::Result<()> {
                self.shutdown(how)
            }
        }
    };
}

stream!(UnixStream);
stream!(TcpStream);

fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let client = TcpStream::connect(listener.local_address().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

macro_rules! for_every_stream {
    ($($test:ident),+ $(,)?) => {
        for_every_stream! { @
            pair = UnixStream::pair().unwrap();
            path = crate::backends::stream_at(&crate::backends::path());
            abstract_name = crate::backends::stream_at(&crate::backends::abstract_name());
            tcp = super::tcp();
            => [$($test),+]
        }
    };
    (@ $($backend:ident = $ends:expr;)+ => $tests:tt) => {
        $(for_every_stream! { # $backend = $ends; $tests })+
    };
    (# $backend:ident = $ends:expr; [$($test:ident),+]) => {
        mod $backend {
            #[allow(unused_imports, reason = "by one of the backends")]
            use mp_socket::UnixStream;

            $(#[test]
            fn $test() {
                mp_testkit::isolated(|| super::$test(|| $ends));
            })+
        }
    };
}

for_every_stream! { framed, both_ways, shutdown, framed_in_pieces, the_end_within_a_message, sender_killed }

fn framed<S: Stream>(make: impl Fn() -> (S, S)) {
    let (left, right) = make();
    let (mut sender, mut receiver) = (Framed::new(left), Framed::new(right));
    assert!(matches!(receiver.try_recv(), Err(TryError::WouldBlock)));
    sender.send(b"one").unwrap();
    sender.send(b"").unwrap();
    assert_eq!(receiver.recv().unwrap(), Some(&b"one"[..]));
    assert_eq!(receiver.recv().unwrap(), Some(&b""[..]));
    drop(sender);
    assert_eq!(receiver.recv().unwrap(), None);
}

fn both_ways<S: Stream>(make: impl Fn() -> (S, S)) {
    let (left, right) = make();
    let (mut left, mut right) = (Framed::new(left), Framed::new(right));
    for number in 0_u32..100 {
        left.send(&number.to_le_bytes()).unwrap();
        let question = right.recv().unwrap().unwrap().to_owned();
        right.send(&question).unwrap();
        assert_eq!(left.recv().unwrap(), Some(&number.to_le_bytes()[..]));
    }
    left.stream().end(Shutdown::Write).unwrap();
    assert_eq!(right.recv().unwrap(), None);
    right.send(b"the other way is open").unwrap();
    assert!(left.recv().unwrap().is_some());
}

fn shutdown<S: Stream>(make: impl Fn() -> (S, S)) {
    let never = mp_os::Deadline::never();
    let (left, right) = make();
    left.end(Shutdown::Read).unwrap();
    assert_eq!(left.read_until(&mut [0; 4], never).unwrap(), 0, "reading has ended");
    left.write_until(&[std::io::IoSlice::new(b"x")], never).unwrap();
    assert_eq!(right.read_until(&mut [0; 4], never).unwrap(), 1, "writing has not");
    left.end(Shutdown::Both).unwrap();
    let Err(mp_socket::TimeoutError::Os(error)) =
        left.write_until(&[std::io::IoSlice::new(b"x")], never)
    else {
        panic!("writing has ended")
    };
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(right.read_until(&mut [0; 4], never).unwrap(), 0);
}

fn framed_in_pieces<S: Stream>(make: impl Fn() -> (S, S)) {
    let (left, right) = make();
    let (mut sender, mut receiver) = (Framed::new(left), Framed::new(right));
    let message: Vec<u8> = (0..8 << 20).map(|n: u32| n.to_le_bytes()[1]).collect();
    sender.try_send(&message).unwrap();
    assert!(sender.pending() > 0);
    loop {
        match receiver.try_recv() {
            Ok(received) => break assert_eq!(received, Some(&message[..])),
            Err(TryError::WouldBlock) => {
                let _ = sender.try_flush();
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(sender.pending(), 0);
}

fn the_end_within_a_message<S: Stream>(make: impl Fn() -> (S, S)) {
    let (left, right) = make();
    left.write_until(&[std::io::IoSlice::new(b"\0\0\0\x09half")], mp_os::Deadline::never())
        .unwrap();
    drop(left);
    let error = Framed::new(right).recv().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert!(error.to_string().contains("4 of 9 bytes"), "{error}");
}

fn sender_killed<S: Stream>(make: impl Fn() -> (S, S)) {
    let len = |number: u64| 8 + (number as usize * 37_501) % 300_000;
    let mut torn = 0;
    for count in 0..30 {
        let (left, right) = make();
        let child = fork_child(|| {
            let mut sender = Framed::new(left.clone_of());
            for number in 0_u64.. {
                let mut message = vec![number as u8; len(number)];
                message[..8].copy_from_slice(&number.to_le_bytes());
                sender.send(&message).unwrap();
            }
            0
        });
        drop(left);
        let mut child = Some(child);
        let mut receiver = Framed::new(right);
        for number in 0_u64.. {
            if number == count / 3 {
                child.take().map(mp_testkit::Child::kill);
            }
            match receiver.recv() {
                Ok(Some(message)) => {
                    assert_eq!(message.len(), len(number));
                    assert_eq!(message[..8], number.to_le_bytes());
                    assert!(message[8..].iter().all(|byte| *byte == number as u8));
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
                    torn += 1;
                    break;
                }
            }
        }
    }
    assert!(torn > 0, "no kill hit a message: the test shows nothing");
}

#[test]
fn descriptors_and_frames() {
    isolated(|| {
        use std::os::fd::AsFd;
        let (left, right) = backends::stream_at(&backends::path());
        left.send_with_fds(b"f", &[left.as_fd()]).unwrap();
        let mut left = Framed::new(left);
        left.send(b"after it").unwrap();
        let received = right.recv_with_fds(&mut [0; 1]).unwrap();
        assert_eq!((received.len, received.fds.len()), (1, 1));
        assert_eq!(Framed::new(right).recv().unwrap(), Some(&b"after it"[..]));
    });
}

#[test]
fn two_threads_share_a_stream() {
    isolated(|| {
        let (left, right) = UnixStream::pair().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut sender = Framed::new(&left);
                for _ in 0..50 {
                    sender.send(&[1; 100_000]).unwrap();
                }
                left.shutdown(Shutdown::Write).unwrap();
            });
            scope.spawn(|| {
                let (mut receiver, mut sender) = (Framed::new(&right), Framed::new(&right));
                while let Some(message) = receiver.recv().unwrap() {
                    sender.send(message).unwrap();
                }
                right.shutdown(Shutdown::Write).unwrap();
            });
            let mut receiver = Framed::new(&left);
            for _ in 0..50 {
                assert_eq!(receiver.recv().unwrap(), Some(&[1; 100_000][..]));
            }
            assert_eq!(receiver.recv().unwrap(), None);
        });
    });
}

#[test]
fn one_direction_of_seqpacket() {
    isolated(|| {
        let (left, right) = mp_socket::SeqpacketSocket::pair().unwrap();
        left.send(b"last").unwrap();
        left.shutdown(Shutdown::Write).unwrap();
        assert_eq!(right.recv(&mut [0; 8]).unwrap(), Some(4));
        assert_eq!(right.recv(&mut [0; 8]).unwrap(), None);
        right.send(b"the other way is open").unwrap();
        assert_eq!(left.recv(&mut [0; 32]).unwrap(), Some(21));
        assert_eq!(left.send(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}
