use std::{io, process::id, sync::Mutex, time::Duration};

use mp_testkit::{Gate, fork_child, isolated, isolated_for, wait_for_kill};

#[test]
fn a_process_of_its_own() {
    static SEEN: Mutex<u32> = Mutex::new(0);
    let harness = id();
    isolated(|| {
        *SEEN.lock().unwrap() = id();
        assert_ne!(SEEN.lock().unwrap().to_string(), "0");
    });
    assert_eq!(harness, id());
    assert_eq!(*SEEN.lock().unwrap(), 0, "the body ran elsewhere");
}

#[test]
#[should_panic(expected = "the message of the body")]
fn a_panic_fails_the_test_with_its_message() {
    isolated(|| panic!("the message of the body"));
}

#[test]
#[should_panic(expected = "signal: 6 (SIGABRT)")]
fn a_crash_fails_the_test_with_its_signal() {
    isolated(|| std::process::abort());
}

#[test]
#[should_panic(expected = "did not run to its end")]
#[expect(clippy::exit, reason = "it is what is tested")]
fn leaving_early_is_not_passing() {
    isolated(|| std::process::exit(0));
}

fn helper() {
    isolated(|| {});
}

#[test]
#[should_panic(expected = "did not run to its end")]
fn a_closure_of_another_function_names_no_test() {
    helper();
}

#[test]
#[should_panic(expected = "did not end in 300ms")]
fn the_watchdog_ends_a_hang() {
    isolated_for(Duration::from_millis(300), || wait_for_kill());
}

#[test]
fn the_watchdog_tells_where_and_kills_the_whole_tree() {
    let (mut reader, writer) = io::pipe().unwrap();
    let hang = std::panic::catch_unwind(|| {
        isolated_for(Duration::from_millis(500), || {
            let gate = Gate::new();
            let child = fork_child(|| {
                let grandchild = fork_child(|| wait_for_kill());
                gate.open();
                grandchild.wait().code().unwrap_or(1)
            });
            child.wait_at(&gate);
            gate.wait();
        });
    });
    let message = hang.unwrap_err().downcast::<String>().unwrap();
    assert!(message.matches("process ").count() >= 3, "three processes were alive: {message}");
    assert!(message.contains("system call"), "{message}");
    if std::process::Command::new("gdb").arg("--version").output().is_ok() {
        assert!(message.contains("wait_for_kill"), "{message}");
    }
    for pid in message.lines().filter_map(|line| line.strip_prefix("process ")?.split(' ').next()) {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{pid} is still alive: {stat}");
    }
    drop(writer);
    assert_eq!(io::Read::read(&mut reader, &mut [0]).unwrap(), 0);
}
