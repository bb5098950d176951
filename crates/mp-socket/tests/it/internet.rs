//! TCP and UDP.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr},
    time::{Duration, Instant},
};

use mp_socket::{TcpListener, TcpStream, TimeoutError, TryError, UdpSocket};
use mp_testkit::{Gate, flags, fork_child, isolated, once_asleep, wait_for_kill};

use crate::PATIENCE;

const SOON: Duration = Duration::from_millis(5);

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

#[test]
fn tcp() {
    isolated(|| {
        let listener = TcpListener::bind(anywhere()).unwrap();
        assert!(matches!(listener.try_accept(), Err(TryError::WouldBlock)));
        assert!(matches!(listener.accept_timeout(SOON), Err(TimeoutError::TimedOut)));
        let address = listener.local_address().unwrap();
        let mut client = None;
        let (server, from) = once_asleep(
            || listener.accept_timeout(PATIENCE).unwrap(),
            || client = Some(TcpStream::connect_timeout(address, PATIENCE).unwrap()),
        );
        let client = std::net::TcpStream::from(client.unwrap());
        assert_eq!(from, client.local_addr().unwrap());
        let mut client = TcpStream::from(client);
        assert_eq!(flags(&client) & nix::libc::O_NONBLOCK, 0);
        client.write_all(b"through std's traits").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        (&server).read_to_string(&mut text).unwrap();
        assert_eq!(text, "through std's traits");
        let start = Instant::now();
        assert!(matches!(client.read_timeout(&mut [0; 4], SOON), Err(TimeoutError::TimedOut)));
        assert!(start.elapsed() >= SOON);
        while server.try_write(&[0; 1 << 16]).is_ok() {}
        assert!(matches!(server.write_timeout(b"x", SOON), Err(TimeoutError::TimedOut)));
    });
}

#[test]
fn tcp_over_ipv6() {
    isolated(|| {
        let Ok(listener) = TcpListener::bind("[::1]:0".parse().unwrap()) else {
            return mp_testkit::skip("this machine has no IPv6");
        };
        let client = TcpStream::connect(listener.local_address().unwrap()).unwrap();
        let (server, from) = listener.accept().unwrap();
        assert!(from.is_ipv6());
        client.write(b"x").unwrap();
        assert_eq!(server.read(&mut [0; 4]).unwrap(), 1);
    });
}

#[test]
fn tcp_nobody_listens() {
    isolated(|| {
        let address = TcpListener::bind(anywhere()).unwrap().local_address().unwrap();
        let error = TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let past = TcpStream::connect_deadline(address, Instant::now());
        assert!(matches!(past, Err(TimeoutError::TimedOut)));
        let bound = TcpListener::bind(anywhere()).unwrap();
        let again = TcpListener::bind(bound.local_address().unwrap()).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AddrInUse);
    });
}

/// A reset is not skipped here: TCP throws away what came before it.
#[test]
fn tcp_peer_killed() {
    isolated(|| {
        let listener = TcpListener::bind(anywhere()).unwrap();
        let ready = Gate::new();
        let child = fork_child(|| {
            let address = listener.local_address().unwrap();
            let clients = [(); 2].map(|()| TcpStream::connect(address).unwrap());
            ready.open();
            assert!(clients.iter().all(|client| flags(client) >= 0));
            wait_for_kill()
        });
        child.wait_at(&ready);
        let (waiting, _) = listener.accept().unwrap();
        let (unread, _) = listener.accept().unwrap();
        unread.write(b"unread").unwrap();
        let end = once_asleep(|| waiting.read(&mut [0; 4]), || _ = child.kill());
        assert_eq!(end.unwrap(), 0);
        let error = unread.read_timeout(&mut [0; 4], PATIENCE).unwrap_err();
        let TimeoutError::Os(error) = error else { panic!("it timed out") };
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn udp() {
    isolated(|| {
        let server = UdpSocket::bind(anywhere()).unwrap();
        let client = UdpSocket::bind(anywhere()).unwrap();
        let address = server.local_address().unwrap();
        assert!(matches!(server.try_recv(&mut [0; 4]), Err(TryError::WouldBlock)));
        let start = Instant::now();
        assert!(matches!(server.recv_timeout(&mut [0; 4], SOON), Err(TimeoutError::TimedOut)));
        assert!(start.elapsed() >= SOON);
        client.send_to(b"one", address).unwrap();
        let (len, from) = server.recv_from_timeout(&mut [0; 16], PATIENCE).unwrap();
        assert_eq!((len, from), (3, client.local_address().unwrap()));
        assert!(client.send(b"x").is_err(), "to nobody");
        client.connect(address).unwrap();
        client.send_timeout(b"connected", PATIENCE).unwrap();
        let error = server.recv(&mut [0; 4]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "cut");
        let error = client.send(&[0; 70_000]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(nix::libc::EMSGSIZE));
        assert!(error.hint().is_some());
        let same = UdpSocket::from(std::net::UdpSocket::from(client));
        same.send(b"").unwrap();
        assert_eq!(server.recv(&mut [0; 4]).unwrap(), 0, "a datagram may be empty");
    });
}
