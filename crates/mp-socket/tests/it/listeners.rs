//! Listeners: names, taking over dead ones, and waiting for clients and for room.

use std::{
    fs,
    io::ErrorKind,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{FileTypeExt, PermissionsExt},
    },
    time::{Duration, Instant},
};

use mp_socket::{
    Address, Listener, SeqpacketListener, SeqpacketSocket, TimeoutError, TryError, UnixDatagram,
    UnixListener, UnixStream,
};
use mp_testkit::{Gate, flags, fork_child, isolated, once_asleep, wait_for_kill};
use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr},
    stat::{Mode, umask},
};

use crate::{PATIENCE, backends};

const SOON: Duration = Duration::from_millis(5);

#[test]
fn accept() {
    isolated(|| {
        for place in [backends::path(), backends::abstract_name()] {
            let listener = UnixListener::bind(&place.address).unwrap();
            assert_eq!(listener.local_address().unwrap(), place.address);
            assert!(matches!(listener.try_accept(), Err(TryError::WouldBlock)));
            let start = Instant::now();
            assert!(matches!(listener.accept_timeout(SOON), Err(TimeoutError::TimedOut)));
            assert!(start.elapsed() >= SOON);
            for wait in [accept_plain, accept_timed] {
                let mut client = None;
                let server = once_asleep(
                    || wait(&listener),
                    || client = Some(UnixStream::connect(&place.address).unwrap()),
                );
                server.write(b"x").unwrap();
                assert_eq!(client.unwrap().read(&mut [0; 4]).unwrap(), 1);
            }
        }
    });
}

fn accept_plain(listener: &UnixListener) -> UnixStream {
    listener.accept().unwrap()
}

fn accept_timed(listener: &UnixListener) -> UnixStream {
    listener.accept_timeout(PATIENCE).unwrap()
}

/// A listener with the shortest backlog there is, already full.
fn full(place: &backends::Place) -> (UnixListener, UnixStream) {
    let socket =
        socket::socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
            .unwrap();
    let name = UnixAddr::new_abstract(place.address.as_abstract_name().unwrap()).unwrap();
    socket::bind(socket.as_raw_fd(), &name).unwrap();
    socket::listen(&socket, Backlog::new(0).unwrap()).unwrap();
    let client = UnixStream::connect(&place.address).unwrap();
    (UnixListener::from_fd(socket).unwrap(), client)
}

#[test]
fn connect_waits_for_room() {
    isolated(|| {
        let place = backends::abstract_name();
        let (listener, _client) = full(&place);
        assert!(matches!(UnixStream::try_connect(&place.address), Err(TryError::WouldBlock)));
        for timeout in [SOON, Duration::from_millis(17)] {
            let start = Instant::now();
            let outcome = UnixStream::connect_timeout(&place.address, timeout);
            assert!(matches!(outcome, Err(TimeoutError::TimedOut)));
            assert!(start.elapsed() >= timeout);
        }
        let connected = once_asleep(
            || UnixStream::connect_timeout(&place.address, PATIENCE),
            || drop(listener.accept().unwrap()),
        );
        let connected = connected.unwrap();
        assert_eq!(flags(&connected) & nix::libc::O_NONBLOCK, 0);
        let left = socket::getsockopt(&connected, socket::sockopt::SendTimeout).unwrap();
        assert_eq!((left.tv_sec(), left.tv_usec()), (0, 0), "it was for connecting only");
    });
}

