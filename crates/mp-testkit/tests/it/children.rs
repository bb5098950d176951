use std::{
    io::{self, Read},
    os::unix::process::ExitStatusExt,
    time::Duration,
};

use mp_testkit::{
    Gate, as_ordinary_user, exec_child, fork_child, is_root, isolated, wait_for_kill,
};

#[test]
fn a_forked_child_shares_descriptors_and_is_killed_where_it_says() {
    isolated(|| {
        let (mut reader, writer) = io::pipe().unwrap();
        let there = Gate::new();
        let child = fork_child(|| {
            there.open();
            wait_for_kill()
        });
        drop(writer);
        child.wait_at(&there);
        assert_eq!(child.kill().signal(), Some(9));
        assert_eq!(reader.read(&mut [0]).unwrap(), 0, "the kernel closed its writer");
    });
}

#[test]
fn a_child_ends_by_itself_or_times_out() {
    isolated(|| {
        let gate = Gate::new();
        let child = fork_child(|| {
            gate.wait();
            7
        });
        let child = child.wait_timeout(Duration::from_millis(1)).unwrap_err();
        gate.open();
        assert_eq!(child.wait().code(), Some(7));
        assert_eq!(fork_child(|| panic!("on purpose")).wait().code(), Some(101));
    });
}

#[test]
#[should_panic(expected = "died before it opened the gate")]
fn a_child_that_never_arrives() {
    isolated(|| fork_child(|| 0).wait_at(&Gate::new()));
}

#[test]
fn a_child_that_dies_at_the_gate_was_there() {
    isolated(|| {
        let gate = Gate::new();
        let child = fork_child(|| {
            gate.open();
            0
        });
        child.wait_at(&gate);
    });
}

#[test]
fn a_fork_drops_its_copy_of_a_handle_only() {
    isolated(|| {
        let (there, go) = (Gate::new(), Gate::new());
        let first = fork_child(|| {
            there.open();
            go.wait();
            5
        });
        first.wait_at(&there);
        let copy = &mut Some(first);
        let second = fork_child(|| {
            drop(copy.take());
            0
        });
        assert!(second.wait().success());
        go.open();
        let first = copy.take().expect("the parent's copy");
        assert_eq!(first.wait().code(), Some(5));
    });
}

#[test]
fn an_executed_child_plays_its_role() {
    fn count(arguments: Vec<String>) -> i32 {
        arguments.len().try_into().unwrap()
    }
    fn add(numbers: Vec<String>) -> i32 {
        numbers.iter().map(|number| number.parse::<i32>().unwrap()).sum()
    }
    isolated(|| {
        assert_eq!(exec_child(add, &["3", "4"]).wait().code(), Some(7));
        assert_eq!(exec_child(add, &[]).wait().code(), Some(0));
        assert_eq!(exec_child(count, &["", "a b", ""]).wait().code(), Some(3));
        assert_eq!(exec_child(add, &["x"]).wait().code(), Some(101));
    });
}

#[test]
fn an_ordinary_user_may_not_read_what_root_may() {
    isolated(|| {
        as_ordinary_user(|| {
            assert!(!is_root());
            assert!(std::fs::read("/proc/self/maps").is_ok());
            let refused = std::fs::read("/proc/1/environ").unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        });
    });
}

#[test]
#[should_panic(expected = "as an ordinary user")]
fn a_panic_as_ordinary_user_fails_the_test() {
    isolated(|| as_ordinary_user(|| panic!("failed as an ordinary user")));
}
