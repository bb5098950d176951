//! Sending and receiving allocate nothing where no descriptors come.

use std::{
    io::IoSlice,
    net::{Ipv4Addr, SocketAddr},
    os::fd::AsFd,
    time::Duration,
};

use mp_socket::{
    Framed, SeqpacketSocket, TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixStream,
};
use mp_testkit::{CountingAllocator, allocates_nothing, allocations, isolated};

use crate::{
    PATIENCE,
    backends::{Channel, for_every_backend},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const SOON: Duration = Duration::from_millis(1);

for_every_backend! { bytes, full }

fn bytes<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    let mut buffer = [0; 64];
    allocates_nothing(|| {
        for _ in 0..100 {
            left.send(b"message").unwrap();
            right.recv(&mut buffer).unwrap();
            left.try_send(b"message").unwrap();
            right.try_recv(&mut buffer).unwrap();
            left.send_timeout(b"message", PATIENCE).unwrap();
            right.recv_timeout(&mut buffer, PATIENCE).unwrap();
            assert!(right.try_recv(&mut buffer).is_err());
            // Nor does sending descriptors, or being ready to take some.
            left.send(b"message").unwrap();
            assert!(right.recv_fds(&mut buffer).unwrap().unwrap().fds.is_empty());
        }
    });
}

fn full<C: Channel>(make: impl Fn() -> (C, C)) {
    let (left, right) = make();
    let mut buffer = [0; 4096];
    allocates_nothing(|| {
        while left.try_send(&buffer).is_ok() {}
        assert!(left.send_timeout(&buffer, SOON).is_err());
        while right.try_recv(&mut buffer).is_ok() {}
        assert!(right.recv_timeout(&mut buffer, SOON).is_err());
    });
}

#[test]
fn parts() {
    isolated(|| {
        let (left, right) = SeqpacketSocket::pair().unwrap();
        let mut buffer = [0; 64];
        allocates_nothing(|| {
            left.send_vectored(&[IoSlice::new(b"two "), IoSlice::new(b"parts")], &[]).unwrap();
            assert_eq!(right.recv(&mut buffer).unwrap(), Some(9));
        });
    });
}

#[test]
fn datagrams_with_addresses() {
    isolated(|| {
        let places = [crate::backends::path(), crate::backends::abstract_name()];
        let [left, right] = places.each_ref().map(|it| UnixDatagram::bind(&it.address).unwrap());
        let mut buffer = [0; 64];
        allocates_nothing(|| {
            left.send_to(b"message", &places[1].address).unwrap();
            let (len, from) = right.recv_from(&mut buffer).unwrap();
            assert_eq!((len, &from), (7, &places[0].address));
            right.send_to(b"answer", &from).unwrap();
            assert_eq!(left.recv_from_timeout(&mut buffer, PATIENCE).unwrap().0, 6);
            assert!(left.try_recv_from(&mut buffer).is_err());
        });
    });
}

#[test]
fn internet() {
    isolated(|| {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let [left, right] = [UdpSocket::bind(any).unwrap(), UdpSocket::bind(any).unwrap()];
        let to = right.local_address().unwrap();
        let listener = TcpListener::bind(any).unwrap();
        let client = TcpStream::connect(listener.local_address().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let mut buffer = [0; 64];
        allocates_nothing(|| {
            left.send_to(b"message", to).unwrap();
            assert_eq!(right.recv_from_timeout(&mut buffer, PATIENCE).unwrap().0, 7);
            assert!(right.try_recv_from(&mut buffer).is_err());
            client.write_timeout(b"x", PATIENCE).unwrap();
            assert_eq!(server.read_timeout(&mut buffer, PATIENCE).unwrap(), 1);
            assert!(server.try_read(&mut buffer).is_err());
            assert!(server.read_timeout(&mut buffer, SOON).is_err());
        });
    });
}

#[test]
fn descriptors_cost_their_list() {
    isolated(|| {
        let (left, right) = SeqpacketSocket::pair().unwrap();
        let mut received = None;
        let sent = allocations(|| left.send_with_fds(b"x", &[left.as_fd()]).unwrap());
        let taken = allocations(|| received = right.recv_with_fds(&mut [0; 4]).unwrap());
        assert_eq!((sent, taken), (0, 1));
    });
}

#[test]
fn frames() {
    isolated(|| {
        let (left, right) = UnixStream::pair().unwrap();
        let (mut sender, mut receiver) = (Framed::new(left), Framed::new(right));
        sender.send(&[0; 1000]).unwrap();
        receiver.recv().unwrap();
        // The buffer of the first message is used again.
        allocates_nothing(|| {
            for len in 0..1000 {
                sender.send(&[1; 1000][..len]).unwrap();
                assert_eq!(receiver.recv().unwrap().map(<[u8]>::len), Some(len));
            }
        });
    });
}
