use std::process::{Command, Output};

fn deny(arguments: &[&str]) -> Output {
    let xtask = env!("CARGO_BIN_EXE_xtask");
    Command::new(xtask)
        .arg("deny-syscalls")
        .args(arguments)
        .env("LC_ALL", "C")
        .output()
        .expect("runs")
}

#[test]
fn the_command_sees_the_errno() {
    let unshare = ["--calls", "pidfd_open,unshare", "--", "unshare", "--ipc", "true"];
    let output = deny(&[["--errno", "ENOSYS"].as_slice(), &unshare].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("Function not implemented"), "{errors}");
    assert!(!output.status.success());

    let output = deny(&[["--errno", "EPERM"].as_slice(), &unshare].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("Operation not permitted"), "{errors}");
}

#[test]
fn the_status_of_the_command_is_passed_on() {
    let output = deny(&["--errno", "EPERM", "--calls", "clone3", "--", "sh", "-c", "exit 3"]);
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn what_it_does_not_know_is_refused() {
    assert!(!deny(&["--errno", "EPERM", "--calls", "nonsense", "--", "true"]).status.success());
    assert!(!deny(&["--errno", "EPERM", "--calls", "unshare", "--", "/nowhere"]).status.success());
}
