use std::{io::ErrorKind, process::Command};

use crate::skip;

/// Runs `command` to its end: what it has printed; `None`, having [skipped](skip), where it is not installed.
///
/// # Panics
///
/// Where it fails.
#[track_caller]
pub fn run(command: &mut Command) -> Option<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            skip(&format!("{program} is not installed"));
            return None;
        }
        output => output.expect("an installed program can be run"),
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} failed: {errors}");
    Some(String::from_utf8(output.stdout).expect("a program prints text"))
}
