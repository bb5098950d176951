//! Bytes moved within the kernel.

use std::{
    io::{ErrorKind, Read, Seek, Write},
    time::{Duration, Instant},
};

use mp_pipe::{PIPE_BUF, TimeoutError, TryError};

use crate::{Backend, fill, for_every_backend};

for_every_backend! {
    tee, between_pipes, to_a_socket_and_back, sockets_and_deadlines, to_a_file, from_a_file, timeouts, refusals,
}

fn tee(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let (copy, aside) = mp_pipe::pipe().unwrap();
    writer.write(b"twice").unwrap();
    assert_eq!(reader.tee_to(&aside, 64).unwrap(), 5);
    let mut buffer = [0; 8];
    assert_eq!(copy.read(&mut buffer).unwrap(), 5);
    assert_eq!(reader.read(&mut buffer).unwrap(), 5, "still there");
    drop(writer);
    assert_eq!(reader.tee_to(&aside, 64).unwrap(), 0, "the end");
}

fn between_pipes(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let (target, into) = mp_pipe::pipe().unwrap();
    writer.write(b"moved").unwrap();
    assert_eq!(reader.splice_to(&into, 3).unwrap(), 3);
    assert_eq!(reader.splice_to_timeout(&into, 64, Duration::from_secs(1)).unwrap(), 2);
    let mut buffer = [0; 8];
    let mut total = 0;
    while total < 5 {
        total += target.read(&mut buffer[total..]).unwrap();
    }
    assert_eq!(&buffer[..5], b"moved");
    assert!(matches!(reader.try_read(&mut buffer), Err(TryError::WouldBlock)), "taken");
}

fn to_a_socket_and_back(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let (left, right) = std::os::unix::net::UnixStream::pair().unwrap();
    writer.write(b"over there").unwrap();
    assert_eq!(reader.splice_to(&left, 64).unwrap(), 10);
    assert_eq!(writer.splice_from(&right, 64).unwrap(), 10);
    assert_eq!(reader.read(&mut [0; 64]).unwrap(), 10);
}

/// A full or empty socket holds nobody up for longer than he has said, whatever its flags are.
fn sockets_and_deadlines(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let (left, right) = std::os::unix::net::UnixStream::pair().unwrap();
    let timeout = Duration::from_millis(5);
    writer.write(b"over there").unwrap();
    for refused in [
        reader.splice_to_timeout(&left, 64, timeout).map_err(std::io::Error::from),
        writer.try_splice_from(&right, 64).map_err(std::io::Error::from),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    left.set_nonblocking(true).unwrap();
    right.set_nonblocking(true).unwrap();
    while (&left).write(&[0; 4096]).is_ok() {}
    assert!(matches!(reader.try_splice_to(&left, 64), Err(TryError::WouldBlock)));
    let full = reader.splice_to_timeout(&left, 64, timeout);
    assert!(matches!(full, Err(TimeoutError::TimedOut)), "{full:?}");
    while (&right).read(&mut [0; 4096]).is_ok() {}
    assert_eq!(reader.splice_to_timeout(&left, 64, Duration::from_secs(10)).unwrap(), 10);
    assert_eq!(writer.splice_from_timeout(&right, 64, Duration::from_secs(10)).unwrap(), 10);
    let empty = writer.splice_from_timeout(&right, 64, timeout);
    assert!(matches!(empty, Err(TimeoutError::TimedOut)), "{empty:?}");
}

fn to_a_file(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let mut file = tempfile::tempfile().unwrap();
    writer.write(b"into a file").unwrap();
    assert_eq!(reader.splice_to(&file, 1 << 16).unwrap(), 11);
    file.rewind().unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "into a file");
}

fn from_a_file(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"out of a file").unwrap();
    file.rewind().unwrap();
    assert_eq!(writer.splice_from(&file, 1 << 16).unwrap(), 13);
    assert_eq!(writer.try_splice_from(&file, 1 << 16).unwrap(), 0, "the end of the file");
    let mut buffer = [0; 64];
    assert_eq!(reader.read(&mut buffer).unwrap(), 13);
    assert_eq!(&buffer[..13], b"out of a file");
}

/// Both an empty source and a full target bound the wait.
fn timeouts(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let (target, into) = mp_pipe::pipe().unwrap();
    let timeout = Duration::from_millis(5);
    let start = Instant::now();
    assert!(matches!(reader.tee_to_timeout(&into, 9, timeout), Err(TimeoutError::TimedOut)));
    assert!(start.elapsed() >= timeout);
    writer.write(b"x").unwrap();
    fill(&into);
    assert!(matches!(reader.splice_to_timeout(&into, 9, timeout), Err(TimeoutError::TimedOut)));
    assert!(matches!(reader.try_splice_to(&into, 9), Err(TryError::WouldBlock)));
    target.read(&mut [0; PIPE_BUF]).unwrap();
    assert_eq!(reader.splice_to_timeout(&into, 9, Duration::from_secs(10)).unwrap(), 1);
}

fn refusals(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    assert_eq!(reader.tee_to(&writer, 0).unwrap_err().kind(), ErrorKind::InvalidInput);
    writer.write(b"x").unwrap();
    let error = reader.tee_to(&writer, 1).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(nix::libc::EINVAL), "the same pipe");
    let directory = tempfile::tempdir().unwrap();
    let mut append = std::fs::OpenOptions::new();
    let file = append.append(true).create(true).open(directory.path().join("log")).unwrap();
    let error = reader.splice_to(&file, 1).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(nix::libc::EINVAL), "opened to append");
    let (target, into) = mp_pipe::pipe().unwrap();
    drop(target);
    assert_eq!(reader.splice_to(&into, 1).unwrap_err().kind(), ErrorKind::BrokenPipe);
}
