//! Who is at the other end.

use std::{os::fd::AsFd, time::Duration};

use mp_os::Deadline;
use mp_socket::{SeqpacketListener, SeqpacketSocket, UnixDatagram, UnixStream};
use mp_testkit::{fork_child, isolated, wait_for_kill};
use nix::{
    libc::{ENOPROTOOPT, ENOTCONN},
    unistd::{getegid, geteuid},
};

use crate::backends::{self, Channel, for_every_backend};

for_every_backend! { credentials }

fn credentials<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    // The kernel notes them when two are connected, which datagram sockets with names are not.
    if C::HAS_END {
        assert_eq!(left.peer_pid(), std::process::id());
        assert_eq!(right.peer_pid(), std::process::id());
    }
}

#[test]
fn a_client_in_another_process() {
    isolated(|| {
        let place = backends::path();
        let listener = SeqpacketListener::bind(&place.address).unwrap();
        let child = fork_child(|| {
            let client = SeqpacketSocket::connect(&place.address).unwrap();
            client.send(b"here").unwrap();
            wait_for_kill()
        });
        let server = listener.accept().unwrap();
        let peer = server.peer_credentials().unwrap();
        assert_eq!(
            (peer.pid, peer.uid, peer.gid),
            (child.id(), geteuid().as_raw(), getegid().as_raw())
        );
        assert_eq!(server.recv(&mut [0; 8]).unwrap(), Some(4));
        let process = match server.peer_pidfd() {
            Ok(process) => process,
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(ENOPROTOOPT), "{error}");
                return mp_testkit::skip("SO_PEERPIDFD needs Linux 6.5");
            }
        };
        assert!(!process.has_exited().unwrap());
        child.signal(nix::libc::SIGKILL);
        assert!(process.wait_exit(Deadline::after(Duration::from_secs(30))).unwrap());
        assert_eq!(server.recv(&mut [0; 8]).unwrap(), None);
        assert_eq!(server.peer_credentials().unwrap(), peer, "also when it is dead");
        child.wait();
    });
}

#[test]
fn nobody() {
    isolated(|| {
        let socket = UnixDatagram::unbound().unwrap();
        assert_eq!(socket.peer_credentials().unwrap_err().raw_os_error(), Some(ENOTCONN));
        assert!(socket.peer_pidfd().is_err());
        assert_eq!(socket.peer_address().unwrap_err().raw_os_error(), Some(ENOTCONN));
    });
}

/// They are those of who made the socket, not of who has it now.
#[test]
fn a_socket_that_was_handed_on() {
    isolated(|| {
        let (left, right) = UnixStream::pair().unwrap();
        let child =
            fork_child(|| i32::from(left.peer_credentials().unwrap().pid == std::process::id()));
        assert_eq!(child.wait().code(), Some(0));
        assert!(right.as_fd().try_clone_to_owned().is_ok());
    });
}
