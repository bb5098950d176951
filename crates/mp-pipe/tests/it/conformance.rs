//! What a pipe promises, the same for unnamed and named ones.

use std::{
    io::{ErrorKind, Read, Write},
    os::fd::{AsFd, OwnedFd},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use mp_pipe::{Framed, PIPE_BUF, PipeReader, PipeWriter, TimeoutError, TryError};
use mp_testkit::{flags, fork_child, once_asleep, wait_asleep};

use crate::{Backend, fill, for_every_backend};

for_every_backend! {
    smoke, the_end_comes_after_the_bytes, try_read, try_write, read_timeout, write_timeout, capacity,
    clones_keep_the_pipe_open, drop_wakes_reader, drop_wakes_all_readers, drop_wakes_writer, empty_is_refused, messages_are_whole,
    flags_are_left_alone, close_on_exec, std_traits, standard_stream_of_a_child, only_pipes_are_adopted, framed,
    framed_in_pieces,
}

fn smoke(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    assert_eq!(writer.write(b"hello").unwrap(), 5);
    let mut buffer = [0; 3];
    assert_eq!(reader.read(&mut buffer).unwrap(), 3);
    assert_eq!(&buffer, b"hel");
    assert_eq!(reader.read(&mut buffer).unwrap(), 2);
}

fn the_end_comes_after_the_bytes(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    writer.write(b"last").unwrap();
    drop(writer);
    let mut buffer = [0; 9];
    assert_eq!(reader.read(&mut buffer).unwrap(), 4);
    assert_eq!(reader.read(&mut buffer).unwrap(), 0);
    assert_eq!(reader.try_read(&mut buffer).unwrap(), 0);
    assert_eq!(reader.read_timeout(&mut buffer, Duration::MAX).unwrap(), 0);
}

fn try_read(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    assert!(matches!(reader.try_read(&mut [0; 4]), Err(TryError::WouldBlock)));
    writer.try_write(b"x").unwrap();
    assert_eq!(reader.try_read(&mut [0; 4]).unwrap(), 1);
}

fn try_write(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    assert_eq!(fill(&writer), writer.capacity().unwrap());
    assert!(matches!(writer.try_write(b"x"), Err(TryError::WouldBlock)));
    reader.read(&mut [0; PIPE_BUF]).unwrap();
    let large = vec![0; 3 * PIPE_BUF];
    assert_eq!(writer.try_write(&large).unwrap(), PIPE_BUF, "as many as there is room for");
}

fn read_timeout(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let timeout = Duration::from_millis(5);
    let start = Instant::now();
    assert!(matches!(reader.read_timeout(&mut [0; 4], timeout), Err(TimeoutError::TimedOut)));
    assert!(start.elapsed() >= timeout);
    writer.write(b"x").unwrap();
    assert_eq!(reader.read_deadline(&mut [0; 4], start).unwrap(), 1, "there already");
}

fn write_timeout(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    fill(&writer);
    let timeout = Duration::from_millis(5);
    let start = Instant::now();
    assert!(matches!(writer.write_timeout(b"x", timeout), Err(TimeoutError::TimedOut)));
    assert!(start.elapsed() >= timeout);
    let message = [1; PIPE_BUF];
    assert!(matches!(writer.try_write_message(&message), Err(TryError::WouldBlock)));
    reader.read(&mut [0; PIPE_BUF]).unwrap();
    writer.write_message_timeout(&message, Duration::from_secs(10)).unwrap();
}

fn capacity(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let page = reader.set_capacity(1).unwrap();
    assert_eq!(writer.capacity().unwrap(), page);
    assert_eq!(writer.set_capacity(page + 1).unwrap(), 2 * page, "rounded up");
    fill(&writer);
    let error = writer.set_capacity(page).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(nix::libc::EBUSY));
    assert!(error.hint().is_some());
    assert_eq!(reader.set_capacity(usize::MAX).unwrap_err().kind(), ErrorKind::InvalidInput);
}

fn clones_keep_the_pipe_open(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let clone = writer.try_clone().unwrap();
    drop(writer);
    assert!(matches!(reader.try_read(&mut [0; 4]), Err(TryError::WouldBlock)));
    drop(clone);
    assert_eq!(reader.try_read(&mut [0; 4]).unwrap(), 0);
}

fn drop_wakes_reader(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let read = once_asleep(move || reader.read(&mut [0; 4]), || drop(writer));
    assert_eq!(read.unwrap(), 0);
}

/// Several readers share the bytes, each taken once, and all see the end.
fn drop_wakes_all_readers(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let mut writer = Some(writer);
    let children = [(); 3].map(|()| {
        fork_child(|| {
            drop(writer.take());
            let mut total = 0;
            loop {
                match reader.read(&mut [0; 7]).unwrap() {
                    0 => return total,
                    len => total += len as i32,
                }
            }
        })
    });
    for child in &children {
        wait_asleep(child.id(), child.id());
    }
    let writer = writer.unwrap();
    for _ in 0..20 {
        writer.write(b"ten bytes!").unwrap();
    }
    drop(writer);
    let total: i32 = children.map(|child| child.wait().code().unwrap()).iter().sum();
    assert_eq!(total, 200);
}

