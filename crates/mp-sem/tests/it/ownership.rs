//! Who creates, opens and removes.

use std::{io::ErrorKind, panic};

use mp_testkit::{Gate, as_ordinary_user, fork_child, is_root, skip};

use crate::{Backend, for_each_of};

for_each_of! { [posix: Named, sysv: SystemV]; {
    create_new_refuses_what_exists,
    create_opens_or_creates,
    open_refuses_what_does_not_exist,
    many_creators_make_one_semaphore,
    the_owner_removes_on_drop,
    the_owner_removes_in_a_panic,
    the_last_clone_removes,
    an_opener_never_removes,
    a_fork_of_the_owner_never_removes,
    a_persistent_semaphore_stays,
    another_semaphore_of_the_name_is_not_removed,
    permissions_are_checked,
}}

fn create_new_refuses_what_exists<B: Backend>() {
    let name = B::name();
    let semaphore = B::create_new(&name, 3).unwrap();
    let error = B::create_new(&name, 1).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(semaphore.value(), 3);
}

fn create_opens_or_creates<B: Backend>() {
    let name = B::name();
    let first = B::create(&name, 2).unwrap();
    let second = B::create(&name, 7).unwrap();
    assert!(first.is_owner() && !second.is_owner());
    assert_eq!(second.value(), 2);
}

fn open_refuses_what_does_not_exist<B: Backend>() {
    let error = B::open(&B::name()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().starts_with("failed to open semaphore"), "{error}");
}

/// Everybody finds all permits but those that are taken, and no permit is made twice.
fn many_creators_make_one_semaphore<B: Backend>() {
    for _ in 0..20 {
        let name = B::name();
        let start = Gate::new();
        let children: Vec<_> = (0..6)
            .map(|_| {
                fork_child(|| {
                    start.wait();
                    let semaphore = B::create(&name, 6).unwrap();
                    semaphore.persist();
                    semaphore.try_acquire().unwrap().forget();
                    0
                })
            })
            .collect();
        (0..6).for_each(|_| start.open());
        assert!(children.into_iter().all(|child| child.wait().success()));
        let semaphore = B::open(&name).unwrap();
        assert_eq!(semaphore.value(), 0);
        semaphore.remove();
    }
}

fn the_owner_removes_on_drop<B: Backend>() {
    let name = B::name();
    drop(B::create_new(&name, 1).unwrap());
    assert_eq!(B::open(&name).err().unwrap().kind(), ErrorKind::NotFound);
}

fn the_owner_removes_in_a_panic<B: Backend>() {
    let name = B::name();
    let panicked = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let _semaphore = B::create_new(&name, 1).unwrap();
        panic!("as announced");
    }));
    assert!(panicked.is_err());
    assert_eq!(B::open(&name).err().unwrap().kind(), ErrorKind::NotFound);
}

fn the_last_clone_removes<B: Backend>() {
    let name = B::name();
    let semaphore = B::create_new(&name, 1).unwrap();
    let clone = semaphore.duplicate();
    drop(semaphore);
    assert!(clone.is_owner() && B::open(&name).is_ok());
    drop(clone);
    assert!(B::open(&name).is_err());
}

fn an_opener_never_removes<B: Backend>() {
    let name = B::name();
    let owner = B::create_new(&name, 1).unwrap();
    drop(B::open(&name).unwrap());
    drop(B::create(&name, 1).unwrap());
    assert!(owner.again().is_ok());
}

fn a_fork_of_the_owner_never_removes<B: Backend>() {
    let name = B::name();
    let mut owner = Some(B::create_new(&name, 1).unwrap());
    let child = fork_child(|| {
        let inherited = owner.take().unwrap();
        i32::from(inherited.is_owner())
    });
    assert!(child.wait().success());
    assert!(B::open(&name).is_ok());
}

fn a_persistent_semaphore_stays<B: Backend>() {
    let name = B::name();
    let semaphore = B::create_new(&name, 4).unwrap();
    semaphore.persist();
    assert!(!semaphore.is_owner());
    drop(semaphore);
    let semaphore = B::open(&name).unwrap();
    assert_eq!(semaphore.value(), 4);
    semaphore.remove();
}

fn another_semaphore_of_the_name_is_not_removed<B: Backend>() {
    let name = B::name();
    let old = B::create_new(&name, 1).unwrap();
    old.remove();
    let _new = B::create_new(&name, 2).unwrap();
    drop(old);
    assert_eq!(B::open(&name).unwrap().value(), 2);
}

fn permissions_are_checked<B: Backend>() {
    if !is_root() {
        return skip("a semaphore of another user needs root");
    }
    let semaphore = B::fresh(1);
    as_ordinary_user(|| {
        let error = semaphore.again().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    });
}
