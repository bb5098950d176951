//! Sockets by inheritance, as a service manager passes them.

#![allow(unsafe_code, reason = "a child changes its environment and its descriptors")]

use std::{
    env,
    io::ErrorKind,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    process,
};

use mp_socket::{SeqpacketListener, UnixListener, UnixStream, activation};
use mp_testkit::{fork_child, isolated};

use crate::backends;

/// Sets the variables, in a child that has one thread.
fn set(pid: u32, count: &str, names: Option<&str>) {
    let pid = pid.to_string();
    let variables =
        [("LISTEN_PID", Some(&*pid)), ("LISTEN_FDS", Some(count)), ("LISTEN_FDNAMES", names)];
    for (name, value) in variables {
        if let Some(value) = value {
            // SAFETY: this process has one thread.
            unsafe { env::set_var(name, value) };
        }
    }
}

/// Puts `fd` where the protocol wants it, inheritable.
fn put(fd: &impl AsRawFd, number: RawFd) {
    // SAFETY: integers only; whatever had the number in this child is not used any more.
    assert_eq!(unsafe { nix::libc::dup2(fd.as_raw_fd(), number) }, number);
}

#[test]
fn two_sockets() {
    isolated(|| {
        let places = [backends::abstract_name(), backends::abstract_name()];
        let child = fork_child(|| {
            let first = UnixListener::bind(&places[0].address).unwrap();
            let second = SeqpacketListener::bind(&places[1].address).unwrap();
            // Out of the way of each other.
            let high = [OwnedFd::from(first), second.into()]
                .map(|fd| nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_DUPFD(100)).unwrap());
            put(&high[0], 3);
            put(&high[1], 4);
            set(process::id(), "2", Some("web:"));
            let mut sockets = activation::listen_fds().unwrap().into_iter();
            let (first, second) = (sockets.next().unwrap(), sockets.next().unwrap());
            assert_eq!((first.name.as_deref(), second.name), (Some("web"), None));
            assert_eq!((first.fd.as_raw_fd(), second.fd.as_raw_fd()), (3, 4));
            assert!(sockets.next().is_none());
            let flags = nix::fcntl::fcntl(&first.fd, nix::fcntl::FcntlArg::F_GETFD).unwrap();
            assert_eq!(flags, nix::libc::FD_CLOEXEC);
            assert!(env::vars().all(|(name, _)| !name.starts_with("LISTEN_")), "consumed");

            let listener = UnixListener::from_fd(first.fd).unwrap();
            let _client = UnixStream::connect(&places[0].address).unwrap();
            listener.accept().unwrap();
            SeqpacketListener::from_fd(second.fd).unwrap();

            set(process::id(), "1", None);
            assert!(activation::listen_fds().unwrap().is_empty(), "once");
            0
        });
        assert_eq!(child.wait().code(), Some(0));
    });
}

#[test]
fn for_somebody_else() {
    isolated(|| {
        assert!(activation::listen_fds().unwrap().is_empty(), "no variables");
        let child = fork_child(|| {
            set(1, "3", None);
            i32::from(!activation::listen_fds().unwrap().is_empty())
        });
        assert_eq!(child.wait().code(), Some(0));
    });
}

#[test]
fn not_of_the_protocol() {
    isolated(|| {
        for count in ["-1", "x", "4294967295", "2147483645"] {
            let child = fork_child(|| {
                set(process::id(), count, None);
                let error = activation::listen_fds().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
                0
            });
            assert_eq!(child.wait().code(), Some(0), "{count}");
        }
        let child = fork_child(|| {
            set(process::id(), "500", None);
            let error = activation::listen_fds().unwrap_err();
            i32::from(error.raw_os_error() != Some(nix::libc::EBADF))
        });
        assert!(child.wait().code().is_some());
    });
}
