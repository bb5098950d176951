//! The end of a test that does not end by itself: evidence of where it hangs, then the end of its whole tree.

use std::{fmt::Write as _, fs, process::Command, slice, time::Duration};

use mp_os::Deadline;

use crate::{
    isolated,
    proc::{self, Process},
    sys,
};

/// What every process of the test `mark` that runs below `root`, `root` included, is doing.
pub(crate) fn evidence(root: u32, mark: &str) -> String {
    let of = |process: &Process| describe(slice::from_ref(process)) + &backtraces(process.pid);
    tree(root, mark).iter().map(of).collect()
}

/// What each of `processes` is doing, as the kernel sees it.
pub(crate) fn describe(processes: &[Process]) -> String {
    let mut text = String::new();
    for process in processes {
        let pid = process.pid;
        writeln!(text, "{process}").expect("a string can be written");
        for thread in proc::numbers(format!("/proc/{pid}/task")) {
            describe_thread(&mut text, pid, thread);
        }
    }
    text
}

/// The name of the kernel function a thread sleeps in, its system call with arguments, and its kernel stack, for root.
fn describe_thread(text: &mut String, pid: u32, thread: u32) {
    let read = |file: &str| {
        let line = fs::read_to_string(format!("/proc/{pid}/task/{thread}/{file}"));
        line.unwrap_or_else(|error| format!("({error})")).trim_end().replace('\n', "\n      ")
    };
    let (name, wchan, syscall, stack) =
        (read("comm"), read("wchan"), read("syscall"), read("stack"));
    writeln!(text, "  thread {thread} `{name}` in {wchan}, system call {syscall}\n      {stack}")
        .expect("a string can be written");
}

/// Where the threads of a process are in the program, if there is a debugger and it is allowed to attach.
fn backtraces(pid: u32) -> String {
    let gdb = Command::new("timeout")
        .args(["--kill-after=1", "20", "gdb", "-nx", "-batch", "-p", &pid.to_string()])
        .args(["-ex", "set style enabled off", "-ex", "thread apply all backtrace 24"])
        .env_remove(isolated::MARK)
        .output();
    let output = gdb.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output)
        .lines()
        .filter(|line| line.starts_with("Thread ") || line.starts_with('#'))
        .fold(String::new(), |text, line| text + "    " + line + "\n")
}

/// Kills all processes of the test: those below `root`, and orphans that carry its mark. `root` itself goes last.
pub(crate) fn kill_tree(root: u32, mark: &str) {
    // A process may fork while we look, so look until nobody is left who could; one that sleeps uninterruptibly may take
    // for ever, and then the test has failed anyway.
    let deadline = Deadline::after(Duration::from_secs(10));
    while !deadline.is_past() {
        let alive: Vec<_> = tree(root, mark)
            .into_iter()
            .filter(|process| process.pid != root && !process.is_zombie())
            .collect();
        if alive.is_empty() {
            break;
        }
        alive.iter().for_each(|process| sys::kill(process.pid));
        std::thread::yield_now();
    }
}

fn tree(root: u32, mark: &str) -> Vec<Process> {
    let mut found: Vec<_> = proc::all().into_iter().filter(|process| process.pid == root).collect();
    found.extend(proc::descendants(root));
    for process in proc::with_environment(&format!("{}={mark}", isolated::MARK)) {
        if !found.iter().any(|known| known.pid == process.pid) {
            found.push(process);
        }
    }
    found
}
