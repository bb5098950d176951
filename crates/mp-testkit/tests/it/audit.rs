//! What is left behind fails the test, and is named.

use std::{fs::File, mem, process::Command, thread};

use mp_testkit::{Gate, accept_existing, fork_child, isolated, unique_name, wait_for_kill};

#[test]
fn nothing_left_is_no_leak() {
    isolated(|| {
        let file = File::open("/dev/null").unwrap();
        let name = format!("/dev/shm/{}", unique_name("clean"));
        std::fs::write(&name, "x").unwrap();
        std::fs::remove_file(&name).unwrap();
        thread::spawn(|| {}).join().unwrap();
        assert_eq!(fork_child(|| 3).wait().code(), Some(3));
        drop(file);
    });
}

#[test]
#[should_panic(expected = "of /dev/null")]
fn a_descriptor() {
    isolated(|| mem::forget(File::open("/dev/null").unwrap()));
}

#[test]
#[should_panic(expected = "a descriptor of somebody else was closed")]
fn a_descriptor_that_was_not_ours() {
    let kept = File::open("/dev/null").unwrap();
    isolated(|| {
        let kept = File::open("/dev/null").unwrap();
        accept_existing();
        drop(kept);
    });
    drop(kept);
}

#[test]
#[should_panic(expected = "`left`")]
fn a_thread() {
    isolated(|| {
        drop(
            thread::Builder::new()
                .name("left".to_owned())
                .spawn(|| {
                    loop {
                        thread::park()
                    }
                })
                .unwrap(),
        );
    });
}

#[test]
#[should_panic(expected = "the test left something behind:\n  process ")]
fn a_child() {
    isolated(|| mem::forget(fork_child(|| wait_for_kill())));
}

#[test]
#[should_panic(expected = "the test left something behind:\n  zombie ")]
fn a_zombie() {
    isolated(|| drop(Command::new("true").spawn().unwrap()));
}

#[test]
#[should_panic(expected = "the test left something behind:\n  process ")]
fn an_orphan() {
    isolated(|| {
        let gate = Gate::new();
        let child = fork_child(|| {
            mem::forget(fork_child(|| wait_for_kill()));
            gate.open();
            0
        });
        gate.wait();
        assert!(child.wait().success());
    });
}

#[test]
#[should_panic(expected = "/dev/shm/left-mp")]
fn a_shared_memory_file() {
    isolated(|| std::fs::write(format!("/dev/shm/{}", unique_name("left")), "x").unwrap());
}

#[test]
fn what_is_accepted_is_no_leak() {
    isolated(|| {
        mem::forget(File::open("/dev/null").unwrap());
        accept_existing();
    });
}
