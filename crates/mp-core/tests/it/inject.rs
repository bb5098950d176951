//! A fault at every system call of a pool's life: of the parent, of the fork server, of a worker.
//!
//! Here a sample of them; `MP_INJECT=all cargo test -p mp-core --test it inject -- --nocapture` takes all.

use std::time::Duration;

use mp_core::{Pool, StartMethod, TaskError};
use mp_testkit::{
    Failure, Fault,
    Fault::{Fail, Kill},
    Victim::{self, Operator, Standing, Started},
    inject_each, isolated_for,
};

use crate::METHODS;

/// All points take some minutes.
const LIMIT: Duration = Duration::from_secs(1800);

/// How many points of each kind, unless the environment says otherwise.
const POINTS: usize = 4;

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// Create, map, submit, close, join.
fn life(method: StartMethod) -> Result<(), String> {
    let pool = Pool::builder().workers(2).start_method(method).build().map_err(text)?;
    let squares = pool.map(|n: u64| n * n, 0..10).map_err(text)?;
    assert!(squares.into_iter().eq((0..10).map(|n| n * n)));
    let task = pool.submit(|n: u64| n + 1, 41).map_err(text)?;
    pool.close();
    let joined = pool.join().map_err(text);
    // Once the pool is joined every task has its outcome.
    assert_eq!(task.get().map_err(text)?, 42);
    joined
}

/// Create, submit, drop.
fn dropped(method: StartMethod) -> Result<(), String> {
    let pool = Pool::builder().workers(1).start_method(method).build().map_err(text)?;
    let task = pool.submit(|n: u64| n + 1, 41).map_err(text)?;
    drop(pool);
    match task.get() {
        Ok(result) => assert_eq!(result, 42),
        // It had not begun.
        Err(TaskError::Cancelled) => {}
        Err(error) => return Err(text(error)),
    }
    Ok(())
}

fn life_by_fork_server() -> Result<(), String> {
    life(METHODS[0])
}

fn life_by_spawn() -> Result<(), String> {
    life(METHODS[1])
}

fn dropped_by_fork_server() -> Result<(), String> {
    dropped(METHODS[0])
}

/// Starts the fork server and the thread that watches processes.
fn warm_up() {
    dropped_by_fork_server().unwrap();
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

/// The fork server has made the first worker ahead.
const WARM: [(Victim, &str); 4] = [
    (Operator, "parent"),
    (Standing(0), "server"),
    (Standing(1), "first worker"),
    (Started(0), "second worker"),
];
const FRESH: [(Victim, &str); 3] =
    [(Operator, "parent"), (Started(0), "first worker"), (Started(1), "second worker")];

#[test]
fn kill_at_each_call_of_a_pool() {
    isolated_for(LIMIT, || meet("pool", Kill, &WARM, warm_up, life_by_fork_server));
}

#[test]
fn kill_at_each_call_of_a_spawned_pool() {
    isolated_for(LIMIT, || meet("spawned pool", Kill, &FRESH, || {}, life_by_spawn));
}

#[test]
fn kill_at_each_call_of_a_dropped_pool() {
    isolated_for(LIMIT, || meet("dropped pool", Kill, &WARM[..3], warm_up, dropped_by_fork_server));
}

#[test]
fn failing_calls_of_a_pool() {
    isolated_for(LIMIT, || {
        Failure::ALL.iter().for_each(|&failure| {
            meet("pool", Fail(failure), &WARM, warm_up, life_by_fork_server);
        });
    });
}

#[test]
fn failing_calls_of_a_spawned_pool() {
    isolated_for(LIMIT, || {
        Failure::ALL.iter().for_each(|&failure| {
            meet("spawned pool", Fail(failure), &FRESH, || {}, life_by_spawn);
        });
    });
}
