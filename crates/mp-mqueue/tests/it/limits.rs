//! Where a limit is the cause, the error says which.

use std::{fs, io::ErrorKind};

use mp_mqueue::{
    posix::{self, CreateOptions},
    sysv::{self, Key},
};
use mp_testkit::{
    as_ordinary_user, assert_explained, has_own_ipc, is_root, isolated, skip, unique_key,
    unique_name,
};
use nix::{
    libc,
    sys::resource::{Resource, getrlimit, setrlimit},
};

#[test]
fn posix_capacity_and_message_size() {
    isolated(|| {
        let limits = posix::Limits::read().unwrap();
        as_ordinary_user(|| {
            let name = unique_name("mqueue");
            let most = CreateOptions::new().capacity(limits.msg_max as usize).message_size(1);
            drop(most.create_new(&name).unwrap());
            let more = most.capacity(limits.msg_max as usize + 1);
            let hint = [&limits.msg_max.to_string()[..], "/proc/sys/fs/mqueue/msg_max"];
            assert_explained(&more.create_new(&name).unwrap_err(), libc::EINVAL, &hint);

            let most = CreateOptions::new().capacity(1).message_size(limits.msgsize_max as usize);
            drop(most.create_new(&name).unwrap());
            let more = most.message_size(limits.msgsize_max as usize + 1);
            let hint = [&limits.msgsize_max.to_string()[..], "/proc/sys/fs/mqueue/msgsize_max"];
            assert_explained(&more.create_new(&name).unwrap_err(), libc::EINVAL, &hint);
        });
    });
}

/// Linux says `EMFILE` for two limits; the hint says which.
#[test]
fn posix_bytes_and_descriptors() {
    isolated(|| {
        let name = unique_name("mqueue");
        setrlimit(Resource::RLIMIT_MSGQUEUE, 10_000, 10_000).unwrap();
        assert_eq!(posix::Limits::read().unwrap().bytes_max, Some(10_000));
        let error = posix::MessageQueue::create_new(&name).unwrap_err();
        assert_explained(&error, libc::EMFILE, &["RLIMIT_MSGQUEUE", "10000"]);

        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let one = CreateOptions::new().capacity(1).message_size(1);
        setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
        let error = one.create_new(&name).unwrap_err();
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
        assert_explained(&error, libc::EMFILE, &["RLIMIT_NOFILE"]);
        drop(one.create_new(&name).unwrap());
    });
}

#[test]
fn posix_number_of_queues() {
    isolated(|| {
        let most = posix::Limits::read().unwrap().queues_max;
        as_ordinary_user(|| {
            let one = CreateOptions::new().capacity(1).message_size(1);
            let mut queues = Vec::new();
            let error = loop {
                match one.create_new(unique_name("mqueue")) {
                    Ok(queue) => queues.push(queue),
                    Err(error) => break error,
                }
            };
            assert_explained(&error, libc::ENOSPC, &["queues_max", &most.to_string()]);
        });
    });
}

#[test]
fn sysv_message_and_capacity() {
    isolated(|| {
        let limits = sysv::Limits::read().unwrap();
        let queue = sysv::MessageQueue::create_new(Key::PRIVATE).unwrap();
        let long = vec![0; limits.msgmax as usize + 1];
        let outcome = queue.send(&long, 1).unwrap_err();
        assert_explained(
            outcome.os_error().unwrap(),
            libc::EINVAL,
            &["kernel.msgmax", &limits.msgmax.to_string()],
        );
        queue.send(&long[1..], 1).unwrap();

        queue.set_capacity(10).unwrap();
        let outcome = queue.try_send(&long[..11], 1).unwrap_err();
        assert_eq!(outcome.os_error().unwrap().kind(), ErrorKind::InvalidInput);
        as_ordinary_user(|| {
            let options = sysv::CreateOptions::new().capacity(limits.msgmnb as usize + 1);
            let key = unique_key();
            assert_explained(
                &options.create_new(key).unwrap_err(),
                libc::EPERM,
                &["kernel.msgmnb"],
            );
            let gone = sysv::MessageQueue::open(key).unwrap_err();
            assert_eq!(gone.kind(), ErrorKind::NotFound, "nothing is left of it");
        });
    });
}

#[test]
fn sysv_number_of_queues() {
    isolated(|| {
        if !is_root() || !has_own_ipc() {
            return skip("lowering kernel.msgmni needs root and an IPC namespace of our own");
        }
        fs::write("/proc/sys/kernel/msgmni", "1").unwrap();
        let _first = sysv::MessageQueue::create_new(Key::PRIVATE).unwrap();
        let error = sysv::MessageQueue::create_new(Key::PRIVATE).unwrap_err();
        assert_explained(&error, libc::ENOSPC, &["kernel.msgmni", "1 queues"]);
    });
}
