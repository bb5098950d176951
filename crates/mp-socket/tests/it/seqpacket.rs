//! Pairs of seqpacket sockets.

use std::{
    io::{ErrorKind, IoSlice, PipeReader, Read, Write},
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use mp_os::transfer;
use mp_socket::{SeqpacketSocket, TimeoutError, TryError};

fn pair() -> (SeqpacketSocket, SeqpacketSocket) {
    SeqpacketSocket::pair().unwrap()
}

#[test]
fn smoke() {
    let (left, right) = pair();
    left.send(b"one").unwrap();
    left.send_vectored(&[IoSlice::new(b"head"), IoSlice::new(b"er")], &[]).unwrap();
    let mut buffer = [0; 16];
    assert_eq!(right.recv(&mut buffer).unwrap(), Some(3));
    assert_eq!(right.try_recv(&mut buffer).unwrap(), Some(6));
    assert_eq!(&buffer[..6], b"header");
    assert!(matches!(right.try_recv(&mut buffer), Err(TryError::WouldBlock)));
}

#[test]
fn the_end_comes_after_the_messages() {
    let (left, right) = pair();
    left.send(b"last").unwrap();
    // Unread by `left`: the kernel reports a reset ahead of the message.
    right.send(b"unread").unwrap();
    drop(left);
    let mut buffer = [0; 16];
    assert_eq!(right.recv(&mut buffer).unwrap(), Some(4));
    assert_eq!(right.recv(&mut buffer).unwrap(), None);
    assert_eq!(right.recv(&mut buffer).unwrap(), None);
    assert_eq!(right.send(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn recv_timeout() {
    let (left, right) = pair();
    let mut buffer = [0; 16];
    let timeout = Duration::from_millis(5);
    let start = Instant::now();
    assert!(matches!(right.recv_timeout(&mut buffer, timeout), Err(TimeoutError::TimedOut)));
    assert!(start.elapsed() >= timeout);
    left.send(b"x").unwrap();
    assert_eq!(right.recv_deadline(&mut buffer, start).unwrap(), Some(1), "there already");
}

#[test]
fn send_timeout_when_full() {
    let (left, right) = pair();
    while left.try_send(b"fill").is_ok() {}
    let timeout = Duration::from_millis(5);
    assert!(matches!(left.send_timeout(b"x", timeout), Err(TimeoutError::TimedOut)));
    // Only when the queue is half empty does the kernel call the socket writable.
    while right.try_recv(&mut [0; 4]).is_ok() {}
    left.send_timeout(b"x", Duration::from_secs(10)).unwrap();
}

#[test]
fn bad_input_is_refused() {
    let (left, right) = pair();
    assert_eq!(left.send(b"").unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(right.recv(&mut []).unwrap_err().kind(), ErrorKind::InvalidInput);
    let fds = vec![left.as_fd(); SeqpacketSocket::MAX_FDS + 1];
    assert_eq!(left.send_with_fds(b"x", &fds).unwrap_err().kind(), ErrorKind::InvalidInput);
    let error = left.send(&vec![0; 64 << 20]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(nix::libc::EMSGSIZE));
    assert!(error.hint().is_some());
    assert!(matches!(right.try_recv(&mut [0; 4]), Err(TryError::WouldBlock)), "nothing came");
}

#[test]
fn a_cut_message_is_an_error() {
    let (left, right) = pair();
    left.send(b"longer").unwrap();
    left.send(b"ok").unwrap();
    let error = right.recv(&mut [0; 2]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("6 bytes"), "{error}");
    assert_eq!(right.recv(&mut [0; 2]).unwrap(), Some(2));
}

#[test]
fn descriptors_travel() {
    let (left, right) = pair();
    let (reader, mut writer) = std::io::pipe().unwrap();
    left.send_with_fds(b"pipe", &[reader.as_fd()]).unwrap();
    drop(reader);
    let received = right.recv_with_fds(&mut [0; 8]).unwrap().unwrap();
    assert_eq!((received.len, received.fds.len()), (4, 1));
    let mut reader = PipeReader::from(received.fds.into_iter().next().unwrap());
    writer.write_all(b"through").unwrap();
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "through");
}

#[test]
fn the_most_descriptors_of_one_message() {
    let (left, right) = pair();
    let fds = vec![left.as_fd(); SeqpacketSocket::MAX_FDS];
    left.send_with_fds(b"x", &fds).unwrap();
    let received = right.recv_with_fds(&mut [0; 8]).unwrap().unwrap();
    assert_eq!(received.fds.len(), SeqpacketSocket::MAX_FDS);
}

#[test]
fn descriptors_that_nobody_takes_are_an_error() {
    let (left, right) = pair();
    left.send_with_fds(b"x", &[left.as_fd()]).unwrap();
    let error = right.recv(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
}

#[test]
fn only_sockets_of_the_type_are_adopted() {
    let (left, _right) = pair();
    let same = SeqpacketSocket::from_fd(left.as_fd().try_clone_to_owned().unwrap()).unwrap();
    same.send(b"x").unwrap();
    let (stream, _) = std::os::unix::net::UnixStream::pair().unwrap();
    let error = SeqpacketSocket::from_fd(OwnedFd::from(stream)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let (reader, _) = std::io::pipe().unwrap();
    let error = SeqpacketSocket::from_fd(OwnedFd::from(reader)).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(nix::libc::ENOTSOCK));
}

#[test]
fn peer_is_this_process() {
    let (left, right) = pair();
    let peer = left.peer_credentials().unwrap();
    assert_eq!(peer.pid, std::process::id());
    match left.peer_pidfd() {
        Ok(process) => assert!(!process.has_exited().unwrap()),
        Err(error) => assert_eq!(error.raw_os_error(), Some(nix::libc::ENOPROTOOPT)),
    }
    drop(right);
    assert_eq!(left.peer_credentials().unwrap(), peer, "also after the end");
}

#[test]
fn travels_in_a_message() {
    let (left, right) = pair();
    let (bytes, fds) = transfer::collect(|| postcard::to_stdvec(&left));
    drop(left);
    let left: SeqpacketSocket =
        transfer::provide(fds, || postcard::from_bytes(&bytes.unwrap())).unwrap();
    left.send(b"x").unwrap();
    assert_eq!(right.recv(&mut [0; 4]).unwrap(), Some(1));
}
