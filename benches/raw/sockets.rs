//! Sockets of the Unix domain and of the internet.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    os::fd::AsFd,
};

use criterion::Criterion;
use mp_benches::raw;
use mp_socket::{SeqpacketSocket, TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixStream};
use nix::libc;

use super::{A_SECOND, compare, compare_calls};

pub(crate) fn streams(criterion: &mut Criterion) {
    let (left, right) = UnixStream::pair().expect("a pair");
    bytes(criterion, "raw-unix-stream", &left, &right, true);
    let (mut ours, mut buffer, mut raw) = ([0; 8], [0; 8], [0; 8]);
    compare_calls(
        criterion,
        "raw-unix-stream-try",
        || {
            assert_eq!(left.try_write(&[7; 8]).unwrap(), 8);
            assert_eq!(right.try_read(&mut ours).unwrap(), 8);
        },
        Some(|| {
            assert_eq!(raw::send(&left, &[7; 8]), 8);
            assert_eq!(raw::recvmsg(&right, &mut buffer, libc::MSG_DONTWAIT), 8);
        }),
        || {
            assert_eq!(raw::send(&left, &[7; 8]), 8);
            assert_eq!(raw::recv(&right, &mut raw, libc::MSG_DONTWAIT), 8);
        },
    );
    compare_calls(
        criterion,
        "raw-unix-stream-busy",
        || assert!(matches!(right.try_read(&mut ours), Err(mp_os::TryError::WouldBlock))),
        Some(|| raw::refused(raw::recvmsg(&right, &mut buffer, libc::MSG_DONTWAIT))),
        || raw::refused(raw::recv(&right, &mut raw, libc::MSG_DONTWAIT)),
    );
    compare_calls(
        criterion,
        "raw-unix-stream-timeout",
        || {
            assert_eq!(left.write_timeout(&[7; 8], A_SECOND).unwrap(), 8);
            assert_eq!(right.read_timeout(&mut ours, A_SECOND).unwrap(), 8);
        },
        Some(|| {
            raw::clock();
            assert_eq!(raw::send(&left, &[7; 8]), 8);
            raw::clock();
            assert_eq!(raw::recvmsg(&right, &mut buffer, libc::MSG_DONTWAIT), 8);
        }),
        || {
            assert_eq!(raw::send(&left, &[7; 8]), 8);
            raw::poll(&right);
            assert_eq!(raw::recv(&right, &mut raw, 0), 8);
        },
    );
    compare(
        criterion,
        "raw-unix-stream-fd",
        || {
            assert_eq!(left.send_with_fds(&[7; 8], &[left.as_fd()]).unwrap(), 8);
            assert_eq!(right.recv_with_fds(&mut ours).unwrap().fds.len(), 1);
        },
        || {
            raw::send_fd(&left, &[7; 8], &left);
            drop(raw::recv_fd(&right, &mut raw));
        },
    );
}

/// Bytes there, in one process; by a Unix socket, `recvmsg` tells of descriptors that came along.
fn bytes<S: AsFd>(criterion: &mut Criterion, what: &str, left: &S, right: &S, is_unix: bool)
where
    for<'a> &'a S: Read + Write,
{
    let message = [7; 4096];
    for len in [8, 4096] {
        let message = &message[..len];
        let (mut ours, mut buffer, mut raw) = ([0; 4096], [0; 4096], [0; 4096]);
        let calls = || {
            assert_eq!(raw::send(left, message), len);
            assert_eq!(raw::recvmsg(right, &mut buffer, 0), len as isize);
        };
        compare_calls(
            criterion,
            &format!("{what}-{len}"),
            || {
                assert_eq!({ left }.write(message).unwrap(), len);
                assert_eq!({ right }.read(&mut ours).unwrap(), len);
            },
            is_unix.then_some(calls),
            || {
                assert_eq!(raw::send(left, message), len);
                assert_eq!(raw::recv(right, &mut raw, 0), len as isize);
            },
        );
    }
}

