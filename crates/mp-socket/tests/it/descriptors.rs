//! File descriptors in messages.

use std::{
    fs::File,
    io::{ErrorKind, PipeReader, Write},
    os::fd::{AsFd, AsRawFd},
};

use mp_socket::SeqpacketSocket;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::backends::{Channel, for_every_backend};

for_every_backend! {
    descriptors_travel, order_is_kept, the_most_of_one_message, too_many_are_refused, none_wanted_is_an_error,
    too_few_free_is_an_error, unread_ones_are_closed,
}

fn descriptors_travel<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    let (reader, mut writer) = std::io::pipe().unwrap();
    left.send_fds(b"pipe", &[reader.as_fd()]).unwrap();
    drop(reader);
    let received = right.recv_fds(&mut [0; 8]).unwrap().unwrap();
    assert_eq!((received.len, received.fds.len()), (4, 1));
    let reader = PipeReader::from(received.fds.into_iter().next().unwrap());
    writer.write_all(b"through").unwrap();
    drop(writer);
    assert_eq!(std::io::read_to_string(reader).unwrap(), "through");
}

fn order_is_kept<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    let pipes: [_; 3] = std::array::from_fn(|_| std::io::pipe().unwrap());
    left.send_fds(b"x", &[0, 1, 2].map(|n: usize| pipes[n].0.as_fd())).unwrap();
    for (index, (_, writer)) in pipes.iter().enumerate() {
        write!(&mut &*writer, "{index}").unwrap();
    }
    drop(pipes);
    let fds = right.recv_fds(&mut [0; 8]).unwrap().unwrap().fds;
    for (index, fd) in fds.into_iter().enumerate() {
        assert_eq!(std::io::read_to_string(PipeReader::from(fd)).unwrap(), index.to_string());
    }
}

fn the_most_of_one_message<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    let fds = vec![left.as_fd(); SeqpacketSocket::MAX_FDS];
    left.send_fds(b"x", &fds).unwrap();
    let received = right.recv_fds(&mut [0; 8]).unwrap().unwrap();
    assert_eq!(received.fds.len(), SeqpacketSocket::MAX_FDS);
}

fn too_many_are_refused<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    let fds = vec![left.as_fd(); SeqpacketSocket::MAX_FDS + 1];
    assert_eq!(left.send_fds(b"x", &fds).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(right.try_recv(&mut [0; 8]).is_err(), "nothing came");
    if !C::HAS_MESSAGES {
        let error = left.send_fds(b"", &[left.as_fd()]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "no byte to go with");
    }
}

fn none_wanted_is_an_error<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    left.send_fds(b"x", &[left.as_fd()]).unwrap();
    let error = right.recv(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.hint().is_some());
    left.send(b"next").unwrap();
    assert_eq!(right.recv(&mut [0; 8]).unwrap(), 4, "the connection is usable");
}

/// Where the table of descriptors is too full, some are installed and the others lost: an error, and nothing leaks.
fn too_few_free_is_an_error<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    left.send_fds(b"x", &[left.as_fd(); 4]).unwrap();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let lowest = File::open("/dev/null").unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, lowest.as_raw_fd() as u64 + 2, hard).unwrap();
    drop(lowest);
    let free = std::iter::from_fn(|| File::open("/dev/null").ok()).collect::<Vec<_>>().len();
    assert!((1..4).contains(&free), "some, but not enough: {free}");
    let error = right.recv_fds(&mut [0; 8]).unwrap_err();
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    assert_eq!(error.raw_os_error(), Some(nix::libc::EMFILE));
    assert!(error.to_string().contains(&format!("only {free} ")), "{error}");
    left.send(b"next").unwrap();
    assert_eq!(right.recv(&mut [0; 8]).unwrap(), 4, "the connection is usable");
}

/// The kernel closes those of a message that nobody received.
fn unread_ones_are_closed<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    let (reader, writer) = std::io::pipe().unwrap();
    left.send_fds(b"x", &[writer.as_fd()]).unwrap();
    drop((writer, left, right));
    assert_eq!(std::io::read_to_string(reader).unwrap(), "", "the end");
}
