//! Sending and receiving allocate nothing where no descriptors come.

use std::os::fd::AsFd;

use mp_socket::{Framed, SeqpacketSocket, UnixStream};
use mp_testkit::{CountingAllocator, allocates_nothing, allocations, isolated};

use crate::{
    PATIENCE,
    backends::{Channel, for_every_backend},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

for_every_backend! { bytes }

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
