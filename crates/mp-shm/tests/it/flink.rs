//! The `shared_memory` crate itself on the other side.

use std::{io::ErrorKind, time::Duration};

use mp_shm::{TimeoutError, flink::LinkedMemory, posix::SharedMemory};
use mp_testkit::{Gate, fork_child, isolated, unique_name};
use shared_memory::{Shmem, ShmemConf};

fn bytes(shmem: &Shmem) -> Vec<u8> {
    // SAFETY: nobody writes meanwhile.
    #[expect(unsafe_code, reason = "the crate has no other way")]
    unsafe { shmem.as_slice() }.to_vec()
}

fn write(shmem: &mut Shmem, text: &[u8]) {
    // SAFETY: nobody else accesses the memory meanwhile.
    #[expect(unsafe_code, reason = "the crate has no other way")]
    let memory = unsafe { shmem.as_slice_mut() };
    memory[..text.len()].copy_from_slice(text);
}

#[test]
fn it_opens_our_os_id_and_we_open_its() {
    isolated(|| {
        let name = format!("/{}", unique_name("shmem"));
        let ours = SharedMemory::create_new(&name, 100).unwrap();
        ours.memory().copy_in(0, b"ours").unwrap();
        let mut theirs = ShmemConf::new().os_id(&name).open().unwrap();
        assert_eq!((theirs.len(), &bytes(&theirs)[..4]), (100, &b"ours"[..]));
        write(&mut theirs, b"theirs");
        assert_eq!(ours.memory().read::<[u8; 6]>(0).unwrap(), *b"theirs");
        drop(theirs);
        SharedMemory::open(&name).unwrap();

        let name = format!("/{}", unique_name("shmem"));
        let mut theirs = ShmemConf::new().os_id(&name).size(5000).create().unwrap();
        write(&mut theirs, b"theirs");
        let ours = SharedMemory::open(&name).unwrap();
        assert_eq!(ours.memory().read::<[u8; 6]>(0).unwrap(), *b"theirs");
        ours.memory().copy_in(0, b"ours").unwrap();
        assert_eq!(&bytes(&theirs)[..6], b"oursrs");
    });
}

#[test]
fn it_opens_our_flink_and_we_open_its() {
    isolated(|| {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("ours");
        let ours = LinkedMemory::create_new(&link, 100).unwrap();
        ours.memory().copy_in(0, b"ours").unwrap();
        let theirs = ShmemConf::new().flink(&link).open().unwrap();
        assert_eq!((theirs.len(), &bytes(&theirs)[..4]), (100, &b"ours"[..]));
        assert_eq!(theirs.get_os_id(), ours.name().as_str());
        drop(theirs);
        assert!(link.exists());

        let link = directory.path().join("theirs");
        let mut theirs = ShmemConf::new().flink(&link).size(5000).create().unwrap();
        write(&mut theirs, b"theirs");
        let ours = LinkedMemory::open(&link).unwrap();
        assert_eq!((ours.len(), ours.is_owner()), (5000, false));
        assert_eq!(ours.memory().read::<[u8; 6]>(0).unwrap(), *b"theirs");
        drop(ours);
        assert!(link.exists(), "an opener takes nothing away");
    });
}

#[test]
fn the_owner_removes_file_and_object() {
    isolated(|| {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        let mut ours = LinkedMemory::create_new(&link, 100).unwrap();
        let again = LinkedMemory::create_new(&link, 100).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyExists);
        let name = ours.name().clone();
        ours.persist();
        drop(ours);
        assert!(link.exists());
        drop(LinkedMemory::open(&link).unwrap());
        mp_shm::posix::unlink(&name).unwrap();
        assert_eq!(LinkedMemory::open(&link).unwrap_err().kind(), ErrorKind::NotFound);
        std::fs::remove_file(&link).unwrap();

        drop(LinkedMemory::create_new(&link, 100).unwrap());
        assert!(!link.exists());
    });
}

#[test]
fn an_opener_waits_for_the_link() {
    isolated(|| {
        let directory = tempfile::tempdir().unwrap();
        let (link, waiting) = (directory.path().join("link"), Gate::new());
        let missing = LinkedMemory::open_timeout(&link, Duration::from_millis(10));
        assert!(matches!(missing, Err(TimeoutError::TimedOut)));
        let child = fork_child(|| {
            waiting.open();
            let opened = LinkedMemory::open_timeout(&link, Duration::from_secs(20)).unwrap();
            i32::from(opened.len() != 5000)
        });
        child.wait_at(&waiting);
        let _theirs = ShmemConf::new().flink(&link).size(5000).create().unwrap();
        assert!(child.wait().success());
    });
}

/// Nobody waits for what is at the path, or reads it without end.
#[test]
fn what_is_no_file_with_a_name_is_refused() {
    isolated(|| {
        let directory = tempfile::tempdir().unwrap();
        let (fifo, long) = (directory.path().join("fifo"), directory.path().join("long"));
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::fs::write(&long, "x".repeat(1000)).unwrap();
        for path in [&*fifo, &*long, directory.path(), "/dev/zero".as_ref()] {
            let error = LinkedMemory::open(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        }
        let waited = LinkedMemory::open_timeout(&fifo, Duration::from_secs(60));
        assert!(matches!(waited, Err(TimeoutError::Os(_))), "{waited:?}");
    });
}
