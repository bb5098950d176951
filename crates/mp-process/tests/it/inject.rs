//! A fault at every system call of a start and a join: of the parent, of the fork server, of the child.
//!
//! Here a sample of them; `MP_INJECT=all cargo test -p mp-process --test it inject -- --nocapture` takes all.

use std::time::Duration;

use mp_process::{Builder, StartMethod, fork};
use mp_testkit::{
    Failure, Fault,
    Fault::{Fail, Kill},
    Victim::{self, Operator, Standing, Started},
    inject_each, isolated_for, wait_asleep,
};

use crate::lifetime::{children, eventually};

/// All points take some minutes.
const LIMIT: Duration = Duration::from_secs(1200);

/// How many points of each kind, unless the environment says otherwise.
const POINTS: usize = 4;

/// Any error is as good as the result; a wrong result is not.
fn answer(result: Result<u32, mp_process::ProcessError>) -> Result<(), String> {
    result.map(|answer| assert_eq!(answer, 42)).map_err(|error| error.to_string())
}

fn by_fork_server() -> Result<(), String> {
    let child = Builder::new().start_method(StartMethod::Forkserver).spawn(|n: u32| n + 1, 41);
    answer(child.map_err(|error| error.to_string())?.join())
}

fn by_spawn() -> Result<(), String> {
    let child = Builder::new().start_method(StartMethod::Spawn).spawn(|n: u32| n + 1, 41);
    answer(child.map_err(|error| error.to_string())?.join())
}

fn by_fork() -> Result<(), String> {
    let n = 41;
    answer(fork(move || n + 1).map_err(|error| error.to_string())?.join())
}

/// Starts the fork server, and waits until it has made a child ahead.
fn warm_up() {
    by_fork_server().unwrap();
    eventually("there is a child made ahead, which waits for its task", || {
        let spare = children().into_iter().find(|(_, name)| name == "mp-spare");
        spare.inspect(|(pid, _)| wait_asleep(*pid, pid)).is_some()
    });
}

fn meet(
    name: &str,
    fault: Fault,
    victims: &[(Victim, &str)],
    prepare: fn(),
    operation: fn() -> Result<(), String>,
) {
    inject_each(name, fault, victims, POINTS, prepare, operation);
}

const FIRST: [(Victim, &str); 3] =
    [(Operator, "parent"), (Started(0), "server"), (Started(1), "child")];
/// The fork server has made the child ahead. When it makes the next one the operation may be over.
const LATER: [(Victim, &str); 3] =
    [(Operator, "parent"), (Standing(0), "server"), (Standing(1), "child")];
const DIRECT: [(Victim, &str); 2] = [(Operator, "parent"), (Started(0), "child")];

#[test]
fn kill_at_each_call_of_the_first_start() {
    isolated_for(LIMIT, || meet("first start", Kill, &FIRST, || {}, by_fork_server));
}

#[test]
fn kill_at_each_call_of_a_later_start() {
    isolated_for(LIMIT, || meet("later start", Kill, &LATER, warm_up, by_fork_server));
}

#[test]
fn kill_at_each_call_of_a_spawn() {
    isolated_for(LIMIT, || meet("spawn", Kill, &DIRECT, || {}, by_spawn));
}

#[test]
fn kill_at_each_call_of_a_fork() {
    isolated_for(LIMIT, || meet("fork", Kill, &DIRECT, || {}, by_fork));
}

#[test]
fn failing_calls_of_the_first_start() {
    isolated_for(LIMIT, || {
        Failure::ALL
            .iter()
            .for_each(|&failure| meet("first start", Fail(failure), &FIRST, || {}, by_fork_server));
    });
}

#[test]
fn failing_calls_of_a_later_start() {
    isolated_for(LIMIT, || {
        Failure::ALL.iter().for_each(|&failure| {
            meet("later start", Fail(failure), &LATER, warm_up, by_fork_server)
        });
    });
}

#[test]
fn failing_calls_of_a_spawn() {
    isolated_for(LIMIT, || {
        Failure::ALL
            .iter()
            .for_each(|&failure| meet("spawn", Fail(failure), &DIRECT, || {}, by_spawn));
    });
}

#[test]
fn failing_calls_of_a_fork() {
    isolated_for(LIMIT, || {
        Failure::ALL
            .iter()
            .for_each(|&failure| meet("fork", Fail(failure), &DIRECT, warm_up, by_fork));
    });
}