pub(crate) fn messages(criterion: &mut Criterion) {
    let message = [7; 4096];
    let (mut ours, mut buffer, mut raw) = ([0; 4096], [0; 4096], [0; 4096]);
    let (left, right) = UnixDatagram::pair().expect("a pair");
    for (name, len) in [("raw-unix-dgram-8", 8), ("raw-unix-dgram-4096", 4096)] {
        compare_calls(
            criterion,
            name,
            || {
                left.send(&message[..len]).unwrap();
                assert_eq!(right.recv(&mut ours).unwrap(), len);
            },
            Some(|| {
                assert_eq!(raw::send(&left, &message[..len]), len);
                assert_eq!(raw::recvmsg(&right, &mut buffer, libc::MSG_TRUNC), len as isize);
            }),
            || {
                assert_eq!(raw::send(&left, &message[..len]), len);
                assert_eq!(raw::recv(&right, &mut raw, 0), len as isize);
            },
        );
    }
    compare(
        criterion,
        "raw-unix-dgram-fd",
        || {
            left.send_with_fds(&message[..8], &[left.as_fd()]).unwrap();
            assert_eq!(right.recv_with_fds(&mut ours).unwrap().fds.len(), 1);
        },
        || {
            raw::send_fd(&left, &message[..8], &left);
            drop(raw::recv_fd(&right, &mut raw));
        },
    );
    let (left, right) = SeqpacketSocket::pair().expect("a pair");
    for (name, len) in [("raw-unix-seqpacket-8", 8), ("raw-unix-seqpacket-4096", 4096)] {
        compare_calls(
            criterion,
            name,
            || {
                left.send(&message[..len]).unwrap();
                assert_eq!(right.recv(&mut ours).unwrap(), Some(len));
            },
            Some(|| {
                assert_eq!(raw::send(&left, &message[..len]), len);
                assert_eq!(raw::recvmsg(&right, &mut buffer, libc::MSG_TRUNC), len as isize);
            }),
            || {
                assert_eq!(raw::send(&left, &message[..len]), len);
                assert_eq!(raw::recv(&right, &mut raw, 0), len as isize);
            },
        );
    }
    compare(
        criterion,
        "raw-unix-seqpacket-fd",
        || {
            left.send_with_fds(&message[..8], &[left.as_fd()]).unwrap();
            let received = right.recv_with_fds(&mut ours).unwrap().expect("no end");
            assert_eq!(received.fds.len(), 1);
        },
        || {
            raw::send_fd(&left, &message[..8], &left);
            drop(raw::recv_fd(&right, &mut raw));
        },
    );
}

pub(crate) fn internet(criterion: &mut Criterion) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(any).expect("a port");
    let left = TcpStream::connect(listener.local_address().unwrap()).expect("somebody listens");
    let left = std::net::TcpStream::from(left);
    left.set_nodelay(true).expect("an option of every connection");
    let (right, _) = listener.accept().expect("somebody has connected");
    bytes(criterion, "raw-tcp", &TcpStream::from(left), &right, false);

    let (left, right) = (UdpSocket::bind(any).unwrap(), UdpSocket::bind(any).unwrap());
    let (from, to) = (left.local_address().unwrap(), right.local_address().unwrap());
    let raw_to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, to.port());
    let message = [7; 4096];
    let (mut ours, mut raw) = ([0; 4096], [0; 4096]);
    for (name, len) in [("raw-udp-8", 8), ("raw-udp-4096", 4096)] {
        compare(
            criterion,
            name,
            || {
                left.send_to(&message[..len], to).unwrap();
                assert_eq!(right.recv_from(&mut ours).unwrap(), (len, from));
            },
            || {
                raw::sendto(&left, &message[..len], raw_to);
                assert_eq!(raw::recvfrom(&right, &mut raw), from.port());
            },
        );
    }
}
