//! What is left behind fails the test, and is named.

use std::{fs::File, mem, panic::catch_unwind, process::Command, thread};

use memmap2::MmapRaw;
use mp_testkit::{Gate, accept_existing, fork_child, isolated, skip, unique_name, wait_for_kill};
use nix::{
    mqueue::{MQ_OFlag, MqAttr, mq_close, mq_open},
    sys::stat::Mode,
};

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

/// Runs `program`, which must succeed.
fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status();
    assert!(status.as_ref().is_ok_and(|status| status.success()), "{program}: {status:?}");
}

/// Only in an IPC namespace of its own can a test see the objects whose creator is dead.
fn may_have_ipc_alone() -> bool {
    let may = Command::new("unshare").args(["--ipc", "--mount", "true"]).output();
    let may = may.is_ok_and(|output| output.status.success());
    if !may {
        skip("no IPC namespace of its own");
    }
    may
}

#[track_caller]
fn assert_named(outcome: thread::Result<()>, leak: &str) {
    let message = *outcome.expect_err("a leak fails the test").downcast::<String>().expect("text");
    assert!(message.contains("left something behind") && message.contains(leak), "{message}");
}

#[test]
fn a_system_v_segment() {
    if may_have_ipc_alone() {
        assert_named(catch_unwind(|| isolated(|| run("ipcmk", &["-M", "4096"]))), "System V shm");
    }
}

#[test]
fn a_system_v_set_of_semaphores() {
    if may_have_ipc_alone() {
        assert_named(catch_unwind(|| isolated(|| run("ipcmk", &["-S", "1"]))), "System V sem");
    }
}

#[test]
fn a_system_v_message_queue() {
    if may_have_ipc_alone() {
        assert_named(catch_unwind(|| isolated(|| run("ipcmk", &["-Q"]))), "System V msg");
    }
}

fn leave_queue(prefix: &str) {
    let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_RDWR;
    let name = format!("/{}", unique_name(prefix));
    let size = MqAttr::new(0, 1, 16, 0);
    let queue = mq_open(name.as_str(), flags, Mode::S_IRWXU, Some(&size)).expect("a queue");
    mq_close(queue).expect("closed");
}

#[test]
#[should_panic(expected = "message queue /left-mp")]
fn a_posix_message_queue() {
    isolated(|| leave_queue("left"));
}

#[test]
#[should_panic(expected = "shared mapping of")]
fn a_shared_mapping() {
    isolated(|| {
        let path = std::env::temp_dir().join(unique_name("mapped"));
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file.set_len(4096).unwrap();
        mem::forget(MmapRaw::map_raw(&file).unwrap());
    });
}
