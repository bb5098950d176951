//! Killed at every instruction of an operation (in builds without optimization: at a sample of them).

use std::time::Duration;

use mp_testkit::{Point, isolated_for, sweep, sweep_sample};

use crate::{Backend, Posix, Queue, SystemV, text};

/// A step is two switches between processes, of which a busy machine makes few.
const LIMIT: Duration = Duration::from_secs(600);

#[test]
fn posix_send() {
    isolated_for(LIMIT, || send(&Posix));
}

#[test]
fn posix_recv() {
    isolated_for(LIMIT, || recv(&Posix));
}

#[test]
fn sysv_send() {
    isolated_for(LIMIT, || send(&SystemV));
}

#[test]
fn sysv_recv() {
    isolated_for(LIMIT, || recv(&SystemV));
}

type State = Box<dyn Queue>;

fn at_every_instruction(
    setup: impl Fn() -> State,
    operation: impl Fn(&State),
    oracle: impl Fn(State, Point),
) {
    let report = match cfg!(debug_assertions) {
        true => sweep_sample(40, setup, operation, oracle),
        false => sweep(setup, operation, oracle),
    };
    assert!(report.killed > 0);
}

/// The message is there whole or not at all, and there once `send` has returned.
fn send(backend: &dyn Backend) {
    at_every_instruction(
        || backend.fresh(),
        |queue| queue.send(&text(7)).unwrap(),
        |queue, point| match queue.try_recv() {
            Ok(message) => assert_eq!(message, text(7)),
            Err(error) => assert!(!point.complete, "{error}"),
        },
    );
}

/// The message is there or with the dead, and not in both places; the next one is not touched.
fn recv(backend: &dyn Backend) {
    at_every_instruction(
        || {
            let queue = backend.fresh();
            queue.send(&text(1)).unwrap();
            queue.send(&text(2)).unwrap();
            queue
        },
        |queue| assert_eq!(queue.recv().unwrap(), text(1)),
        |queue, point| {
            if queue.len() == 2 {
                assert!(!point.complete);
                assert_eq!(queue.recv().unwrap(), text(1));
            }
            assert_eq!(queue.recv().unwrap(), text(2));
        },
    );
}
