//! How children come to their entry in a program with a `main` of its own: with the constructor, with `init()`, and with
//! neither, which is an error and no fork bomb. Run it without default features as well.

use std::{env, process::Command};

use mp_process::SpawnError;

const CASE: &str = "MP_PROCESS_CASE";

fn main() {
    // The harness of `cargo nextest` asks.
    if env::args().any(|argument| argument == "--list") {
        if !env::args().any(|argument| argument == "--ignored") {
            println!("entry: test");
        }
        return;
    }
    match env::var(CASE).as_deref() {
        Ok("init") => {
            mp_process::init();
            works();
        }
        // Only without the constructor: its children come here, and nothing tells them that they are children.
        Ok("hang") if env::var_os("MP_PROCESS_CHILD").is_some() => mp_testkit::wait_for_kill(),
        Ok("exit" | "hang") => is_refused(),
        Ok(other) => panic!("there is no case `{other}`"),
        Err(_) if cfg!(feature = "constructor") => {
            works();
            run("init");
        }
        Err(_) => ["init", "exit", "hang"].map(run).into_iter().collect(),
    }
}

fn run(case: &str) {
    // Children get the arguments of their parent, of which there may be many.
    let arguments = (0..5_000).map(|n| format!("argument-{n}"));
    let status = Command::new("/proc/self/exe").args(arguments).env(CASE, case).status();
    assert!(status.is_ok_and(|status| status.success()), "case `{case}`");
}

fn works() {
    let child = mp_process::spawn(|n: u32| n + 1, 1).expect("a child can be started");
    assert_eq!(child.join().expect("it returns"), 2);
}

fn is_refused() {
    match mp_process::spawn(|n: u32| n + 1, 1) {
        Err(SpawnError::NotEntered(reason)) => assert!(reason.contains("init()"), "{reason}"),
        other => panic!("{other:?}"),
    }
}
