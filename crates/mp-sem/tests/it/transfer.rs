//! Semaphores inside serde messages.

use mp_os::transfer::{collect, provide};
use mp_sem::{
    posix::Semaphore,
    sysv::{Key, SemaphoreSet},
};
use mp_testkit::{isolated, unique_name};
use nix::{
    sys::memfd::{MFdFlags, memfd_create},
    unistd::ftruncate,
};

#[test]
fn a_semaphore_without_a_name_travels() {
    isolated(|| {
        let memory = memfd_create("test", MFdFlags::MFD_CLOEXEC).unwrap();
        ftruncate(&memory, 8192).unwrap();
        let placed = Semaphore::create_in(&memory, 4096 + 64, 3).unwrap();
        for semaphore in [Semaphore::unnamed(3).unwrap(), placed] {
            let (bytes, fds) = collect(|| postcard::to_stdvec(&semaphore).unwrap());
            let received: Semaphore = provide(fds, || postcard::from_bytes(&bytes).unwrap());
            received.acquire().unwrap().forget();
            assert_eq!(semaphore.value().unwrap(), 2);
            assert!(postcard::to_stdvec(&semaphore).is_err(), "outside a message");
        }
    });
}

#[test]
fn a_named_semaphore_travels() {
    isolated(|| {
        let semaphore = Semaphore::create_new(unique_name("sem"), 3).unwrap();
        let bytes = postcard::to_stdvec(&semaphore).unwrap();
        let received: Semaphore = postcard::from_bytes(&bytes).unwrap();
        assert!(!received.is_owner());
        received.release(1).unwrap();
        assert_eq!(semaphore.value().unwrap(), 4);
        drop(semaphore);
        assert!(postcard::from_bytes::<Semaphore>(&bytes).is_err(), "it is gone");
    });
}

#[test]
fn a_sysv_set_travels() {
    isolated(|| {
        let set = SemaphoreSet::create_new(Key::PRIVATE, &[1, 2]).unwrap();
        let bytes = postcard::to_stdvec(&set).unwrap();
        let received: SemaphoreSet = postcard::from_bytes(&bytes).unwrap();
        assert!(received.id() == set.id() && received.len() == 2 && !received.is_owner());
        set.remove().unwrap();
        assert!(postcard::from_bytes::<SemaphoreSet>(&bytes).is_err(), "it is gone");
    });
}
