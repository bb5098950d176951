//! Both ways with programs that nobody here wrote: `mkfifo(1)`, `cat(1)`, and Python's standard library.

use std::{
    io::{Read, Write},
    os::unix::fs::FileTypeExt,
    process::{Child, Command, Stdio},
    time::Duration,
};

use mp_pipe::{Fifo, Framed};
use mp_testkit::isolated;

const PATIENCE: Duration = Duration::from_secs(30);

fn python(script: &str, arguments: &[&std::ffi::OsStr]) -> Option<Child> {
    let mut command = mp_testkit::python(script)?;
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    Some(command.spawn().unwrap())
}

#[test]
fn a_fifo_made_by_mkfifo() {
    isolated(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let fifo = Fifo::open(&path).unwrap();
        let mut cat = Command::new("cat").arg(&path).stdout(Stdio::piped()).spawn().unwrap();
        fifo.open_writer_timeout(PATIENCE).unwrap().write(b"to cat").unwrap();
        let mut text = String::new();
        cat.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "to cat");
        assert!(cat.wait().unwrap().success());
        drop(fifo);
        assert!(path.metadata().unwrap().file_type().is_fifo(), "the opener left it");
    });
}

#[test]
fn from_cat() {
    isolated(|| {
        let directory = tempfile::tempdir().unwrap();
        let fifo = Fifo::create_new(directory.path().join("fifo"), 0o600).unwrap();
        let mut cat = Command::new("sh")
            .args(["-c", "cat > \"$0\""])
            .arg(fifo.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let reader = fifo.open_reader_timeout(PATIENCE).unwrap();
        cat.stdin.take().unwrap().write_all(b"from cat").unwrap();
        assert_eq!(std::io::read_to_string(reader).unwrap(), "from cat");
        assert!(cat.wait().unwrap().success());
    });
}

#[test]
fn a_fifo_made_by_python() {
    isolated(|| {
        let directory = tempfile::tempdir().unwrap();
        let [to, from] = ["to", "from"].map(|name| directory.path().join(name));
        let script = "import os, sys
for path in sys.argv[1:]: os.mkfifo(path, 0o600)
print('made', flush=True)
with open(sys.argv[1], 'rb') as f: data = f.read()
with open(sys.argv[2], 'wb') as f: f.write(data[::-1])";
        let Some(mut child) = python(script, &[to.as_os_str(), from.as_os_str()]) else { return };
        let mut made = [0; 5];
        child.stdout.as_mut().unwrap().read_exact(&mut made).unwrap();
        let writer = Fifo::open(&to).unwrap().open_writer_timeout(PATIENCE).unwrap();
        writer.write(b"abc").unwrap();
        drop(writer);
        let reader = Fifo::open(&from).unwrap().open_reader_timeout(PATIENCE).unwrap();
        assert_eq!(std::io::read_to_string(reader).unwrap(), "cba");
        assert!(child.wait().unwrap().success());
    });
}

/// Frames are those of `multiprocessing.connection`, in both of its ways to write them.
#[test]
fn frames_of_python() {
    isolated(|| {
        let script = "import sys
from multiprocessing.connection import Connection
source = Connection(0, writable=False)
sink = Connection(1, readable=False)
while True:
    try: message = source.recv_bytes()
    except EOFError: break
    sink.send_bytes(message[::-1])
import os
os._exit(0)";
        let Some(mut child) = python(script, &[]) else { return };
        let stdin = mp_pipe::PipeWriter::from_fd(child.stdin.take().unwrap().into()).unwrap();
        let stdout = mp_pipe::PipeReader::from_fd(child.stdout.take().unwrap().into()).unwrap();
        let (mut sender, mut receiver) = (Framed::new(stdin), Framed::new(stdout));
        for len in [0, 1, 100, 16_384, 16_385, 1_000_000] {
            let message: Vec<u8> = (0..len).map(|n: u32| n.to_le_bytes()[0]).collect();
            sender.send(&message).unwrap();
            let reversed: Vec<u8> = message.into_iter().rev().collect();
            assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), Some(&reversed[..]));
        }
        drop(sender);
        assert_eq!(receiver.recv().unwrap(), None);
        assert!(child.wait().unwrap().success());
    });
}
