//! What only System V queues do: kinds, truncation, removal, state.

use std::{
    fs,
    io::ErrorKind,
    time::{Duration, SystemTime},
};

use mp_mqueue::sysv::{
    CreateOptions, Key, MessageQueue, OpenOptions, Select, TimeoutError, TryError, WaitError, list,
};
use mp_testkit::{
    as_ordinary_user, fork_child, has_own_ipc, is_root, isolated, skip, unique_key, wait_asleep,
};
use nix::libc;

use crate::{SIZE, sysv_options, text};

fn fresh() -> MessageQueue {
    MessageQueue::create_new(Key::PRIVATE).unwrap()
}

#[test]
fn messages_are_selected_by_kind() {
    isolated(|| {
        let queue = fresh();
        for (n, kind) in [(0, 5), (1, 3), (2, 4), (3, 3), (4, 9), (5, 1)] {
            queue.send(&text(n), kind).unwrap();
        }
        let mut buffer = [0; SIZE];
        for (select, n, kind) in [
            (Select::FIRST, 0, 5),
            (Select::kind(4), 2, 4),
            (Select::except(3), 4, 9),
            (Select::up_to(3), 5, 1),
            (Select::up_to(i64::MAX), 1, 3),
            (Select::except(7), 3, 3),
        ] {
            let message = queue.recv(&mut buffer, select).unwrap();
            assert_eq!((message.bytes, message.kind), (&text(n)[..], kind), "{select:?}");
            assert!(!message.truncated);
        }
    });
}

#[test]
fn a_message_of_another_kind_does_not_end_a_wait() {
    isolated(|| {
        let queue = fresh();
        queue.send(b"other", 1).unwrap();
        let mut buffer = [0; SIZE];
        for select in [Select::kind(2), Select::except(1)] {
            assert!(matches!(queue.try_recv(&mut buffer, select), Err(TryError::WouldBlock)));
            let outcome = queue.recv_timeout(&mut buffer, select, Duration::from_millis(5));
            assert!(matches!(outcome, Err(TimeoutError::TimedOut)));
        }
        queue.send(b"third", 3).unwrap();
        let outcome = queue.try_recv(&mut buffer, Select::up_to(0));
        assert_eq!(outcome.unwrap_err().os_error().unwrap().kind(), ErrorKind::InvalidInput);
        let child = fork_child(|| {
            let message =
                queue.recv(&mut buffer, Select::kind(2)).map(|message| message.bytes == b"mine");
            i32::from(!message.unwrap())
        });
        wait_asleep(child.id(), child.id());
        queue.send(b"other", 4).unwrap();
        queue.send(b"mine", 2).unwrap();
        assert!(child.wait().success());
        assert_eq!(queue.stat().unwrap().len, 3);
    });
}

#[test]
fn a_long_message_is_cut_only_when_told() {
    isolated(|| {
        let queue = fresh();
        queue.send(b"twelve bytes", 1).unwrap();
        let mut small = [0; 6];
        for _ in 0..2 {
            let WaitError::Os(error) = queue.recv(&mut small, Select::FIRST).unwrap_err() else {
                panic!("not removed");
            };
            assert_eq!(error.raw_os_error(), Some(libc::E2BIG));
        }
        let message = queue.recv(&mut small, Select::FIRST.truncate()).unwrap();
        assert_eq!((message.bytes, message.truncated), (&b"twelve"[..], true));
        queue.send(b"sixsix", 1).unwrap();
        let message = queue.recv(&mut small, Select::FIRST.truncate()).unwrap();
        assert_eq!((message.bytes, message.truncated), (&b"sixsix"[..], false));
        queue.send(b"x", 1).unwrap();
        assert!(queue.recv(&mut [], Select::FIRST.truncate()).unwrap().truncated);
        assert_eq!(queue.stat().unwrap().len, 0);
    });
}

