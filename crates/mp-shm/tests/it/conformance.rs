//! What every kind of shared memory promises: the same tests, by the same names, for each.

use std::{
    fs::File,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::MetadataExt, process::ExitStatusExt},
    },
    sync::atomic::{AtomicU64, Ordering},
};

use mp_shm::{
    Memory, ReadMapping, ReadMemory, Result, Segment, posix as posix_shm, sysv as sysv_shm,
    sysv::Key,
};
use mp_testkit::{Gate, fork_child, isolated, unique_name, wait_for_kill};

/// A kind of shared memory.
trait Backend {
    /// The memory, created or attached.
    type Shm;
    /// The memory, attached for reading.
    type ReadShm;
    /// What another process needs to attach it.
    type Id;

    fn create(len: usize) -> Result<Self::Shm>;
    fn id(shm: &Self::Shm) -> Self::Id;
    fn attach(id: &Self::Id) -> Result<Self::Shm>;
    fn attach_read_only(id: &Self::Id) -> Result<Self::ReadShm>;
    fn memory(shm: &Self::Shm) -> &Memory;
    fn read_memory(shm: &Self::ReadShm) -> &ReadMemory;
    /// The bytes for which the kernel has pages.
    fn reserved(shm: &Self::Shm) -> u64;
}

fn bytes_of_file(fd: impl AsFd) -> u64 {
    File::from(fd.as_fd().try_clone_to_owned().unwrap()).metadata().unwrap().blocks() * 512
}

struct Posix;

impl Backend for Posix {
    type Shm = posix_shm::SharedMemory;
    type ReadShm = posix_shm::ReadSharedMemory;
    type Id = String;

    fn create(len: usize) -> Result<Self::Shm> {
        posix_shm::SharedMemory::create_new(unique_name("conformance"), len)
    }

    fn id(shm: &Self::Shm) -> String {
        shm.name().to_string()
    }

    fn attach(id: &String) -> Result<Self::Shm> {
        posix_shm::SharedMemory::open(id)
    }

    fn attach_read_only(id: &String) -> Result<Self::ReadShm> {
        posix_shm::ReadSharedMemory::open(id)
    }

    fn memory(shm: &Self::Shm) -> &Memory {
        shm.memory()
    }

    fn read_memory(shm: &Self::ReadShm) -> &ReadMemory {
        shm.memory()
    }

    fn reserved(shm: &Self::Shm) -> u64 {
        bytes_of_file(shm)
    }
}

struct SysV;

impl Backend for SysV {
    type Shm = sysv_shm::SharedMemory;
    type ReadShm = sysv_shm::ReadSharedMemory;
    type Id = i32;

    fn create(len: usize) -> Result<Self::Shm> {
        sysv_shm::SharedMemory::create_new(Key::PRIVATE, len)
    }

    fn id(shm: &Self::Shm) -> i32 {
        shm.id()
    }

    fn attach(&id: &i32) -> Result<Self::Shm> {
        sysv_shm::SharedMemory::open_id(id)
    }

    fn attach_read_only(&id: &i32) -> Result<Self::ReadShm> {
        sysv_shm::ReadSharedMemory::open_id(id)
    }

    fn memory(shm: &Self::Shm) -> &Memory {
        shm.memory()
    }

    fn read_memory(shm: &Self::ReadShm) -> &ReadMemory {
        shm.memory()
    }

    fn reserved(shm: &Self::Shm) -> u64 {
        let segments = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
        let mut lines = segments.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let column = lines.next().unwrap().iter().position(|&name| name == "rss").unwrap();
        let id = shm.id().to_string();
        lines.find(|words| words[1] == id).unwrap()[column].parse().unwrap()
    }
}

struct Memfd;

impl Backend for Memfd {
    type Shm = Segment;
    type ReadShm = ReadMapping;
    type Id = OwnedFd;

    fn create(len: usize) -> Result<Self::Shm> {
        Segment::create("conformance", len)
    }

    fn id(shm: &Self::Shm) -> OwnedFd {
        shm.try_clone_fd().unwrap()
    }

    fn attach(id: &OwnedFd) -> Result<Self::Shm> {
        Segment::from_fd(id.try_clone().unwrap())
    }

    fn attach_read_only(id: &OwnedFd) -> Result<Self::ReadShm> {
        ReadMapping::map(id)
    }

    fn memory(shm: &Self::Shm) -> &Memory {
        shm.memory()
    }

    fn read_memory(shm: &Self::ReadShm) -> &ReadMemory {
        shm
    }

    fn reserved(shm: &Self::Shm) -> u64 {
        bytes_of_file(shm)
    }
}

fn new_memory_is_zeroes<B: Backend>() {
    let shm = B::create(10_000).unwrap();
    let mut bytes = Vec::new();
    B::memory(&shm).copy_out_vec(0, 10_000, &mut bytes).unwrap();
    assert!(bytes.iter().all(|&byte| byte == 0));
}