fn drop_wakes_writer(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    fill(&writer);
    let blocked = move || {
        let timed = writer.write_timeout(b"x", Duration::from_secs(30));
        (timed, writer.write(b"x"))
    };
    let (timed, plain) = once_asleep(blocked, || drop(reader));
    let TimeoutError::Os(error) = timed.unwrap_err() else { panic!("it timed out") };
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(plain.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

fn empty_is_refused(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    assert_eq!(reader.read(&mut []).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(writer.write_message(b"").unwrap_err().kind(), ErrorKind::InvalidInput);
    let long = [0; PIPE_BUF + 1];
    assert_eq!(writer.write_message(&long).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(matches!(reader.try_read(&mut [0; 4]), Err(TryError::WouldBlock)), "nothing came");
}

/// Messages of several writers, each of one repeated byte, are never mixed.
fn messages_are_whole(backend: &impl Backend) {
    const MESSAGES: usize = 200;
    let (reader, writer) = backend.ends();
    let children = [b'a', b'b', b'c'].map(|byte| {
        let writer = &writer;
        mp_testkit::fork_child(move || {
            for index in 0..MESSAGES {
                match index % 2 {
                    0 => writer.write_message(&[byte; PIPE_BUF]).unwrap(),
                    _ => writer
                        .write_message_timeout(&[byte; PIPE_BUF], Duration::from_secs(30))
                        .unwrap(),
                }
            }
            0
        })
    });
    drop(writer);
    let mut counts = [0; 3];
    let mut message = [0; PIPE_BUF];
    while Read::read_exact(&mut &reader, &mut message).is_ok() {
        assert!(message.iter().all(|byte| *byte == message[0]), "mixed");
        counts[usize::from(message[0] - b'a')] += 1;
    }
    assert_eq!(counts, [MESSAGES; 3]);
    for child in children {
        assert!(child.wait().success());
    }
}

fn flags_are_left_alone(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let before = (flags(&reader), flags(&writer));
    assert_eq!(before.0 & nix::libc::O_NONBLOCK, 0);
    assert_eq!(before.1 & nix::libc::O_NONBLOCK, 0);
    fill(&writer);
    let _ = writer.write_timeout(b"x", Duration::from_millis(1));
    reader.read_timeout(&mut [0; 1 << 20], Duration::from_secs(1)).unwrap();
    let _ = reader.try_read(&mut [0; 4]);
    assert_eq!((flags(&reader), flags(&writer)), before);
}

fn close_on_exec(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let ends = [OwnedFd::from(reader.try_clone().unwrap()), writer.try_clone().unwrap().into()];
    for end in [reader.as_fd(), writer.as_fd(), ends[0].as_fd(), ends[1].as_fd()] {
        let flags = nix::fcntl::fcntl(end, nix::fcntl::FcntlArg::F_GETFD).unwrap();
        assert_eq!(flags, nix::libc::FD_CLOEXEC);
    }
}

fn std_traits(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let mut writer = std::io::PipeWriter::from(writer);
    writer.write_all(b"through std").unwrap();
    let writer = PipeWriter::from(writer);
    writeln!(&writer, ", and back").unwrap();
    drop(writer);
    let reader = PipeReader::from(std::io::PipeReader::from(reader));
    assert_eq!(std::io::read_to_string(reader).unwrap(), "through std, and back\n");
}

fn standard_stream_of_a_child(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let mut child =
        Command::new("echo").arg("from a child").stdout(Stdio::from(writer)).spawn().unwrap();
    let mut text = String::new();
    (&reader).read_to_string(&mut text).unwrap();
    assert_eq!(text, "from a child\n");
    child.wait().unwrap();
}

fn only_pipes_are_adopted(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let error = PipeReader::from_fd(writer.try_clone().unwrap().into()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let null = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(PipeReader::from_fd(null.into()).unwrap_err().kind(), ErrorKind::InvalidInput);
    let same = PipeReader::from_fd(reader.into()).unwrap();
    writer.write(b"x").unwrap();
    assert_eq!(same.read(&mut [0; 4]).unwrap(), 1);
}

fn framed(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let (mut receiver, mut sender) = (Framed::new(reader), Framed::new(writer));
    assert!(matches!(receiver.try_recv(), Err(TryError::WouldBlock)));
    sender.send(b"one").unwrap();
    sender.send(b"").unwrap();
    assert_eq!(receiver.recv().unwrap(), Some(&b"one"[..]));
    assert_eq!(receiver.recv().unwrap(), Some(&b""[..]));
    drop(sender);
    assert_eq!(receiver.recv().unwrap(), None);
}

/// A message larger than the pipe goes through in as many pieces as the deadlines make of it.
fn framed_in_pieces(backend: &impl Backend) {
    let (reader, writer) = backend.ends();
    let (mut receiver, mut sender) = (Framed::new(reader), Framed::new(writer));
    let message: Vec<u8> = (0..1 << 20).map(|n: u32| n.to_le_bytes()[1]).collect();
    sender.try_send(&message).unwrap();
    assert!(sender.pending() > 0);
    loop {
        let received = match receiver.try_recv() {
            Ok(received) => received,
            Err(TryError::WouldBlock) => {
                let _ = sender.try_flush();
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!(received, Some(&message[..]));
        break;
    }
    assert_eq!(sender.pending(), 0);
}

#[test]
fn limits_are_named() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    mp_testkit::isolated(|| {
        mp_testkit::as_ordinary_user(|| {
            let (reader, _writer) = mp_pipe::pipe().unwrap();
            let error = reader.set_capacity(1 << 30).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(nix::libc::EPERM));
            assert!(error.hint().unwrap().contains("pipe-max-size"));
        });
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
        let error = mp_pipe::pipe().unwrap_err();
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        assert_eq!(error.raw_os_error(), Some(nix::libc::EMFILE));
    });
}
