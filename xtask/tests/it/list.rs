use std::process::Command;

#[test]
fn packages_are_listed_a_line_each() {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask")).arg("packages").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(text.lines().any(|line| line == "xtask") && text.lines().any(|line| line == "mp-os"));
}
