//! Who creates, opens and removes.

use std::{io::ErrorKind, panic};

use mp_testkit::{Gate, as_ordinary_user, fork_child, is_root, skip};

use crate::{Backend, for_both, text};

for_both! {
    create_new_refuses_what_exists,
    create_opens_or_creates,
    open_refuses_what_does_not_exist,
    of_many_creators_one_is_the_owner,
    the_owner_removes_on_drop,
    the_owner_removes_in_a_panic,
    the_last_clone_removes,
    an_opener_never_removes,
    a_fork_of_the_owner_never_removes,
    a_persistent_queue_stays,
    another_queue_of_the_name_is_not_removed,
    permissions_are_checked,
}

fn create_new_refuses_what_exists(backend: &dyn Backend) {
    let name = backend.name();
    let queue = backend.create_new(&name).unwrap();
    let error = backend.create_new(&name).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    queue.send(&text(1)).unwrap();
    assert_eq!(backend.open(&name).unwrap().recv().unwrap(), text(1));
}

fn create_opens_or_creates(backend: &dyn Backend) {
    let name = backend.name();
    let first = backend.create(&name).unwrap();
    let second = backend.create(&name).unwrap();
    assert!(first.is_owner() && !second.is_owner());
    first.send(&text(1)).unwrap();
    assert_eq!(second.recv().unwrap(), text(1));
}

fn open_refuses_what_does_not_exist(backend: &dyn Backend) {
    let error = backend.open(&backend.name()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().starts_with("failed to open message queue `"), "{error}");
}

fn of_many_creators_one_is_the_owner(backend: &dyn Backend) {
    let name = backend.name();
    let (start, done) = (Gate::new(), Gate::new());
    let children: Vec<_> = (0..6)
        .map(|_| {
            fork_child(|| {
                start.wait();
                let queue = backend.create(&name).unwrap();
                queue.persist();
                done.open();
                i32::from(backend.open(&name).unwrap().len() != 0)
            })
        })
        .collect();
    (0..6).for_each(|_| start.open());
    (0..6).for_each(|_| done.wait());
    assert!(children.into_iter().all(|child| child.wait().success()));
    backend.open(&name).unwrap().remove();
}

fn the_owner_removes_on_drop(backend: &dyn Backend) {
    let name = backend.name();
    drop(backend.create_new(&name).unwrap());
    assert_eq!(backend.open(&name).err().unwrap().kind(), ErrorKind::NotFound);
}

fn the_owner_removes_in_a_panic(backend: &dyn Backend) {
    let name = backend.name();
    let panicked = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let _queue = backend.create_new(&name).unwrap();
        panic!("as announced");
    }));
    assert!(panicked.is_err());
    assert_eq!(backend.open(&name).err().unwrap().kind(), ErrorKind::NotFound);
}

fn the_last_clone_removes(backend: &dyn Backend) {
    let name = backend.name();
    let queue = backend.create_new(&name).unwrap();
    let clone = queue.duplicate();
    drop(queue);
    assert!(clone.is_owner() && backend.open(&name).is_ok());
    drop(clone);
    assert!(backend.open(&name).is_err());
}

fn an_opener_never_removes(backend: &dyn Backend) {
    let name = backend.name();
    let owner = backend.create_new(&name).unwrap();
    drop(backend.open(&name).unwrap());
    drop(backend.create(&name).unwrap());
    assert!(owner.again().is_ok());
}

fn a_fork_of_the_owner_never_removes(backend: &dyn Backend) {
    let name = backend.name();
    let mut owner = Some(backend.create_new(&name).unwrap());
    let child = fork_child(|| {
        let inherited = owner.take().unwrap();
        i32::from(inherited.is_owner())
    });
    assert!(child.wait().success());
    assert!(backend.open(&name).is_ok());
}

fn a_persistent_queue_stays(backend: &dyn Backend) {
    let name = backend.name();
    let queue = backend.create_new(&name).unwrap();
    queue.persist();
    assert!(!queue.is_owner());
    queue.send(&text(8)).unwrap();
    drop(queue);
    let queue = backend.open(&name).unwrap();
    assert_eq!(queue.recv().unwrap(), text(8));
    queue.remove();
}

fn another_queue_of_the_name_is_not_removed(backend: &dyn Backend) {
    let name = backend.name();
    let old = backend.create_new(&name).unwrap();
    old.remove();
    let new = backend.create_new(&name).unwrap();
    drop(old);
    new.send(&text(1)).unwrap();
    assert_eq!(backend.open(&name).unwrap().recv().unwrap(), text(1));
}

fn permissions_are_checked(backend: &dyn Backend) {
    if !is_root() {
        return skip("a queue of another user needs root");
    }
    let queue = backend.fresh();
    as_ordinary_user(|| {
        let error = queue.again().err().unwrap();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    });
}
