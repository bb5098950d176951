//! What connected Unix sockets promise, the same for every type and every way to connect them.

use std::{
    io::{ErrorKind, IoSlice},
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use mp_socket::{SeqpacketSocket, TimeoutError, TryError, UnixDatagram, UnixStream};
use mp_testkit::{flags, isolated, once_asleep};

use crate::{
    PATIENCE,
    backends::{self, Channel, for_every_backend},
};

for_every_backend! {
    smoke, boundaries, the_end_comes_after_the_bytes, try_recv, recv_timeout, send_timeout, drop_wakes_receiver,
    drop_wakes_sender, clones_keep_it_open, flags_are_left_alone, close_on_exec, only_sockets_of_the_type_are_adopted,
    empty_buffer_is_refused,
}

fn smoke<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    let mut buffer = [0; 16];
    left.send(b"there").unwrap();
    assert_eq!(right.recv(&mut buffer).unwrap(), 5);
    right.send(b"and back").unwrap();
    assert_eq!(left.recv_timeout(&mut buffer, PATIENCE).unwrap(), 8);
    assert_eq!(&buffer[..8], b"and back");
}

fn boundaries<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    left.send(b"one").unwrap();
    left.send(b"two").unwrap();
    let mut buffer = [0; 16];
    if !C::HAS_MESSAGES {
        assert_eq!(right.recv(&mut buffer).unwrap(), 6, "bytes have none");
        return;
    }
    assert_eq!(right.recv(&mut buffer).unwrap(), 3);
    assert_eq!(right.recv(&mut buffer).unwrap(), 3);
    left.send(b"longer").unwrap();
    left.send(b"ok").unwrap();
    let error = right.recv(&mut [0; 2]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("6 bytes, cut to 2"), "{error}");
    assert_eq!(right.recv(&mut [0; 2]).unwrap(), 2, "the next one is unharmed");
    let error = left.send(&vec![0; 64 << 20]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(nix::libc::EMSGSIZE));
    assert!(error.hint().is_some());
    assert!(matches!(right.try_recv(&mut buffer), Err(TryError::WouldBlock)), "nothing came");
}

fn the_end_comes_after_the_bytes<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    left.send(b"last").unwrap();
    // Unread by `left`: the kernel reports a reset ahead of what it has sent.
    right.send(b"unread").unwrap();
    drop(left);
    let mut buffer = [0; 16];
    assert_eq!(right.recv(&mut buffer).unwrap(), 4);
    let gone = if C::HAS_END {
        assert_eq!(right.recv(&mut buffer).unwrap(), 0);
        assert_eq!(right.try_recv(&mut buffer).unwrap(), 0, "and again");
        ErrorKind::BrokenPipe
    } else {
        let outcome = right.recv_timeout(&mut buffer, Duration::from_millis(5));
        assert!(matches!(outcome, Err(TimeoutError::TimedOut)), "datagrams have no end");
        ErrorKind::ConnectionRefused
    };
    assert_eq!(right.send(b"x").unwrap_err().kind(), gone);
}

fn try_recv<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    assert!(matches!(right.try_recv(&mut [0; 4]), Err(TryError::WouldBlock)));
    left.try_send(b"x").unwrap();
    assert_eq!(right.try_recv(&mut [0; 4]).unwrap(), 1);
}

fn recv_timeout<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    let timeout = Duration::from_millis(5);
    let start = Instant::now();
    let outcome = right.recv_timeout(&mut [0; 4], timeout);
    assert!(matches!(outcome, Err(TimeoutError::TimedOut)));
    assert!(start.elapsed() >= timeout);
    left.send(b"x").unwrap();
    assert_eq!(right.recv_timeout(&mut [0; 4], Duration::ZERO).unwrap(), 1, "there already");
    assert_eq!(
        once_asleep(|| right.recv_timeout(&mut [0; 4], PATIENCE), || left.send(b"xy").unwrap())
            .unwrap(),
        2
    );
}

fn send_timeout<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    while left.try_send(b"fill").is_ok() {}
    let timeout = Duration::from_millis(5);
    let start = Instant::now();
    assert!(matches!(left.send_timeout(b"x", timeout), Err(TimeoutError::TimedOut)));
    assert!(start.elapsed() >= timeout);
    let sent = once_asleep(
        || left.send_timeout(b"x", PATIENCE),
        || while right.try_recv(&mut [0; 1 << 16]).is_ok() {},
    );
    sent.unwrap();
}

fn drop_wakes_receiver<C: Channel>(make: impl Fn() -> (C, C)) {
    if !C::HAS_END {
        return;
    }
    let (left, right) = make();
    assert_eq!(once_asleep(|| right.recv(&mut [0; 4]), || drop(left)).unwrap(), 0);
    let (left, right) = make();
    let timed = once_asleep(|| right.recv_timeout(&mut [0; 4], PATIENCE), || drop(left));
    assert_eq!(timed.unwrap(), 0);
}

fn drop_wakes_sender<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    while left.try_send(b"fill").is_ok() {}
    let outcome = once_asleep(|| left.send_timeout(b"x", PATIENCE), || drop(right));
    let Err(TimeoutError::Os(error)) = outcome else { panic!("{outcome:?}") };
    assert_gone(error.kind());
    let (left, right) = make();
    while left.try_send(b"fill").is_ok() {}
    assert_gone(once_asleep(|| left.send(b"x"), || drop(right)).unwrap_err().kind());
}

fn assert_gone(kind: ErrorKind) {
    use ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset};
    assert!(matches!(kind, BrokenPipe | ConnectionRefused | ConnectionReset), "{kind}");
}

