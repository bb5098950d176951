//! Both ways with Python's standard library, which nobody here wrote.

use std::{
    io::{PipeReader, Read, Write},
    os::fd::AsFd,
    process::{Child, Stdio},
};

use mp_socket::{Address, Framed, SeqpacketListener, SeqpacketSocket, UnixDatagram, UnixListener};
use mp_testkit::isolated;

use crate::{PATIENCE, backends};

/// A Python process, which says when it is ready by a line.
struct Python(Child);

impl Python {
    fn start(script: &str, address: &Address) -> Option<Self> {
        let name = match address.as_abstract_name() {
            Some(name) => format!("@{}", String::from_utf8_lossy(name)),
            None => address.to_string(),
        };
        let prelude = "import socket, sys, os, struct
name = sys.argv[1]
name = '\\0' + name[1:] if name[0] == '@' else name
def ready(): print('ready', flush=True)
";
        let mut command = mp_testkit::python(&format!("{prelude}{script}"))?;
        Some(Self(command.arg(&name).stdout(Stdio::piped()).spawn().unwrap()))
    }

    fn wait_ready(&mut self) {
        self.0.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
    }

    fn finish(mut self) {
        assert!(self.0.wait().unwrap().success(), "the Python side has failed");
    }
}

#[test]
fn python_connects_to_a_stream() {
    isolated(|| {
        for place in [backends::path(), backends::abstract_name()] {
            let listener = UnixListener::bind(&place.address).unwrap();
            let script = "s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.connect(name)
s.sendall(b'from python')
assert s.recv(100) == b'from rust'
pid, uid, gid = struct.unpack('3i', s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
assert pid == os.getppid()";
            let Some(python) = Python::start(script, &place.address) else { return };
            let server = listener.accept_timeout(PATIENCE).unwrap();
            assert_eq!(server.peer_credentials().unwrap().pid, python.0.id());
            let mut buffer = [0; 64];
            assert_eq!(server.read_timeout(&mut buffer, PATIENCE).unwrap(), 11);
            server.write(b"from rust").unwrap();
            assert_eq!(server.read_timeout(&mut buffer, PATIENCE).unwrap(), 0);
            python.finish();
        }
    });
}

#[test]
fn python_listens_for_seqpacket() {
    isolated(|| {
        for place in [backends::path(), backends::abstract_name()] {
            let script = "l = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
l.bind(name)
l.listen()
ready()
s, _ = l.accept()
assert [s.recv(100), s.recv(100)] == [b'one', b'two']
s.send(b'three'); s.send(b'four')";
            let Some(mut python) = Python::start(script, &place.address) else { return };
            python.wait_ready();
            let socket = SeqpacketSocket::connect_timeout(&place.address, PATIENCE).unwrap();
            socket.send(b"one").unwrap();
            socket.send(b"two").unwrap();
            let mut buffer = [0; 64];
            assert_eq!(socket.recv_timeout(&mut buffer, PATIENCE).unwrap(), Some(5));
            assert_eq!(socket.recv_timeout(&mut buffer, PATIENCE).unwrap(), Some(4));
            assert_eq!(socket.recv_timeout(&mut buffer, PATIENCE).unwrap(), None);
            python.finish();
            // A path that Python left behind is dead now.
            SeqpacketListener::bind(&place.address).unwrap();
        }
    });
}

#[test]
fn python_answers_datagrams() {
    isolated(|| {
        let (here, there) = (backends::path(), backends::path());
        let script = "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(name)
ready()
data, sender = s.recvfrom(100)
s.sendto(data[::-1], sender)";
        let Some(mut python) = Python::start(script, &there.address) else { return };
        python.wait_ready();
        let socket = UnixDatagram::bind(&here.address).unwrap();
        socket.send_to(b"abc", &there.address).unwrap();
        let mut buffer = [0; 64];
        let (len, from) = socket.recv_from_timeout(&mut buffer, PATIENCE).unwrap();
        assert_eq!((&buffer[..len], from), (&b"cba"[..], there.address));
        python.finish();
    });
}

#[test]
fn descriptors_from_and_to_python() {
    isolated(|| {
        let place = backends::path();
        let listener = UnixListener::bind(&place.address).unwrap();
        let script = "s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.connect(name)
data, fds, flags, _ = socket.recv_fds(s, 100, 4)
assert data == b'two pipes' and len(fds) == 2
os.write(fds[0], b'written by python')
r, w = os.pipe()
socket.send_fds(s, [b'a pipe'], [r])
os.write(w, os.read(fds[1], 100)[::-1])";
        let Some(python) = Python::start(script, &place.address) else { return };
        let server = listener.accept_timeout(PATIENCE).unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let (source, mut sink) = std::io::pipe().unwrap();
        server.send_with_fds(b"two pipes", &[writer.as_fd(), source.as_fd()]).unwrap();
        drop((writer, source));
        sink.write_all(b"abc").unwrap();
        let received = server.recv_with_fds_timeout(&mut [0; 64], PATIENCE).unwrap();
        assert_eq!((received.len, received.fds.len()), (6, 1));
        let back = PipeReader::from(received.fds.into_iter().next().unwrap());
        python.finish();
        assert_eq!(std::io::read_to_string(back).unwrap(), "cba");
        assert_eq!(std::io::read_to_string(reader).unwrap(), "written by python");
    });
}

/// Frames are those of `multiprocessing.connection`, in both of its ways to write them.
#[test]
fn frames_of_python() {
    isolated(|| {
        let place = backends::path();
        let script = "from multiprocessing.connection import Connection
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.connect(name)
c = Connection(s.detach())
while True:
    try: message = c.recv_bytes()
    except EOFError: break
    c.send_bytes(message[::-1])";
        let listener = UnixListener::bind(&place.address).unwrap();
        let Some(python) = Python::start(script, &place.address) else { return };
        let mut framed = Framed::new(listener.accept_timeout(PATIENCE).unwrap());
        for len in [0, 1, 100, 16_384, 16_385, 1_000_000] {
            let message: Vec<u8> = (0..len).map(|n: u32| n.to_le_bytes()[0]).collect();
            framed.send(&message).unwrap();
            let reversed: Vec<u8> = message.into_iter().rev().collect();
            assert_eq!(framed.recv_timeout(PATIENCE).unwrap(), Some(&reversed[..]));
        }
        framed.stream().shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(framed.recv().unwrap(), None);
        python.finish();
    });
}
