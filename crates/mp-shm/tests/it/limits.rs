//! What happens where memory ends.

use std::io::ErrorKind;

use mp_shm::{GrowableSegment, Segment, posix::SharedMemory, sysv, sysv::Key};
use mp_testkit::{fork_child, has_own_ipc, isolated, skip, unique_name};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::resource::{Resource, setrlimit},
};

/// A `/dev/shm` of `size` for the calling process alone; false where that may not be made.
fn small_shm(size: &str) -> bool {
    let none = None::<&str>;
    let entered = unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none));
    let options = format!("size={size},mode=1777");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let mount = || mount(Some("tmpfs"), "/dev/shm", Some("tmpfs"), flags, Some(&*options));
    entered.and_then(|()| mount()).is_ok()
}

#[test]
fn a_full_dev_shm_is_an_error_at_creation() {
    isolated(|| {
        // In a child, because the mount cannot be undone where something is open.
        let child = fork_child(|| {
            if !small_shm("64k") {
                return 77;
            }
            let name = unique_name("full");
            for len in [64 << 10, (64 << 10) + 1, 1 << 20] {
                let fits = SharedMemory::create_new(&name, len);
                if len == 64 << 10 {
                    let shm = fits.unwrap();
                    shm.memory().copy_in(len - 4, b"last").unwrap();
                    continue;
                }
                let error = fits.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
                assert!(error.hint().unwrap().contains("df /dev/shm"), "{error}");
                let missing = SharedMemory::open(&name).unwrap_err();
                assert_eq!(missing.kind(), ErrorKind::NotFound, "nothing is left half-made");
            }
            let mut shm = SharedMemory::create_new(&name, 4096).unwrap();
            assert_eq!(shm.grow(1 << 20).unwrap_err().kind(), ErrorKind::StorageFull);
            shm.memory().copy_in(4092, b"here").unwrap();
            shm.grow(32 << 10).unwrap();
            shm.memory().copy_in((32 << 10) - 4, b"more").unwrap();
            0
        });
        match child.wait().code() {
            Some(77) => skip("a file system may not be mounted here"),
            code => assert_eq!(code, Some(0)),
        }
    });
}

#[test]
fn the_limit_of_file_sizes_is_an_error_and_not_a_signal() {
    isolated(|| {
        let sparse = Segment::create_sparse("sparse", 1 << 20).unwrap();
        let mut growable = GrowableSegment::create("growable", 4096).unwrap();
        let child = fork_child(|| {
            setrlimit(Resource::RLIMIT_FSIZE, 1 << 16, 1 << 16).unwrap();
            let refused = [
                Segment::create("limited", (1 << 16) + 1).unwrap_err(),
                Segment::create_sparse("limited", (1 << 16) + 1).unwrap_err(),
                SharedMemory::create_new(unique_name("limited"), (1 << 16) + 1).unwrap_err(),
                growable.grow(1 << 17).unwrap_err(),
                sparse.write_at(1 << 16, b"beyond").unwrap_err(),
            ];
            for error in refused {
                assert_eq!(error.kind(), ErrorKind::FileTooLarge, "{error}");
                assert!(error.hint().unwrap().contains("ulimit -f"), "{error}");
            }
            Segment::create("within", 1 << 16).unwrap();
            0
        });
        assert_eq!(child.wait().code(), Some(0));
    });
}

#[test]
fn the_limits_of_system_v_segments_are_named() {
    isolated(|| {
        let path = "/proc/sys/kernel/shmmax";
        let original = std::fs::read_to_string(path).unwrap();
        // Only where the IPC namespace is our own, which also is where this file may be written.
        if !has_own_ipc() || std::fs::write(path, "65536").is_err() {
            return skip("the limits of System V shared memory may not be set here");
        }
        let error = sysv::SharedMemory::create_new(Key::PRIVATE, 65_537).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.hint().unwrap().contains("kernel.shmmax"), "{error}");
        sysv::SharedMemory::create_new(Key::PRIVATE, 65_536).unwrap();
        std::fs::write(path, original.trim()).unwrap();

        std::fs::write("/proc/sys/kernel/shmmni", "1").unwrap();
        let _one = sysv::SharedMemory::create_new(Key::PRIVATE, 1).unwrap();
        let error = sysv::SharedMemory::create_new(Key::PRIVATE, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(error.hint().unwrap().contains("kernel.shmmni"), "{error}");
    });
}

#[test]
fn the_limit_of_descriptors_is_an_error() {
    isolated(|| {
        let existing = SharedMemory::create_new(unique_name("shm"), 100).unwrap();
        let child = fork_child(|| {
            setrlimit(Resource::RLIMIT_NOFILE, 0, 0).unwrap();
            let refused = [
                SharedMemory::open(existing.name()).unwrap_err(),
                SharedMemory::create_new(unique_name("shm"), 100).unwrap_err(),
                Segment::create("limited", 100).unwrap_err(),
            ];
            i32::from(refused.iter().any(|error| error.raw_os_error() != Some(24)))
        });
        assert_eq!(child.wait().code(), Some(0), "EMFILE");
        existing.memory().copy_in(0, b"there").unwrap();
    });
}
