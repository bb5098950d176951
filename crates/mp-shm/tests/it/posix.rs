use std::{
    fs::File,
    io::ErrorKind,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::ExitStatusExt,
    },
    time::{Duration, Instant},
};

use mp_shm::{
    GuardedError, TimeoutError,
    posix::{self, CreateOptions, ReadSharedMemory, SharedMemory},
};
use mp_testkit::{
    Gate, as_ordinary_user, fork_child, is_root, isolated, skip, unique_name, wait_for_kill,
};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, OFlag, fcntl},
    sys::stat::{Mode, umask},
    unistd::ftruncate,
};

fn mode_of(name: &str) -> u32 {
    File::open(format!("/dev/shm/{name}")).unwrap().metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn the_creator_takes_the_name_away_and_the_opener_does_not() {
    isolated(|| {
        let name = unique_name("shm");
        let creator = SharedMemory::create_new(&name, 100).unwrap();
        drop(SharedMemory::open(&name).unwrap());
        drop(SharedMemory::create(&name, 100).unwrap());
        drop(SharedMemory::open(&name).unwrap());
        drop(creator);
        assert_eq!(SharedMemory::open(&name).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(!posix::list().unwrap().iter().any(|found| found.file_name() == name));
    });
}

#[test]
fn create_new_is_exclusive_and_create_is_not() {
    isolated(|| {
        let name = unique_name("shm");
        let first = SharedMemory::create(&name, 100).unwrap();
        assert!(first.is_owner());
        let error = SharedMemory::create_new(&name, 100).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(error.to_string().contains(&format!("`/{name}`")), "{error}");
        let second = SharedMemory::create(&name, 50).unwrap();
        assert!(!second.is_owner() && second.len() == 100);
        let error = SharedMemory::create(&name, 101).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(posix::list().unwrap().contains(first.name()));
    });
}

#[test]
fn what_is_to_persist_stays_until_it_is_unlinked() {
    isolated(|| {
        let name = unique_name("shm");
        let mut shm = SharedMemory::create_new(&name, 100).unwrap();
        shm.memory().copy_in(0, b"kept").unwrap();
        shm.persist();
        drop(shm);
        let opened = SharedMemory::open(&name).unwrap();
        assert_eq!(opened.memory().read::<[u8; 4]>(0).unwrap(), *b"kept");
        posix::unlink(&name).unwrap();
        assert_eq!(posix::unlink(&name).unwrap_err().kind(), ErrorKind::NotFound);
        opened.memory().copy_in(0, b"used").unwrap();
    });
}

#[test]
fn a_name_that_means_another_object_by_now_is_left_alone() {
    isolated(|| {
        let name = unique_name("shm");
        let first = SharedMemory::create_new(&name, 100).unwrap();
        posix::unlink(&name).unwrap();
        let second = SharedMemory::create_new(&name, 200).unwrap();
        drop(first);
        assert_eq!(SharedMemory::open(&name).unwrap().len(), 200);
        drop(second);
    });
}

#[test]
fn the_umask_does_not_matter_and_the_mode_does() {
    isolated(|| {
        umask(Mode::from_bits_truncate(0o077));
        let (open, private) = (unique_name("shm"), unique_name("shm"));
        let _open = CreateOptions::new().mode(0o664).create_new(&open, 1).unwrap();
        let _private = SharedMemory::create_new(&private, 1).unwrap();
        assert_eq!((mode_of(&open), mode_of(&private)), (0o664, 0o600));
        let error =
            CreateOptions::new().mode(0o1600).create_new(unique_name("shm"), 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn permissions_are_checked() {
    isolated(|| {
        if !is_root() {
            return skip("only root can create what this user may not open");
        }
        let (readable, private) = (unique_name("shm"), unique_name("shm"));
        let _readable = CreateOptions::new().mode(0o644).create_new(&readable, 1).unwrap();
        let _private = SharedMemory::create_new(&private, 1).unwrap();
        as_ordinary_user(|| {
            ReadSharedMemory::open(&readable).unwrap();
            for denied in [SharedMemory::open(&readable), SharedMemory::open(&private)] {
                assert_eq!(denied.unwrap_err().kind(), ErrorKind::PermissionDenied);
            }
            let error = posix::unlink(&readable).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            let own = SharedMemory::create_new(unique_name("own"), 100).unwrap();
            assert!(SharedMemory::open(own.name()).is_ok());
        });
    });
}

#[test]
fn bad_names_are_refused() {
    for name in ["", "/", "a/b", "..", "nul\0"] {
        for refused in [SharedMemory::open(name), SharedMemory::create_new(name, 1)] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput, "{name:?}");
        }
        assert_eq!(posix::unlink(name).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    isolated(|| {
        let long = format!("{:x<255}", unique_name("shm"));
        assert!(SharedMemory::create_new(&long, 1).is_ok());
    });
}

#[test]
fn descriptors_are_closed_on_exec() {
    isolated(|| {
        let created = SharedMemory::create_new(unique_name("shm"), 1).unwrap();
        for shm in [&created, &SharedMemory::open(created.name()).unwrap()] {
            let flags = fcntl(shm, FcntlArg::F_GETFD).unwrap();
            assert!(FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC));
        }
    });
}

#[test]
fn a_symbolic_link_is_not_followed() {
    isolated(|| {
        let (real, link) = (unique_name("shm"), unique_name("shm"));
        let _real = SharedMemory::create_new(&real, 1).unwrap();
        let link_path = format!("/dev/shm/{link}");
        std::os::unix::fs::symlink(format!("/dev/shm/{real}"), &link_path).unwrap();
        assert_eq!(
            SharedMemory::open(&link).unwrap_err().raw_os_error(),
            Some(Errno::ELOOP as i32)
        );
        assert!(SharedMemory::create_new(&link, 1).is_err());
        std::fs::remove_file(link_path).unwrap();
    });
}

#[test]
fn an_object_appears_initialized() {
    isolated(|| {
        let name = unique_name("shm");
        let options = CreateOptions::new();
        let shm = options
            .create_new_with(&name, 100, |memory| {
                assert_eq!(SharedMemory::open(&name).unwrap_err().kind(), ErrorKind::NotFound);
                Ok(memory.copy_in(0, b"ready")?)
            })
            .unwrap();
        let opened = SharedMemory::open(&name).unwrap();
        assert_eq!(opened.memory().read::<[u8; 5]>(0).unwrap(), *b"ready");
        drop(shm);

        let failed = options.create_new_with(&name, 100, |memory| Ok(memory.copy_in(98, b"long")?));
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(SharedMemory::open(&name).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_creator_killed_while_it_initializes_leaves_nothing() {
    isolated(|| {
        let (name, begun) = (unique_name("shm"), Gate::new());
        let child = fork_child(|| {
            let _ = CreateOptions::new().create_new_with(&name, 1 << 20, |_| {
                begun.open();
                wait_for_kill()
            });
            1
        });
        child.wait_at(&begun);
        assert_eq!(child.kill().signal(), Some(9));
        assert_eq!(SharedMemory::open(&name).unwrap_err().kind(), ErrorKind::NotFound);
        SharedMemory::create_new(&name, 100).unwrap();
    });
}

#[test]
fn what_a_killed_creator_leaves_can_be_opened_and_unlinked() {
    isolated(|| {
        let (name, created) = (unique_name("shm"), Gate::new());
        let child = fork_child(|| {
            let shm = SharedMemory::create_new(&name, 100).unwrap();
            shm.memory().copy_in(0, b"orphan").unwrap();
            created.open();
            wait_for_kill()
        });
        child.wait_at(&created);
        child.kill();
        let orphan = SharedMemory::open(&name).unwrap();
        assert_eq!(orphan.memory().read::<[u8; 6]>(0).unwrap(), *b"orphan");
        posix::unlink(&name).unwrap();
    });
}

#[test]
fn the_creator_can_be_killed_at_every_instruction() {
    isolated(|| {
        /// Unlinked when dropped, if there is such an object.
        struct Name(String);

        impl Drop for Name {
            fn drop(&mut self) {
                let _ = posix::unlink(&self.0);
            }
        }

        let report = mp_testkit::sweep_sample(
            12,
            || Name(unique_name("shm")),
            |name| SharedMemory::create_new(&name.0, 100).unwrap().persist(),
            |name, point| match SharedMemory::open(&name.0) {
                Ok(shm) => assert_eq!(shm.len(), 100),
                Err(error) => assert!(error.kind() == ErrorKind::NotFound && !point.complete),
            },
        );
        assert!(report.killed > 5, "{report:?}");
    });
}

#[test]
fn an_opener_waits_for_the_object_and_for_its_size() {
    isolated(|| {
        let (name, waiting) = (unique_name("shm"), Gate::new());
        let child = fork_child(|| {
            waiting.open();
            let opened = SharedMemory::open_timeout(&name, Duration::from_secs(20)).unwrap();
            i32::from(opened.len() != 100)
        });
        child.wait_at(&waiting);
        // As other programs do it: first the name, then the size.
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR;
        let file =
            nix::sys::mman::shm_open(name.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let error = SharedMemory::open(&name).unwrap_err();
        assert!(error.kind() == ErrorKind::WouldBlock && error.hint().is_some(), "{error}");
        ftruncate(&file, 100).unwrap();
        assert!(child.wait().success());
        posix::unlink(&name).unwrap();
    });
}

#[test]
fn an_opener_gives_up_at_its_deadline_and_not_before() {
    isolated(|| {
        let start = Instant::now();
        let timeout = Duration::from_millis(30);
        let missing = SharedMemory::open_timeout(unique_name("shm"), timeout);
        assert!(matches!(missing, Err(TimeoutError::TimedOut)));
        assert!(start.elapsed() >= timeout);
        let missing = SharedMemory::open_deadline(unique_name("shm"), start);
        assert!(matches!(missing, Err(TimeoutError::TimedOut)));
        assert!(matches!(SharedMemory::open_timeout("a/b", timeout), Err(TimeoutError::Os(_))));
    });
}

#[test]
fn an_object_grows_and_others_follow() {
    isolated(|| {
        let mut ours = SharedMemory::create_new(unique_name("shm"), 100).unwrap();
        let mut theirs = SharedMemory::open(ours.name()).unwrap();
        assert_eq!(ours.grow(100_000).unwrap(), 100_000);
        ours.memory().copy_in(99_990, b"beyond").unwrap();
        assert_eq!((theirs.len(), theirs.refresh().unwrap()), (100, 100_000));
        assert_eq!(theirs.memory().read::<[u8; 6]>(99_990).unwrap(), *b"beyond");
        assert_eq!(ours.grow(50).unwrap(), 100_000, "it never shrinks");
    });
}

#[test]
fn a_peer_that_truncates_is_reported() {
    isolated(|| {
        let mut shm = SharedMemory::create_new(unique_name("shm"), 10_000).unwrap();
        let peer = SharedMemory::open(shm.name()).unwrap();
        assert_eq!(shm.check_len().unwrap(), 10_000);
        ftruncate(&peer, 4096).unwrap();
        assert_eq!(shm.check_len().unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(shm.refresh().unwrap_err().kind(), ErrorKind::UnexpectedEof);
        let error = shm.memory().copy_out_guarded(0, &mut [0; 10_000]).unwrap_err();
        assert!(matches!(error, GuardedError::Truncated { copied: 4096 }), "{error}");
        shm.memory().copy_in_guarded(0, b"there").unwrap();
    });
}

#[test]
fn a_new_object_belongs_to_its_creator_who_may_use_it_whatever_the_mode() {
    isolated(|| {
        let name = unique_name("shm");
        let shm = CreateOptions::new().mode(0).create_new(&name, 100).unwrap();
        shm.memory().copy_in(0, b"written").unwrap();
        let found = std::fs::metadata(format!("/dev/shm/{name}")).unwrap();
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        assert_eq!((found.uid(), found.gid()), (uid.as_raw(), gid.as_raw()));
        assert_eq!(found.permissions().mode() & 0o777, 0);
    });
}

#[test]
fn of_many_creators_one_wins() {
    isolated(|| {
        let name = unique_name("shm");
        let gates: Vec<_> = (0..6).map(|_| Gate::new()).collect();
        let racers: Vec<_> = gates
            .iter()
            .map(|go| {
                fork_child(|| {
                    go.wait();
                    match SharedMemory::create_new(&name, 100) {
                        Ok(mut shm) => {
                            shm.persist();
                            1
                        }
                        Err(error) if error.kind() == ErrorKind::AlreadyExists => 2,
                        Err(_) => 3,
                    }
                })
            })
            .collect();
        gates.iter().for_each(Gate::open);
        let mut codes: Vec<_> = racers.into_iter().map(|racer| racer.wait().code()).collect();
        codes.sort_unstable();
        assert_eq!(codes, [Some(1), Some(2), Some(2), Some(2), Some(2), Some(2)]);
        posix::unlink(&name).unwrap();
    });
}

/// Nobody waits for whoever would open the other end.
#[test]
fn what_is_no_shared_memory_is_refused() {
    isolated(|| {
        let name = unique_name("shm");
        let path = format!("/dev/shm/{name}");
        nix::unistd::mkfifo(&*path, Mode::S_IRWXU).unwrap();
        let opened = SharedMemory::open(&name).map(drop).map_err(|error| error.kind());
        let read = ReadSharedMemory::open(&name).map(drop).map_err(|error| error.kind());
        std::fs::remove_file(path).unwrap();
        assert_eq!((opened, read), (Err(ErrorKind::InvalidInput), Err(ErrorKind::InvalidInput)));
    });
}
