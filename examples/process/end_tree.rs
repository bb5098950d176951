//! A task that leaves programs behind: alone, they live on; with `kill_tree`, they end when the task does.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use mp_core::{Process, Result};

/// A shell starts a program in the background and ends, so that the program has no parent: the task does not even know it.
fn leave_something_behind(_: ()) -> Option<u32> {
    let script = "sleep 1000 </dev/null >/dev/null 2>&1 & echo $!";
    let output = Command::new("sh").args(["-c", script]).stderr(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn runs(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn main() -> Result<()> {
    for guarded in [false, true] {
        let builder = Process::builder().kill_tree(guarded);
        let Some(program) = builder.spawn(leave_something_behind, ())?.join()? else {
            println!("no program could be started");
            return Ok(());
        };
        if runs(program) {
            println!("kill_tree({guarded}): the task has returned, and program {program} runs on");
            // Ours to end.
            let _ = Command::new("kill").arg(program.to_string()).status();
        } else {
            println!("kill_tree({guarded}): the task has returned, and program {program} is gone");
        }
    }
    Ok(())
}