fn the_length_is_what_was_asked_for<B: Backend>() {
    for len in [1, 4095, 4096, 4097, 100_000] {
        let shm = B::create(len).unwrap();
        assert_eq!(B::memory(&shm).len(), len);
        assert_eq!(B::memory(&B::attach(&B::id(&shm)).unwrap()).len(), len);
        B::memory(&shm).write(len - 1, 7_u8).unwrap();
        assert!(B::memory(&shm).write(len, 7_u8).is_err());
    }
}

fn a_length_of_zero_is_refused<B: Backend>() {
    assert_eq!(B::create(0).err().unwrap().kind(), std::io::ErrorKind::InvalidInput);
}

fn memory_that_does_not_exist_is_refused_at_creation<B: Backend>() {
    let error = B::create(1 << 50).err().unwrap();
    assert!(error.raw_os_error().is_some() && error.hint().is_some(), "{error}");
}

fn the_memory_is_reserved<B: Backend>() {
    let shm = B::create(1 << 20).unwrap();
    assert_eq!(B::reserved(&shm), 1 << 20);
}

fn all_who_attached_see_the_same<B: Backend>() {
    let shm = B::create(5000).unwrap();
    let id = B::id(&shm);
    let (one, other) = (B::attach(&id).unwrap(), B::attach(&id).unwrap());
    let reader = B::attach_read_only(&id).unwrap();
    B::memory(&one).copy_in(4090, b"from one").unwrap();
    for memory in [B::memory(&shm), B::memory(&other), B::memory(&one)] {
        assert_eq!(memory.read::<[u8; 8]>(4090).unwrap(), *b"from one");
    }
    assert_eq!(B::read_memory(&reader).read::<[u8; 8]>(4090).unwrap(), *b"from one");
}

fn a_forked_child_shares_it<B: Backend>() {
    let shm = B::create(100).unwrap();
    let child = fork_child(|| i32::from(B::memory(&shm).copy_in(50, b"child").is_err()));
    assert!(child.wait().success());
    assert_eq!(B::memory(&shm).read::<[u8; 5]>(50).unwrap(), *b"child");
}

fn a_forked_child_owns_nothing<B: Backend>() {
    let shm = B::create(100).unwrap();
    let id = B::id(&shm);
    let slot = std::cell::RefCell::new(Some(shm));
    let child = fork_child(|| {
        drop(slot.borrow_mut().take());
        0
    });
    assert!(child.wait().success());
    B::attach(&id).unwrap();
}

fn processes_count_together<B: Backend>() {
    let shm = B::create(64).unwrap();
    let children: Vec<_> = (0..4)
        .map(|_| {
            fork_child(|| {
                let shared = B::attach(&B::id(&shm)).unwrap();
                for _ in 0..1000 {
                    B::memory(&shared).atomic_u64(8).unwrap().fetch_add(1, Ordering::Relaxed);
                }
                0
            })
        })
        .collect();
    children.into_iter().for_each(|child| assert!(child.wait().success()));
    assert_eq!(B::memory(&shm).load::<AtomicU64>(8), Some(4000));
}

fn the_memory_outlives_its_creator_for_who_attached<B: Backend>() {
    let shm = B::create(100).unwrap();
    let attached = B::attach(&B::id(&shm)).unwrap();
    B::memory(&shm).copy_in(0, b"kept").unwrap();
    drop(shm);
    assert_eq!(B::memory(&attached).read::<[u8; 4]>(0).unwrap(), *b"kept");
    B::memory(&attached).copy_in(0, b"used").unwrap();
}

fn nothing_is_left_in_a_panic<B: Backend>() {
    let panicked = std::panic::catch_unwind(|| {
        let _shm = B::create(100).unwrap();
        panic!("while the memory exists");
    });
    assert!(panicked.is_err());
    // The audit of the isolated test sees what has a name or a number.
}

fn what_a_killed_writer_wrote_stays<B: Backend>() {
    let shm = B::create(100).unwrap();
    let written = Gate::new();
    let child = fork_child(|| {
        let attached = B::attach(&B::id(&shm)).unwrap();
        B::memory(&attached).copy_in(0, b"last words").unwrap();
        written.open();
        wait_for_kill()
    });
    child.wait_at(&written);
    assert_eq!(child.kill().signal(), Some(9));
    assert_eq!(B::memory(&shm).read::<[u8; 10]>(0).unwrap(), *b"last words");
    B::attach(&B::id(&shm)).unwrap();
}

/// The suite for a backend, in a module of its name.
macro_rules! suite {
    ($module:ident, $backend:ident: $($test:ident)*) => {
        mod $module {
            use super::*;

            $(#[test]
            fn $test() {
                isolated(|| super::$test::<$backend>());
            })*
        }
    };
    ($module:ident, $backend:ident) => {
        suite! { $module, $backend:
            new_memory_is_zeroes
            the_length_is_what_was_asked_for
            a_length_of_zero_is_refused
            memory_that_does_not_exist_is_refused_at_creation
            the_memory_is_reserved
            all_who_attached_see_the_same
            a_forked_child_shares_it
            a_forked_child_owns_nothing
            processes_count_together
            the_memory_outlives_its_creator_for_who_attached
            nothing_is_left_in_a_panic
            what_a_killed_writer_wrote_stays
        }
    };
}

suite!(posix, Posix);
suite!(sysv, SysV);
suite!(memfd, Memfd);
