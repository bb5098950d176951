//! Queues inside serde messages.

use std::fs::File;

use mp_mqueue::{posix, sysv};
use mp_os::transfer::{collect, provide};
use mp_testkit::{isolated, unique_name};

use crate::{SIZE, posix_options, sysv_options};

#[test]
fn a_posix_queue_travels() {
    isolated(|| {
        let queue = posix_options().create_new(unique_name("mqueue")).unwrap();
        let (bytes, fds) = collect(|| postcard::to_stdvec(&queue).unwrap());
        let received: posix::MessageQueue = provide(fds, || postcard::from_bytes(&bytes).unwrap());
        assert!(received.name() == queue.name() && !received.is_owner());
        received.send(b"x", 3).unwrap();
        assert_eq!(queue.recv(&mut [0; SIZE]).unwrap().priority, 3);
        drop(received);
        assert!(posix::MessageQueue::open(queue.name().unwrap()).is_ok());

        assert!(postcard::to_stdvec(&queue).is_err(), "outside a message");
        let fds = vec![File::open("/dev/null").unwrap().into()];
        let other = provide(fds, || postcard::from_bytes::<posix::MessageQueue>(&bytes));
        assert!(other.is_err(), "not a queue");
    });
}

#[test]
fn a_sysv_queue_travels() {
    isolated(|| {
        let queue = sysv_options().create_new(sysv::Key::PRIVATE).unwrap();
        let bytes = postcard::to_stdvec(&queue).unwrap();
        let received: sysv::MessageQueue = postcard::from_bytes(&bytes).unwrap();
        assert!(received.id() == queue.id() && !received.is_owner());
        drop(received);
        queue.remove().unwrap();
        assert!(postcard::from_bytes::<sysv::MessageQueue>(&bytes).is_err(), "it is gone");
    });
}
