//! `SIGKILL` while the other side waits, or in the middle of a message.

use std::{io::ErrorKind, time::Duration};

use mp_pipe::{Framed, PIPE_BUF, TimeoutError};
use mp_testkit::{fork_child, holder, wait_asleep};

use crate::{Backend, fill, for_every_backend};

for_every_backend! {
    writer_killed_before_writing, reader_killed_before_reading, framed_writer_killed_in_a_message,
    framed_reader_killed_before_reading, message_writer_killed, writer_killed_before_a_splice, reader_killed_before_a_splice,
}

/// Runs `wait` while a child has `end` too, which the parent drops, and is killed once the wait sleeps.
fn while_holder_is_killed<E, T>(end: E, wait: impl FnOnce() -> T) -> T {
    let child = holder(end);
    let pid = std::process::id();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            wait_asleep(pid, pid);
            child.kill();
        });
        wait()
    })
}

fn writer_killed_before_writing(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let read = while_holder_is_killed(writer, || reader.read(&mut [0; 4]));
    assert_eq!(read.unwrap(), 0);
}

fn reader_killed_before_reading(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    fill(&writer);
    let outcome =
        while_holder_is_killed(reader, || writer.write_timeout(b"x", Duration::from_secs(30)));
    let Err(TimeoutError::Os(error)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

/// Whoever waits for bytes to move on, or to copy, sees the end.
fn writer_killed_before_a_splice(backend: &impl Backend) {
    let (_target, into) = mp_pipe::pipe().unwrap();
    let long = Duration::from_secs(30);
    let (reader, writer) = backend.ends();
    assert_eq!(while_holder_is_killed(writer, || reader.splice_to(&into, 9)).unwrap(), 0);
    let (reader, writer) = backend.ends();
    let moved = while_holder_is_killed(writer, || reader.splice_to_timeout(&into, 9, long));
    assert_eq!(moved.unwrap(), 0);
    let (reader, writer) = backend.ends();
    assert_eq!(while_holder_is_killed(writer, || reader.tee_to(&into, 9)).unwrap(), 0);
    let (reader, writer) = backend.ends();
    let copied = while_holder_is_killed(writer, || reader.tee_to_timeout(&into, 9, long));
    assert_eq!(copied.unwrap(), 0);
}

/// Whoever waits for room in the pipe to which bytes go sees that nobody will read them.
fn reader_killed_before_a_splice(backend: &impl Backend) {
    let long = Duration::from_secs(30);
    let (source, into_source) = mp_pipe::pipe().unwrap();
    into_source.write(b"x").unwrap();
    let full = || {
        let (reader, writer) = backend.ends();
        fill(&writer);
        (reader, writer)
    };
    let (reader, writer) = full();
    let error = while_holder_is_killed(reader, || source.tee_to(&writer, 9)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    let (reader, writer) = full();
    let copied = while_holder_is_killed(reader, || source.tee_to_timeout(&writer, 9, long));
    assert_eq!(mp_pipe::Error::from(copied.unwrap_err()).kind(), ErrorKind::BrokenPipe);
    let (reader, writer) = full();
    let error = while_holder_is_killed(reader, || source.splice_to(&writer, 9)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    let (reader, writer) = full();
    let moved = while_holder_is_killed(reader, || writer.splice_from_timeout(&source, 9, long));
    assert_eq!(mp_pipe::Error::from(moved.unwrap_err()).kind(), ErrorKind::BrokenPipe);
}

/// Whoever waits for room for a frame, or for the rest of one, sees that nobody will read it.
fn framed_reader_killed_before_reading(backend: &impl Backend) {
    let long = Duration::from_secs(30);
    let (reader, writer) = backend.ends();
    let mut sender = Framed::new(writer);
    let sent = while_holder_is_killed(reader, || sender.send_timeout(&[7; 1 << 20], long));
    assert_eq!(mp_pipe::Error::from(sent.unwrap_err()).kind(), ErrorKind::BrokenPipe);
    let (reader, writer) = backend.ends();
    let mut sender = Framed::new(writer);
    assert!(sender.try_send(&[7; 1 << 20]).is_ok() && sender.pending() > 0);
    let flushed = while_holder_is_killed(reader, || sender.flush());
    assert_eq!(flushed.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

/// Whatever was written before, the receiver gets whole messages and then the end or an error, never half of one.
fn framed_writer_killed_in_a_message(backend: &impl Backend) {
    let mut torn = 0;
    for received_first in 0..40 {
        let (reader, writer) = backend.ends();
        let child = fork_child(|| {
            let mut sender = Framed::new(writer.try_clone().unwrap());
            for number in 0_u64.. {
                let len = 8 + (number as usize * 37_501) % 200_000;
                let mut message = vec![number as u8; len];
                message[..8].copy_from_slice(&number.to_le_bytes());
                sender.send(&message).unwrap();
            }
            0
        });
        drop(writer);
        let mut receiver = Framed::new(reader);
        let mut child = Some(child);
        let mut next = 0_u64;
        loop {
            if next == received_first / 4 {
                child.take().map(mp_testkit::Child::kill);
            }
            match receiver.recv() {
                Ok(Some(message)) => {
                    assert_eq!(message[..8], next.to_le_bytes());
                    assert_eq!(message.len(), 8 + (next as usize * 37_501) % 200_000);
                    assert!(message[8..].iter().all(|byte| *byte == next as u8));
                    next += 1;
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

/// A message of up to `PIPE_BUF` bytes is there whole or not at all.
fn message_writer_killed(backend: &impl Backend) {
    for count in 0..40 {
        let (reader, writer) = backend.ends();
        let child = fork_child(|| {
            loop {
                writer.write_message(&[b'm'; PIPE_BUF - 96]).unwrap();
            }
        });
        drop(writer);
        let mut total = 0;
        let mut buffer = [0; PIPE_BUF - 96];
        for _ in 0..count {
            total += reader.read(&mut buffer).unwrap();
        }
        child.kill();
        loop {
            match reader.read(&mut buffer).unwrap() {
                0 => break,
                len => total += len,
            }
        }
        assert_eq!(total % buffer.len(), 0);
    }
}