#[test]
fn bad_kinds_are_refused_before_anything_changes() {
    isolated(|| {
        let queue = fresh();
        for bad in [0, -1, i64::MIN] {
            let outcome = queue.send(b"x", bad).unwrap_err();
            assert_eq!(outcome.os_error().unwrap().kind(), ErrorKind::InvalidInput);
            for select in [Select::kind(bad), Select::up_to(bad), Select::except(bad)] {
                let outcome = queue.recv(&mut [0; 8], select).unwrap_err();
                assert_eq!(outcome.os_error().unwrap().kind(), ErrorKind::InvalidInput);
            }
        }
        queue.send(b"x", i64::MAX).unwrap();
        assert_eq!(queue.recv(&mut [0; 8], Select::FIRST).unwrap().kind, i64::MAX);
        let mode = CreateOptions::new().mode(0o1777).create_new(Key::PRIVATE).unwrap_err();
        assert_eq!(mode.kind(), ErrorKind::InvalidInput);
        assert_eq!(MessageQueue::open(Key::PRIVATE).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(MessageQueue::from_id(-1).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn removal_ends_every_wait_with_its_own_outcome() {
    isolated(|| {
        let (empty, full) = (fresh(), sysv_options().create_new(Key::PRIVATE).unwrap());
        while full.try_send(&text(0), 1).is_ok() {}
        let minute = Duration::from_secs(60);
        let removed = |case| match case {
            0 => matches!(empty.recv(&mut [0; 8], Select::FIRST), Err(WaitError::Removed)),
            1 => matches!(full.send(&text(1), 1), Err(WaitError::Removed)),
            2 => matches!(
                empty.recv_timeout(&mut [0; 8], Select::kind(3), minute),
                Err(TimeoutError::Removed)
            ),
            _ => matches!(full.send_timeout(&text(1), 1, minute), Err(TimeoutError::Removed)),
        };
        let children: Vec<_> =
            (0..4).map(|case| fork_child(move || i32::from(!removed(case)))).collect();
        children.iter().for_each(|child| wait_asleep(child.id(), child.id()));
        empty.remove().unwrap();
        full.remove().unwrap();
        for (case, child) in children.into_iter().enumerate() {
            assert!(child.wait().success(), "case {case}");
        }
        assert!((0..4).all(removed), "it stays so");
        assert!(matches!(empty.remove(), Err(WaitError::Removed)));
        assert!(matches!(empty.stat(), Err(WaitError::Removed)));
        assert!(matches!(empty.try_send(b"x", 1), Err(TryError::Removed)));
        assert!(matches!(empty.set_capacity(8), Err(WaitError::Removed)));
    });
}

#[test]
fn stat_tells_who_did_what() {
    isolated(|| {
        let key = unique_key();
        let before = SystemTime::now() - Duration::from_secs(2);
        let queue = CreateOptions::new().mode(0o640).create_new(key).unwrap();
        let new = queue.stat().unwrap();
        assert_eq!((new.len, new.bytes, new.permissions.key), (0, 0, key));
        assert_eq!((new.permissions.mode, new.last_sender, new.sent_at), (0o640, None, None));
        assert!(new.changed_at.unwrap() > before);

        let child = fork_child(|| queue.send(&text(1), 1).map_or(1, |()| 0));
        let sender = child.id();
        assert!(child.wait().success());
        queue.send(b"x", 2).unwrap();
        queue.recv(&mut [0; SIZE], Select::kind(2)).unwrap();
        let stat = queue.stat().unwrap();
        assert_eq!((stat.len, stat.bytes), (1, SIZE));
        assert_ne!(stat.last_sender, Some(sender));
        assert_eq!(stat.last_receiver, Some(std::process::id()));
        assert!(stat.sent_at.unwrap() > before && stat.received_at.unwrap() > before);
    });
}

#[test]
fn capacity_mode_and_owner_can_be_set() {
    isolated(|| {
        let queue = fresh();
        queue.set_capacity(SIZE).unwrap();
        queue.send(&text(1), 1).unwrap();
        assert!(matches!(queue.try_send(b"x", 1), Err(TryError::WouldBlock)));
        queue.set_capacity(SIZE + 1).unwrap();
        queue.try_send(b"x", 1).unwrap();
        assert_eq!(queue.stat().unwrap().capacity, SIZE + 1);

        queue.set_mode(0o604).unwrap();
        assert_eq!(queue.stat().unwrap().permissions.mode, 0o604);
        let outcome = queue.set_mode(0o4755).unwrap_err();
        assert_eq!(outcome.os_error().unwrap().kind(), ErrorKind::InvalidInput);
        let own = queue.stat().unwrap().permissions;
        queue.set_owner(own.uid, own.gid).unwrap();
        if !is_root() {
            return skip("giving a queue away needs root");
        }
        queue.set_owner(65_534, 65_534).unwrap();
        let permissions = queue.stat().unwrap().permissions;
        assert_eq!((permissions.uid, permissions.creator_uid), (65_534, 0));
    });
}

#[test]
fn permissions_are_checked_at_every_operation() {
    isolated(|| {
        if !is_root() {
            return skip("a queue of another user needs root");
        }
        let key = unique_key();
        let queue = CreateOptions::new().mode(0o604).create_new(key).unwrap();
        queue.send(b"x", 1).unwrap();
        as_ordinary_user(|| {
            let denied = |outcome: WaitError| {
                assert_eq!(outcome.os_error().unwrap().kind(), ErrorKind::PermissionDenied);
            };
            let other = OpenOptions::new().read(true).open(key).unwrap();
            assert!(OpenOptions::new().write(true).open(key).is_err());
            assert_eq!(other.recv(&mut [0; 8], Select::FIRST).unwrap().bytes, b"x");
            denied(other.send(b"y", 1).unwrap_err());
            denied(other.remove().unwrap_err());
            denied(other.set_mode(0o666).unwrap_err());
        });
        queue.set_mode(0o602).unwrap();
        as_ordinary_user(|| {
            // Without permission to look at it, sending works and waiting ends in time.
            let other = OpenOptions::new().write(true).open(key).unwrap();
            other.send(b"y", 1).unwrap();
            assert!(MessageQueue::from_id(other.id()).is_err());
            while other.try_send(&[0; 4096], 1).is_ok() {}
            let outcome = other.send_timeout(&[0; 4096], 1, Duration::from_millis(5));
            assert!(matches!(outcome, Err(TimeoutError::TimedOut)));
        });
    });
}

#[test]
fn keys_come_from_files() {
    isolated(|| {
        let file = tempfile::NamedTempFile::new().unwrap();
        let key = Key::from_path(file.path(), 1).unwrap();
        let queue = MessageQueue::create_new(key).unwrap();
        assert_eq!(MessageQueue::open(key).unwrap().id(), queue.id());
        assert_ne!(key, Key::from_path(file.path(), 2).unwrap());
        let (one, two) = (fresh(), fresh());
        assert_ne!(one.id(), two.id(), "private queues are always new");
    });
}

#[test]
fn existing_queues_are_listed() {
    isolated(|| {
        let key = unique_key();
        let queue = MessageQueue::create_new(key).unwrap();
        let found = |id| list().unwrap().into_iter().find(|listed| listed.id == id);
        assert_eq!(found(queue.id()).unwrap().key, key);
        queue.remove().unwrap();
        assert!(found(queue.id()).is_none());
    });
}

#[test]
fn long_messages_go_through_a_temporary_buffer() {
    isolated(|| {
        if !has_own_ipc() {
            return skip("raising kernel.msgmax needs an IPC namespace of our own");
        }
        fs::write("/proc/sys/kernel/msgmax", "100000").unwrap();
        fs::write("/proc/sys/kernel/msgmnb", "1000000").unwrap();
        let queue = fresh();
        let mut buffer = vec![0; 100_000];
        for len in [8191, 8192, 8193, 99_999, 100_000] {
            let sent: Vec<_> = (0..len).map(|n| n as u8).collect();
            queue.send(&sent, 1).unwrap();
            let message = queue.try_recv(&mut buffer, Select::FIRST).unwrap();
            assert!(message.bytes == sent && !message.truncated);
            queue.send(&sent, 1).unwrap();
            assert!(queue.recv(&mut buffer[..8192], Select::FIRST).is_err() == (len > 8192));
            if len > 8192 {
                let message = queue.recv(&mut buffer[..8192], Select::FIRST.truncate()).unwrap();
                assert!(message.bytes == &sent[..8192] && message.truncated);
            }
        }
        assert_eq!(queue.stat().unwrap().len, 0);
    });
}