#[test]
fn the_listener_dies_while_a_client_waits_for_room() {
    isolated(|| {
        for wait in [connect_plain, connect_timed] {
            let place = backends::abstract_name();
            let (listener, _client) = full(&place);
            let ready = Gate::new();
            let child = fork_child(|| {
                ready.open();
                wait_for_kill()
            });
            drop(listener);
            child.wait_at(&ready);
            let error = once_asleep(|| wait(&place.address), || _ = child.kill()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        }
    });
}

fn connect_plain(address: &Address) -> mp_socket::Result<UnixStream> {
    UnixStream::connect(address)
}

fn connect_timed(address: &Address) -> mp_socket::Result<UnixStream> {
    Ok(UnixStream::connect_timeout(address, PATIENCE)?)
}

#[test]
fn nobody_listens() {
    isolated(|| {
        let place = backends::path();
        let missing = UnixStream::connect(&place.address).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        let mut listener = UnixListener::bind(&place.address).unwrap();
        listener.persist();
        let other = SeqpacketSocket::connect(&place.address).unwrap_err();
        assert_eq!(other.raw_os_error(), Some(nix::libc::EPROTOTYPE));
        assert!(other.hint().is_some());
        drop(listener);
        for result in [connect_plain(&place.address), connect_timed(&place.address)] {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            assert!(error.to_string().contains("/socket`"), "{error}");
        }
    });
}

#[test]
fn a_killed_listener_is_replaced() {
    isolated(|| {
        let place = backends::path();
        for _ in 0..3 {
            let ready = Gate::new();
            let child = fork_child(|| {
                let _listener = SeqpacketListener::bind(&place.address).unwrap();
                ready.open();
                wait_for_kill()
            });
            child.wait_at(&ready);
            let live = SeqpacketListener::bind(&place.address).unwrap_err();
            assert_eq!(live.kind(), ErrorKind::AddrInUse);
            assert!(live.hint().is_some());
            child.kill();
            assert!(place.address.as_path().unwrap().exists(), "nobody unlinked it");
        }
        let listener = SeqpacketListener::bind(&place.address).unwrap();
        let _client = SeqpacketSocket::connect(&place.address).unwrap();
        listener.accept().unwrap();
        // Of another type, and dead or alive: it is somebody's.
        assert_eq!(UnixListener::bind(&place.address).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(UnixDatagram::bind(&place.address).unwrap_err().kind(), ErrorKind::AddrInUse);
    });
}

#[test]
fn a_killed_datagram_socket_is_replaced() {
    isolated(|| {
        let place = backends::path();
        let ready = Gate::new();
        let child = fork_child(|| {
            let _socket = UnixDatagram::bind(&place.address).unwrap();
            ready.open();
            wait_for_kill()
        });
        child.wait_at(&ready);
        assert_eq!(UnixDatagram::bind(&place.address).unwrap_err().kind(), ErrorKind::AddrInUse);
        child.kill();
        let socket = UnixDatagram::bind(&place.address).unwrap();
        drop(socket);
        assert!(!place.address.as_path().unwrap().exists());
    });
}

/// Many processes find the same dead socket at once: one gets the name, and keeps it.
#[test]
fn only_one_takes_over() {
    isolated(|| {
        for _ in 0..10 {
            let place = backends::path();
            UnixListener::bind(&place.address).unwrap().persist();
            let (ready, go, lost) = (Gate::new(), Gate::new(), Gate::new());
            let children = [(); 4].map(|()| {
                fork_child(|| {
                    ready.open();
                    go.wait();
                    let Ok(_listener) = UnixListener::bind(&place.address) else {
                        lost.open();
                        return 0;
                    };
                    wait_for_kill()
                })
            });
            for child in &children {
                child.wait_at(&ready);
            }
            for _ in &children {
                go.open();
            }
            for _ in 1..children.len() {
                lost.wait();
            }
            UnixStream::connect(&place.address).unwrap();
        }
    });
}

#[test]
fn what_is_no_socket_is_left_alone() {
    isolated(|| {
        let place = backends::path();
        let path = place.address.as_path().unwrap();
        fs::write(path, "precious").unwrap();
        assert_eq!(UnixListener::bind(&place.address).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(fs::read_to_string(path).unwrap(), "precious");
        let nowhere = Address::path(path.join("socket")).unwrap();
        assert!(UnixListener::bind(&nowhere).is_err());
        let live = UnixListener::bind(&backends::abstract_name().address).unwrap();
        let again = UnixListener::bind(&live.local_address().unwrap()).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AddrInUse);
    });
}

#[test]
fn the_binder_unlinks() {
    isolated(|| {
        let place = backends::path();
        let path = place.address.as_path().unwrap();
        let mut listener = Some(UnixListener::bind(&place.address).unwrap());
        assert!(fork_child(|| i32::from(listener.take().is_none())).wait().success());
        assert!(path.exists(), "a forked child does not");
        let fd = listener.as_ref().unwrap();
        let adopted: OwnedFd = std::os::fd::AsFd::as_fd(fd).try_clone_to_owned().unwrap();
        drop(UnixListener::from_fd(adopted).unwrap());
        assert!(path.exists(), "who adopts it does not");
        fs::remove_file(path).unwrap();
        let other = UnixListener::bind(&place.address).unwrap();
        drop(listener);
        assert!(path.exists(), "it is not that file any more");
        drop(other);
        assert!(!path.exists());
    });
}

#[test]
fn mode() {
    isolated(|| {
        umask(Mode::from_bits_truncate(0o077));
        let place = backends::path();
        let path = place.address.as_path().unwrap();
        let listener = UnixListener::bind_with_mode(&place.address, 0o622).unwrap();
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7777, 0o622);
        assert!(fs::metadata(path).unwrap().file_type().is_socket());
        drop(listener);
        let error = UnixListener::bind_with_mode(&place.address, 0o4622).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(!path.exists(), "nothing was changed");
        let nameless = backends::abstract_name();
        let error = UnixListener::bind_with_mode(&nameless.address, 0o600).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn only_listeners_are_adopted() {
    isolated(|| {
        let place = backends::abstract_name();
        let listener: OwnedFd = UnixListener::bind(&place.address).unwrap().into();
        let same = UnixListener::from_fd(listener.try_clone().unwrap()).unwrap();
        assert!(matches!(same.try_accept(), Err(TryError::WouldBlock)));
        let wrong = Listener::<SeqpacketSocket>::from_fd(listener).unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::InvalidInput);
        let (stream, _) = UnixStream::pair().unwrap();
        let error = UnixListener::from_fd(stream.into()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn no_descriptor_is_free() {
    isolated(|| {
        let place = backends::abstract_name();
        let listener = UnixListener::bind(&place.address).unwrap();
        let _client = UnixStream::connect(&place.address).unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
        let error = listener.accept().unwrap_err();
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        assert_eq!(error.raw_os_error(), Some(nix::libc::EMFILE));
        assert!(error.hint().is_some());
        listener.try_accept().unwrap();
    });
}

#[test]
fn no_permission() {
    isolated(|| {
        let place = backends::path();
        let directory = place.address.as_path().unwrap().parent().unwrap();
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        let _listener = UnixListener::bind_with_mode(&place.address, 0o000).unwrap();
        mp_testkit::as_ordinary_user(|| {
            let error = UnixStream::connect(&place.address).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            // Whoever may not connect does not take it for dead either.
            assert!(UnixListener::bind(&place.address).is_err());
        });
        assert!(place.address.as_path().unwrap().exists());
    });
}
