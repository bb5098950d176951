//! What only POSIX semaphores do: names, places in shared memory, the clock they wait by.

use std::{
    fs::{self, File},
    io::ErrorKind,
    os::fd::OwnedFd,
    time::Duration,
};

use mp_sem::posix::{CreateOptions, MAX_VALUE, Semaphore};
use mp_testkit::{as_ordinary_user, fork_child, is_root, isolated, skip, unique_name, wait_asleep};
use nix::{
    libc,
    sys::memfd::{MFdFlags, memfd_create},
    unistd::ftruncate,
};

fn memory(size: i64) -> OwnedFd {
    let memory = memfd_create("test", MFdFlags::MFD_CLOEXEC).unwrap();
    ftruncate(&memory, size).unwrap();
    memory
}

#[test]
fn bad_input_is_refused_before_anything_changes() {
    isolated(|| {
        let long = "x".repeat(256);
        for bad in ["", "/", "/a/b", ".", "a\0b", &long] {
            assert_eq!(Semaphore::create_new(bad, 1).unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(Semaphore::open(bad).unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(Semaphore::unlink(bad).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        let name = unique_name("sem");
        let options = CreateOptions::new().mode(0o1777);
        assert_eq!(options.create_new(&name, 1).unwrap_err().kind(), ErrorKind::InvalidInput);
        let error = Semaphore::create_new(&name, MAX_VALUE + 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(Semaphore::open(&name).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(Semaphore::unlink(&name).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn the_longest_name_works() {
    isolated(|| {
        let start = unique_name("sem");
        // The C library puts `sem.` before it.
        let name = format!("{start}{}", "x".repeat(251 - start.len()));
        let _semaphore = Semaphore::create_new(&name, 1).unwrap();
        Semaphore::open(&name).unwrap();
        Semaphore::create_new(format!("{name}x"), 1).unwrap_err();
    });
}

#[test]
fn a_named_semaphore_is_a_file_with_its_mode() {
    use std::os::unix::fs::PermissionsExt;

    isolated(|| {
        let name = unique_name("sem");
        let semaphore = CreateOptions::new().mode(0o640).create_new(&name, 1).unwrap();
        let file = format!("/dev/shm/sem.{}", semaphore.name().unwrap().file_name());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        drop(semaphore);
        assert!(!fs::exists(file).unwrap());
    });
}

#[test]
fn a_semaphore_belongs_to_the_user_who_created_it() {
    use std::os::unix::fs::MetadataExt;

    isolated(|| {
        if !is_root() {
            return skip("two users need root");
        }
        as_ordinary_user(|| {
            let semaphore = Semaphore::create_new(unique_name("sem"), 1).unwrap();
            let file = format!("/dev/shm/sem.{}", semaphore.name().unwrap().file_name());
            let metadata = fs::metadata(file).unwrap();
            assert_eq!([metadata.uid(), metadata.gid()], [65_534; 2]);
        });
        let name = unique_name("sem");
        let _semaphore = Semaphore::create_new(&name, 1).unwrap();
        as_ordinary_user(|| {
            let error = Semaphore::unlink(&name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        });
        Semaphore::open(&name).unwrap();
    });
}

#[test]
fn an_unlinked_semaphore_goes_on_for_those_who_have_it() {
    isolated(|| {
        let name = unique_name("sem");
        let semaphore = Semaphore::create_new(&name, 0).unwrap();
        let other = Semaphore::open(&name).unwrap();
        Semaphore::unlink(&name).unwrap();
        semaphore.release(1).unwrap();
        other.acquire().unwrap().forget();
        drop(semaphore);
        assert_eq!(other.value().unwrap(), 0);
    });
}

#[test]
fn semaphores_lie_where_they_are_put() {
    isolated(|| {
        let memory = memory(3 * 4096);
        let offsets = [0, 32, 4096 - 16, 4096, 3 * 4096 - 32];
        for (n, &offset) in offsets.iter().enumerate() {
            let created = Semaphore::create_in(&memory, offset, n as u32).unwrap();
            assert!(created.memory().is_some() && created.name().is_none());
        }
        let child = fork_child(|| {
            for (n, &offset) in offsets.iter().enumerate() {
                let opened = Semaphore::open_in(&memory, offset).unwrap();
                assert_eq!(opened.value().unwrap(), n as u32);
                opened.release(1).unwrap();
            }
            0
        });
        assert!(child.wait().success());
        for (n, &offset) in offsets.iter().enumerate() {
            assert_eq!(Semaphore::open_in(&memory, offset).unwrap().value().unwrap(), n as u32 + 1);
        }
    });
}

#[test]
fn a_bad_place_is_refused() {
    isolated(|| {
        let memory = memory(64);
        for offset in [4, 40, 64, usize::MAX - 7] {
            let error = Semaphore::create_in(&memory, offset, 1).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{offset}");
            let error = Semaphore::open_in(&memory, offset).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{offset}");
        }
        assert!(Semaphore::create_in(&memory, 32, MAX_VALUE + 1).is_err());
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(64).unwrap();
        let read_only = File::open(file.path()).unwrap();
        assert!(Semaphore::create_in(&read_only, 0, 1).is_err());
        let error = Semaphore::open_in(&read_only, 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    });
}

/// The memory of an unnamed semaphore cannot be cut off under those who wait at it.
#[test]
fn memory_of_our_own_is_sealed() {
    isolated(|| {
        let semaphore = Semaphore::unnamed(1).unwrap();
        let file = File::from(semaphore.memory().unwrap().try_clone_to_owned().unwrap());
        assert_eq!(file.set_len(0).unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(semaphore.value().unwrap(), 1);
    });
}

#[test]
fn names_and_memory_are_not_leaked_to_programs() {
    isolated(|| {
        let semaphore = Semaphore::unnamed(1).unwrap();
        let flags = nix::fcntl::fcntl(semaphore.memory().unwrap(), nix::fcntl::FcntlArg::F_GETFD);
        assert_eq!(flags.unwrap() & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
    });
}

/// `sem_timedwait` waits by the wall clock, which somebody may set: it must not be what waits.
#[test]
fn a_deadline_is_not_waited_for_by_the_wall_clock() {
    isolated(|| {
        let semaphore = Semaphore::unnamed(0).unwrap();
        let child =
            fork_child(|| semaphore.acquire_timeout(Duration::from_secs(60)).map_or(1, |_| 0));
        wait_asleep(child.id(), child.id());
        let call = fs::read_to_string(format!("/proc/{}/syscall", child.id())).unwrap();
        let mut words = call.split(' ');
        assert_eq!(words.next().unwrap(), libc::SYS_futex.to_string());
        let operation = words.nth(1).unwrap().trim_start_matches("0x");
        let operation = i32::from_str_radix(operation, 16).unwrap();
        assert_eq!(operation & libc::FUTEX_CMD_MASK, libc::FUTEX_WAIT_BITSET, "{call}");
        assert_eq!(operation & libc::FUTEX_CLOCK_REALTIME, 0, "{call}");
        assert_eq!(operation & libc::FUTEX_PRIVATE_FLAG, 0, "shared with other processes: {call}");
        child.kill();
    });
}

/// What the C library would map, so that each use ends the process.
#[test]
fn a_file_that_is_too_short_is_refused() {
    isolated(|| {
        let name = unique_name("sem");
        let path = format!("/dev/shm/sem.{name}");
        for len in [0, 1, 16] {
            fs::write(&path, vec![0; len]).unwrap();
            let opened = Semaphore::open(&name).map(drop).map_err(|error| error.kind());
            let created = CreateOptions::new().create(&name, 1).map(drop);
            fs::remove_file(&path).unwrap();
            assert_eq!(opened, Err(ErrorKind::InvalidData));
            assert_eq!(created.unwrap_err().kind(), ErrorKind::InvalidData);
        }
    });
}