fn clones_keep_it_open<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    let clone = left.clone_of();
    drop(left);
    assert!(matches!(right.try_recv(&mut [0; 4]), Err(TryError::WouldBlock)));
    clone.send(b"x").unwrap();
    assert_eq!(right.recv(&mut [0; 4]).unwrap(), 1);
}

fn flags_are_left_alone<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    let before = (flags(&left), flags(&right));
    assert_eq!((before.0 | before.1) & nix::libc::O_NONBLOCK, 0);
    while left.try_send(b"fill").is_ok() {}
    let _ = left.send_timeout(b"x", Duration::from_millis(1));
    while right.try_recv(&mut [0; 1 << 16]).is_ok() {}
    let _ = right.recv_timeout(&mut [0; 4], Duration::from_millis(1));
    assert_eq!((flags(&left), flags(&right)), before);
}

fn close_on_exec<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    left.send_fds(b"x", &[left.as_fd()]).unwrap();
    let received = right.recv_fds(&mut [0; 4]).unwrap().unwrap();
    let clone = left.clone_of();
    for fd in [left.as_fd(), right.as_fd(), clone.as_fd(), received.fds[0].as_fd()] {
        let flags = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFD).unwrap();
        assert_eq!(flags, nix::libc::FD_CLOEXEC);
    }
}

fn only_sockets_of_the_type_are_adopted<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    let left = C::adopt(left.into()).unwrap();
    left.send(b"x").unwrap();
    assert_eq!(right.recv(&mut [0; 4]).unwrap(), 1);
    let others: [OwnedFd; 3] = [
        UnixStream::pair().unwrap().0.into(),
        UnixDatagram::pair().unwrap().0.into(),
        SeqpacketSocket::pair().unwrap().0.into(),
    ];
    let adopted = others.map(|fd| C::adopt(fd).map_err(|error| error.kind()));
    assert_eq!(adopted.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(adopted.iter().filter(|it| matches!(it, Err(ErrorKind::InvalidInput))).count(), 2);
    let (reader, _) = std::io::pipe().unwrap();
    let error = C::adopt(reader.into()).err().unwrap();
    assert_eq!(error.raw_os_error(), Some(nix::libc::ENOTSOCK));
}

fn empty_buffer_is_refused<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    left.send(b"x").unwrap();
    assert_eq!(right.recv(&mut []).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(right.recv(&mut [0; 4]).unwrap(), 1, "it was not lost");
}

#[test]
fn an_empty_message_is_not_the_end() {
    isolated(|| {
        let (left, right) = SeqpacketSocket::pair().unwrap();
        assert_eq!(left.send(b"").unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(matches!(right.try_recv(&mut [0; 4]), Err(TryError::WouldBlock)));
        let (left, right) = UnixDatagram::pair().unwrap();
        left.send(b"").unwrap();
        assert_eq!(right.recv(&mut [0; 4]).unwrap(), 0, "a datagram may be empty");
    });
}

#[test]
fn parts_are_one_message() {
    isolated(|| {
        let (left, right) = SeqpacketSocket::pair().unwrap();
        let parts = [IoSlice::new(b"head"), IoSlice::new(b""), IoSlice::new(b"er")];
        left.send_vectored(&parts, &[left.as_fd()]).unwrap();
        let mut buffer = [0; 16];
        let received = right.recv_with_fds(&mut buffer).unwrap().unwrap();
        assert_eq!((received.len, received.fds.len()), (6, 1));
        assert_eq!(&buffer[..6], b"header");
    });
}

#[test]
fn names() {
    isolated(|| {
        for place in [backends::path(), backends::abstract_name()] {
            let (client, server) = backends::stream_at(&place);
            assert!(client.addresses().0.is_unnamed());
            assert_eq!(client.addresses().1, place.address);
            assert_eq!(server.addresses().0, place.address);
        }
        let (left, _right) = UnixDatagram::pair().unwrap();
        assert!(left.addresses().0.is_unnamed());
    });
}

#[test]
fn datagrams_from_many() {
    isolated(|| {
        for make in [backends::path, backends::abstract_name] {
            let (here, there) = (make(), make());
            let server = UnixDatagram::bind(&here.address).unwrap();
            let client = UnixDatagram::bind(&there.address).unwrap();
            let nameless = UnixDatagram::unbound().unwrap();
            client.send_to(b"named", &here.address).unwrap();
            nameless.try_send_to(b"nameless", &here.address).unwrap();
            let mut buffer = [0; 16];
            let (len, from) = server.recv_from(&mut buffer).unwrap();
            assert_eq!((len, from), (5, there.address));
            server.send_to_timeout(b"answer", &from, PATIENCE).unwrap();
            assert_eq!(client.recv(&mut buffer).unwrap(), 6);
            let (len, from) = server.recv_from_timeout(&mut buffer, PATIENCE).unwrap();
            assert_eq!((len, from.is_unnamed()), (8, true));
            drop(server);
            let error = nameless.send_to(b"x", &here.address).unwrap_err();
            use ErrorKind::{ConnectionRefused, NotFound};
            assert!(matches!(error.kind(), ConnectionRefused | NotFound), "{error}");
        }
    });
}

#[test]
fn addresses_that_cannot_be() {
    use mp_socket::Address;
    for bad in ["", "a\0b", &"x".repeat(108)] {
        assert_eq!(Address::path(bad).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    for bad in ["", &"x".repeat(108)] {
        assert_eq!(Address::abstract_name(bad).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    let longest = Address::abstract_name([0; 107]).unwrap();
    assert_eq!(longest.as_abstract_name(), Some(&[0; 107][..]));
    let path = Address::path("x".repeat(107)).unwrap();
    assert_eq!(path.as_path().unwrap().as_os_str().len(), 107);
}
