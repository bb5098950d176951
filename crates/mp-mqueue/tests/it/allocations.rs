//! Sending and receiving allocate nothing.

use std::time::Duration;

use mp_mqueue::{
    posix,
    sysv::{self, Key, Select},
};
use mp_testkit::{CountingAllocator, allocates_nothing, isolated, unique_name};

use crate::{CAPACITY, SIZE, posix_options, sysv_options};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const SOON: Duration = Duration::from_millis(1);

#[test]
fn posix_queue() {
    isolated(|| {
        let queue: posix::MessageQueue = posix_options().create_new(unique_name("mqueue")).unwrap();
        let mut buffer = [0; SIZE];
        allocates_nothing(|| {
            queue.send(b"x", 0).unwrap();
            queue.try_send(b"x", 0).unwrap();
            queue.send_timeout(b"x", 0, SOON).unwrap();
            queue.send_timeout(b"x", 0, SOON).unwrap();
            assert!(queue.send_timeout(b"x", 0, SOON).is_err());
            assert!(queue.try_send(b"x", 0).is_err());
            for _ in 0..CAPACITY - 2 {
                queue.recv(&mut buffer).unwrap();
            }
            queue.try_recv(&mut buffer).unwrap();
            queue.recv_timeout(&mut buffer, SOON).unwrap();
            assert!(queue.recv_timeout(&mut buffer, SOON).is_err());
            assert!(queue.try_recv(&mut buffer).is_err());
        });
    });
}

#[test]
fn sysv_queue() {
    isolated(|| {
        let queue: sysv::MessageQueue =
            sysv_options().capacity(16_000).create_new(Key::PRIVATE).unwrap();
        let (message, mut buffer) = ([7; 8_000], [0; 10_000]);
        allocates_nothing(|| {
            queue.send(&message, 1).unwrap();
            queue.send_timeout(&message, 1, SOON).unwrap();
            assert!(queue.try_send(b"x", 1).is_err());
            assert!(queue.send_timeout(b"x", 1, SOON).is_err());
            queue.recv(&mut buffer, Select::kind(1)).unwrap();
            queue.recv_timeout(&mut buffer, Select::FIRST.truncate(), SOON).unwrap();
            queue.try_send(b"x", 1).unwrap();
            queue.try_recv(&mut buffer, Select::kind(1)).unwrap();
            assert!(queue.try_recv(&mut buffer, Select::FIRST).is_err());
            assert!(queue.recv_timeout(&mut buffer, Select::FIRST, SOON).is_err());
        });
    });
}
