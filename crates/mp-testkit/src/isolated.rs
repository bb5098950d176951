use std::{
    any::{self, Any},
    env,
    fs::File,
    io::{self, Read, Seek, Write},
    os::unix::process::{CommandExt, ExitStatusExt, parent_id},
    panic::{self, AssertUnwindSafe},
    process::{self, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use mp_os::{Deadline, PidFd};

use crate::{audit, child, names, proc, sys, watchdog};

/// The environment of an isolated test: its name,
pub(crate) const TEST: &str = "MP_TESTKIT_TEST";
/// its mark, which no other test has: `mp`, the process of the harness, `x` and a number,
pub(crate) const MARK: &str = "MP_TESTKIT_MARK";
/// and in a process made by `exec_child`, the function to call
pub(crate) const ROLE: &str = "MP_TESTKIT_ROLE";
/// and its arguments, a line each.
pub(crate) const ARGUMENTS: &str = "MP_TESTKIT_ARGUMENTS";

/// What an isolated test reports that has passed and left nothing behind.
const PASSED: &str = "passed";

/// Runs `body`, the whole body of a `#[test]`, in a process of its own, for a minute at most.
///
/// The process is this test executable once more, told to run this one test; so nothing but the harness itself is shared
/// with other tests, also where `cargo test` runs them as threads. The caller fails
///
/// * with the message of `body`'s panic, or the signal that killed the process,
/// * where `body` left something behind: a child, a zombie, a descriptor, a thread, a shared mapping, an object with a name,
/// * where it does not end in time: with what each of its processes and threads was waiting for, and then they are killed.
///
/// Orphaned grandchildren are adopted by the process, so they are seen too. Its output is shown as the harness shows a
/// test's output. The closure must be written directly in the `#[test]` function: its type tells the test's name.
#[track_caller]
pub fn isolated<F: FnOnce()>(body: F) {
    isolated_for(Duration::from_secs(60), body);
}

/// [`isolated`], with another time limit.
#[track_caller]
pub fn isolated_for<F: FnOnce()>(limit: Duration, body: F) {
    let test = test_name::<F>();
    match Place::here(&test) {
        Place::Harness => supervise(&test, limit),
        Place::Test => run(body),
        Place::Role => play(),
    }
}

/// Declares that what exists now is no leak: a server that a library keeps for the rest of the process, for example.
///
/// Another child of the same name may have taken the place of one of these in the end, and another descriptor of the same
/// file, or of a socket, that of a descriptor: as many as now are no leak.
///
/// # Panics
///
/// Outside an isolated test.
pub fn accept_existing() {
    audit::begin();
}

/// [`accept_existing`], once the children of this process are these, by the names that `ps -o comm` shows: a server that
/// starts others, say, which come a little later.
///
/// # Panics
///
/// Outside an isolated test.
pub fn accept_children(names: &[&str]) {
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let expected = sorted(names.iter().copied().map(str::to_owned).collect());
    // No event tells; where it never comes to that, the watchdog shows what is there instead.
    while sorted(proc::children(process::id()).into_iter().map(|child| child.name).collect())
        != expected
    {
        std::thread::yield_now();
    }
    audit::begin();
}

/// The mark of the isolated test that this process is part of.
pub(crate) fn mark() -> Option<String> {
    env::var(MARK).ok()
}

/// Which of the three processes of an isolated test this is.
enum Place {
    Harness,
    Test,
    Role,
}

impl Place {
    fn here(test: &str) -> Self {
        if env::var(TEST).as_deref() != Ok(test) {
            return Self::Harness;
        }
        if env::var_os(ROLE).is_some() {
            return Self::Role;
        }
        // A descendant that executes the test again by itself inherits the environment, but is not the harness's child.
        let started_by = mark().and_then(|mark| mark[2..].split('x').next()?.parse().ok());
        if started_by == Some(parent_id()) { Self::Test } else { Self::Harness }
    }
}

/// The harness's name of the test whose closure is `F`: its path without the crate and without the closure.
fn test_name<F>() -> String {
    let path = any::type_name::<F>();
    let path = path.split_once("::{{closure}}").map_or(path, |(test, _)| test);
    path.split_once("::").map_or(path, |(_, name)| name).to_owned()
}

/// This executable again, to run `test` only.
pub(crate) fn command(test: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0(env::args_os().next().unwrap_or_default())
        .args([test, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"])
        // What the harness itself prints; the test goes on to standard error.
        .stdout(Stdio::null());
    command
}

#[track_caller]
fn supervise(test: &str, limit: Duration) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mark = format!("mp{}x{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let output = sys::memory_file("output").expect("a nameless file can be made");
    let report = sys::memory_file("report").expect("a nameless file can be made");
    let share =
        |file: &File| Stdio::from(file.try_clone().expect("a descriptor can be duplicated"));
    let mut command = command(test);
    sys::own_namespaces(&mut command);
    let mut child = command
        .env(TEST, test)
        .env(MARK, &mark)
        .stdin(share(&report))
        .stderr(share(&output))
        .spawn()
        .expect("this executable can be started again");
    let pidfd = PidFd::open(child.id()).ok();
    let in_time = child::wait_dead(child.id(), pidfd.as_ref(), Deadline::after(limit));
    let evidence = (!in_time).then(|| watchdog::evidence(child.id(), &mark));
    watchdog::kill_tree(child.id(), &mark);
    child.kill().expect("a child that is not reaped can be killed");
    let status = child.wait().expect("a child can be reaped");
    audit::remove_marked(&mark);
    forward(&contents(output));
    if let Some(evidence) = evidence {
        panic!("`{test}` did not end in {limit:?}:\n{evidence}");
    }
    if let Err(message) = verdict(test, status, &contents(report)) {
        panic!("{message}");
    }
}

fn contents(mut file: File) -> String {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("a nameless file can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Prints what the test printed, so that the harness captures it; what was skipped goes past the harness.
fn forward(output: &str) {
    for line in output.lines().filter(|line| line.starts_with(names::SKIPPED)) {
        io::stderr()
            .write_all(format!("{line}\n").as_bytes())
            .expect("standard error can be written");
    }
    print!("{output}");
}

fn verdict(test: &str, status: ExitStatus, report: &str) -> Result<(), String> {
    match (status.signal(), report) {
        (None, PASSED) if status.success() => Ok(()),
        (None, "") if status.success() => Err(format!(
            "`{test}` did not run to its end: it exited by itself, or its closure is not written in the test function"
        )),
        (_, "") => Err(format!("the process of `{test}` died: {status}")),
        (_, PASSED) => {
            Err(format!("the process of `{test}` passed, and died as it exited: {status}"))
        }
        (_, message) => Err(message.to_owned()),
    }
}

/// The process of the test itself.
#[expect(
    clippy::exit,
    reason = "the harness must not print its own verdict, nor go on to other tests"
)]
fn run(body: impl FnOnce()) -> ! {
    let mut report = sys::take_stdin().expect("the harness passes a file as standard input");
    sys::merge_stdout_into_stderr().expect("output can be redirected");
    sys::adopt_orphans_and_die_with_parent(parent_id()).expect("the kernel has both prctls");
    audit::begin();
    let outcome = panic::catch_unwind(AssertUnwindSafe(body));
    let leaks = match audit::leaks() {
        leaks if leaks.is_empty() => String::new(),
        leaks => format!("the test left something behind:\n  {}", leaks.join("\n  ")),
    };
    let message = match outcome {
        Err(payload) => format!("{}\n{leaks}", panic_message(&*payload)),
        Ok(()) if leaks.is_empty() => PASSED.to_owned(),
        Ok(()) => leaks,
    };
    report.write_all(message.as_bytes()).expect("a nameless file can be written");
    process::exit(i32::from(message != PASSED));
}

/// The process of `exec_child`.
#[expect(
    clippy::exit,
    reason = "the harness must not print its own verdict, nor go on to other tests"
)]
fn play() -> ! {
    sys::merge_stdout_into_stderr().expect("output can be redirected");
    let role =
        env::var(ROLE).ok().and_then(|offset| offset.parse().ok()).expect("a role is a number");
    let arguments = env::var(ARGUMENTS).unwrap_or_default();
    let arguments: Vec<_> = arguments.split_terminator('\n').map(str::to_owned).collect();
    let role = sys::code_at(role);
    process::exit(panic::catch_unwind(|| role(arguments)).unwrap_or(101));
}

fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_a_closure_tells_the_name_of_its_test() {
        fn name_of<F: Fn()>(_: F) -> String {
            test_name::<F>()
        }
        let expected = "isolated::tests::the_type_of_a_closure_tells_the_name_of_its_test";
        assert_eq!(name_of(|| {}), expected);
        let inner = || name_of(|| {});
        assert_eq!(inner(), expected);
    }
}
