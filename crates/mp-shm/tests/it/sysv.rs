use std::{io::ErrorKind, os::unix::process::ExitStatusExt, process, time::SystemTime};

use mp_shm::sysv::{self, CreateOptions, Key, ReadSharedMemory, SharedMemory};
use mp_testkit::{Gate, as_ordinary_user, fork_child, is_root, isolated, skip, wait_for_kill};

/// A key of this test process; the IPC namespace may be shared with others.
fn key(number: i32) -> Key {
    Key::new(0x6d70_0000_i32.wrapping_add(process::id().cast_signed() * 16 + number))
}

#[test]
fn the_creator_removes_the_segment_and_the_opener_does_not() {
    isolated(|| {
        let creator = SharedMemory::create_new(key(0), 100).unwrap();
        drop(SharedMemory::open(key(0)).unwrap());
        drop(SharedMemory::create(key(0), 100).unwrap());
        let id = creator.id();
        drop(creator);
        assert_eq!(SharedMemory::open(key(0)).unwrap_err().kind(), ErrorKind::NotFound);
        sysv::stat(id).unwrap_err();
        sysv::remove(id).unwrap_err();
    });
}

#[test]
fn create_new_is_exclusive_and_create_is_not() {
    isolated(|| {
        let first = SharedMemory::create(key(1), 100).unwrap();
        assert!(first.is_owner());
        let error = SharedMemory::create_new(key(1), 100).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        let second = SharedMemory::create(key(1), 50).unwrap();
        assert!(!second.is_owner() && second.id() == first.id() && second.len() == 100);
        assert_eq!(SharedMemory::create(key(1), 101).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn private_segments_are_always_new() {
    isolated(|| {
        let one = SharedMemory::create(Key::PRIVATE, 100).unwrap();
        let other = SharedMemory::create(Key::PRIVATE, 100).unwrap();
        assert_ne!(one.id(), other.id());
        assert_eq!(SharedMemory::open(Key::PRIVATE).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn what_is_to_persist_stays_until_it_is_removed() {
    isolated(|| {
        let mut shm = SharedMemory::create_new(key(2), 100).unwrap();
        shm.memory().copy_in(0, b"kept").unwrap();
        shm.persist();
        let id = shm.id();
        drop(shm);
        let opened = SharedMemory::open(key(2)).unwrap();
        assert_eq!(opened.memory().read::<[u8; 4]>(0).unwrap(), *b"kept");
        drop(opened);
        sysv::remove(id).unwrap();
    });
}

#[test]
fn a_removed_segment_goes_with_the_last_detach() {
    isolated(|| {
        let mut shm = SharedMemory::create_new(key(3), 100).unwrap();
        let id = shm.id();
        shm.remove().unwrap();
        assert!(shm.stat().unwrap().removed);
        assert_eq!(SharedMemory::open(key(3)).unwrap_err().kind(), ErrorKind::NotFound);
        let late = SharedMemory::open_id(id).unwrap();
        late.memory().copy_in(0, b"late").unwrap();
        assert_eq!(shm.memory().read::<[u8; 4]>(0).unwrap(), *b"late");
        drop(shm);
        assert_eq!(sysv::stat(id).unwrap().attached, 1);
        drop(late);
        sysv::stat(id).unwrap_err();
    });
}

#[test]
fn a_removed_segment_goes_when_its_holders_are_killed() {
    isolated(|| {
        let mut shm = SharedMemory::create_new(Key::PRIVATE, 100).unwrap();
        let (id, attached) = (shm.id(), Gate::new());
        shm.remove().unwrap();
        let child = fork_child(|| {
            let _attached = SharedMemory::open_id(id).unwrap();
            attached.open();
            wait_for_kill()
        });
        child.wait_at(&attached);
        assert_eq!(sysv::stat(id).unwrap().attached, 3, "ours, inherited, and the child's own");
        drop(shm);
        assert_eq!(child.kill().signal(), Some(9));
        sysv::stat(id).unwrap_err();
    });
}

#[test]
fn what_a_killed_creator_leaves_can_be_opened_and_removed() {
    isolated(|| {
        let created = Gate::new();
        let key = key(4);
        let child = fork_child(|| {
            let shm = SharedMemory::create_new(key, 100).unwrap();
            shm.memory().copy_in(0, b"orphan").unwrap();
            created.open();
            wait_for_kill()
        });
        child.wait_at(&created);
        child.kill();
        let mut orphan = SharedMemory::open(key).unwrap();
        assert_eq!(orphan.memory().read::<[u8; 6]>(0).unwrap(), *b"orphan");
        assert_eq!(orphan.stat().unwrap().attached, 1);
        orphan.remove().unwrap();
    });
}

#[test]
fn stat_tells_what_the_kernel_knows() {
    isolated(|| {
        let mut options = CreateOptions::new();
        let shm = options.mode(0o640).create_new(key(5), 5000).unwrap();
        let other = SharedMemory::open_id(shm.id()).unwrap();
        let stat = shm.stat().unwrap();
        assert_eq!((stat.len, stat.attached, stat.creator), (5000, 2, process::id()));
        assert_eq!((stat.last_user, stat.removed), (Some(process::id()), false));
        assert_eq!((stat.permissions.mode, stat.permissions.key), (0o640, key(5)));
        assert!(stat.attach_time.unwrap() <= SystemTime::now() && stat.detach_time.is_none());
        assert!(stat.change_time.unwrap() <= SystemTime::now());
        drop(other);
        assert!(shm.stat().unwrap().detach_time.is_some());

        let mut permissions = stat.permissions;
        permissions.mode = 0o600;
        shm.set_permissions(&permissions).unwrap();
        assert_eq!(shm.stat().unwrap().permissions, permissions);
    });
}

#[test]
fn permissions_are_checked() {
    isolated(|| {
        if !is_root() {
            return skip("only root can create what this user may not attach");
        }
        let (open, closed) = (key(6), key(7));
        let readable = CreateOptions::new().mode(0o644).create_new(open, 1).unwrap();
        let private = SharedMemory::create_new(closed, 1).unwrap();
        as_ordinary_user(|| {
            ReadSharedMemory::open(open).unwrap();
            for denied in [SharedMemory::open(open), SharedMemory::open(closed)] {
                assert_eq!(denied.unwrap_err().kind(), ErrorKind::PermissionDenied);
            }
            assert_eq!(
                sysv::remove(readable.id()).unwrap_err().kind(),
                ErrorKind::PermissionDenied
            );
            assert_eq!(sysv::stat(private.id()).unwrap_err().kind(), ErrorKind::PermissionDenied);
            let permissions = readable.stat().unwrap().permissions;
            let error = readable.set_permissions(&permissions).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        });
    });
}

#[test]
fn bad_input_is_refused() {
    isolated(|| {
        let error = CreateOptions::new().mode(0o1600).create_new(Key::PRIVATE, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(SharedMemory::open_id(-1).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(sysv::remove(-1).is_err() && sysv::stat(-1).is_err());
    });
}

#[test]
fn a_forked_child_inherits_attachments_and_an_executed_program_has_none() {
    isolated(|| {
        let shm = SharedMemory::create_new(Key::PRIVATE, 100).unwrap();
        let id = shm.id();
        let child = fork_child(|| {
            let inherited = sysv::stat(id).unwrap().attached;
            i32::try_from(inherited).unwrap()
        });
        assert_eq!(child.wait().code(), Some(2), "ours and the child's");
        assert_eq!(sysv::stat(id).unwrap().attached, 1, "what a dead child had is detached");
        let output = process::Command::new("cat").arg("/proc/sysvipc/shm").output().unwrap();
        let listing = String::from_utf8(output.stdout).unwrap();
        let mut lines = listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let column = lines.next().unwrap().iter().position(|&name| name == "nattch").unwrap();
        let id = id.to_string();
        assert_eq!(lines.find(|words| words[1] == id).unwrap()[column], "1");
    });
}
