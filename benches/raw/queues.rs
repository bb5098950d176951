//! Message queues of POSIX and of System V.

use std::os::fd::AsFd;

use criterion::Criterion;
use mp_benches::raw;
use mp_mqueue::{posix, sysv};
use mp_os::sysv::Key;
use nix::libc;

use super::{compare, compare_calls, name, nonblocking};

pub(crate) fn posix_queues(criterion: &mut Criterion) {
    let create = |what| {
        let options = posix::CreateOptions::new().message_size(8192);
        options.create_new(format!("/{}", name(what))).expect("a message queue")
    };
    let queue = create("mq");
    let message = [7; 8192];
    let (mut ours, mut raw) = ([0; 8192], [0; 8192]);
    for (name, len) in [("raw-posix-mq-8", 8), ("raw-posix-mq-8192", 8192)] {
        let message = &message[..len];
        compare(
            criterion,
            name,
            || {
                queue.send(message, 0).unwrap();
                assert_eq!(queue.recv(&mut ours).unwrap().bytes.len(), len);
            },
            || {
                raw::mq_send(&queue, message);
                assert_eq!(raw::mq_receive(&queue, &mut raw), len as isize);
            },
        );
    }
    let raw_queue = create("mq-raw");
    nonblocking(raw_queue.as_fd().try_clone_to_owned().expect("another descriptor"));
    let mut buffer = [0; 8192];
    compare_calls(
        criterion,
        "raw-posix-mq-try",
        || {
            queue.try_send(&message[..8], 0).unwrap();
            assert_eq!(queue.try_recv(&mut ours).unwrap().bytes.len(), 8);
        },
        Some(|| {
            raw::mq_timedsend(&queue, &message[..8]);
            assert_eq!(raw::mq_timedreceive(&queue, &mut buffer), 8);
        }),
        || {
            raw::mq_send(&raw_queue, &message[..8]);
            assert_eq!(raw::mq_receive(&raw_queue, &mut raw), 8);
        },
    );
    compare_calls(
        criterion,
        "raw-posix-mq-busy",
        || assert!(matches!(queue.try_recv(&mut ours), Err(mp_os::TryError::WouldBlock))),
        Some(|| raw::failed_with(raw::mq_timedreceive(&queue, &mut buffer), libc::ETIMEDOUT)),
        || raw::refused(raw::mq_receive(&raw_queue, &mut raw)),
    );
}

pub(crate) fn sysv_queues(criterion: &mut Criterion) {
    sysv_queue::<8>(criterion, "raw-sysv-msg-8");
    sysv_queue::<8192>(criterion, "raw-sysv-msg-8192");
    let queue = sysv::MessageQueue::create_new(Key::PRIVATE).expect("a message queue");
    let (mut ours, mut raw) = ([0; 8], raw::Message::<8>::of_kind(1));
    compare(
        criterion,
        "raw-sysv-msg-busy",
        || assert!(queue.try_recv(&mut ours, sysv::Select::FIRST).is_err()),
        || raw::failed_with(raw::msgrcv(queue.id(), &mut raw, libc::IPC_NOWAIT), libc::ENOMSG),
    );
}

fn sysv_queue<const LEN: usize>(criterion: &mut Criterion, name: &str) {
    let queue = sysv::MessageQueue::create_new(Key::PRIVATE).expect("a message queue");
    let (message, mut buffer) = ([7; LEN], [0; LEN]);
    let (raw_message, mut raw) = (raw::Message::<LEN>::of_kind(1), raw::Message::<LEN>::of_kind(1));
    compare(
        criterion,
        name,
        || {
            queue.send(&message, 1).unwrap();
            assert_eq!(queue.recv(&mut buffer, sysv::Select::FIRST).unwrap().bytes.len(), LEN);
        },
        || {
            raw::msgsnd(queue.id(), &raw_message);
            assert_eq!(raw::msgrcv(queue.id(), &mut raw, 0), LEN as isize);
        },
    );
}
