//! A program that forks by itself: what its copy may do with the copy of a pool that it has.

use std::{sync::mpsc, task::Waker};

use mp_core::{Error, Pool, PoolStats, Queue, Task, TaskError, ThreadPool, executor::as_completed};
use mp_testkit::{fork_child, isolated};

use crate::{
    LONG, block_on,
    odd_users::{eventually, poll_once},
    warm_up,
};

/// Of a copy that has been refused all this, or else tells what not.
fn exit_code(refused: &[bool]) -> i32 {
    let all = refused.iter().all(|refused| *refused);
    if !all {
        println!("{refused:?}");
    }
    i32::from(!all)
}

#[test]
fn a_copy_of_a_pool_ends_nothing() {
    isolated(|| {
        warm_up();
        let ends: [fn(Pool) -> bool; 4] = [
            |pool| {
                drop(pool);
                true
            },
            |pool| pool.join().is_err(),
            |pool| pool.terminate().is_err(),
            |pool| pool.shutdown(false, true).is_err(),
        ];
        for end in ends {
            let mut pool = Some(Pool::new(1).unwrap());
            let worker = pool.as_ref().unwrap().pids();
            let copy = fork_child(|| i32::from(!end(pool.take().unwrap())));
            assert!(copy.wait_timeout(LONG).is_ok_and(|status| status.success()));
            let pool = pool.unwrap();
            assert_eq!(pool.map(|n: u32| n, 0..3).unwrap(), [0, 1, 2]);
            assert_eq!(pool.pids(), worker);
            pool.join().unwrap();
        }
    });
}

/// What a copy would take out of the rings would be missing in the pool.
#[test]
fn a_copy_of_a_pool_takes_no_tasks() {
    isolated(|| {
        warm_up();
        let pool = Pool::new(1).unwrap();
        let gate = Queue::bounded(9).unwrap();
        let wait = |gate: Queue<u32>| gate.get().unwrap();
        let submit = |_| pool.submit(wait, gate.clone()).unwrap();
        let mut tasks: Vec<_> = (0..5).map(submit).collect();
        let is_refused = |error: Option<Error>| {
            error.is_some_and(|error| error.to_string().contains("the parent process's"))
        };
        let double: fn(u32) -> u32 = |n| 2 * n;
        let shared: fn(&u32, u32) -> u32 = |n, m| n * m;
        let mut outcomes = pool.imap(double, [7, 8]).unwrap();
        let copy = fork_child(|| {
            let refused = [
                is_refused(pool.map(double, [1]).err()),
                is_refused(pool.map_with(&1, shared, [1]).err()),
                is_refused(pool.map_async(double, [1]).err()),
                is_refused(pool.imap(double, [1]).err()),
                is_refused(pool.imap_unordered(double, [1]).err()),
                is_refused(pool.job().imap_with(&1, shared, [1]).err()),
                is_refused(pool.submit(double, 1).err()),
                is_refused(pool.apply(double, 1).err()),
                is_refused(pool.resize(2).err()),
                // And what it has is not for the copy to wait for, or to cancel.
                !tasks[1].cancel(),
                is_refused(tasks.remove(0).get().err().map(Error::from)),
                pool.cancel_queued() == 0,
                is_refused(outcomes.next().and_then(Result::err).map(Error::from)),
                outcomes.next().is_none(),
                pool.pids().is_empty() && pool.stats() == PoolStats::default(),
            ];
            pool.close();
            exit_code(&refused)
        });
        assert!(copy.wait_timeout(LONG).is_ok_and(|status| status.success()));
        (0..5).for_each(|n| gate.put(n).unwrap());
        assert!(tasks.into_iter().map(|task| task.get().unwrap()).eq(0..5));
        assert!(outcomes.map(Result::unwrap).eq([14, 16]));
        assert_eq!(pool.map(double, 0..3).unwrap(), [0, 2, 4]);
        pool.join().unwrap();
    });
}

/// One that was polled before the fork and one that was not, a callback, and one beside a task that does end.
#[test]
fn a_copy_of_a_task_that_is_awaited_ends() {
    isolated(|| {
        warm_up();
        let (pool, threads) = (Pool::new(1).unwrap(), ThreadPool::new(1).unwrap());
        let gate = Queue::bounded(9).unwrap();
        let wait = |gate: Queue<u32>| gate.get().unwrap();
        let mut tasks: Vec<_> = (0..4).map(|_| pool.submit(wait, gate.clone()).unwrap()).collect();
        assert!(poll_once(&mut tasks[0], Waker::noop()));
        let mut ended = Some(threads.submit(|n: u32| n, 7).unwrap());
        eventually("it ends", || ended.as_ref().unwrap().is_done());
        let is_refused = |outcome: Result<u32, TaskError>| {
            outcome.is_err_and(|error| error.to_string().contains("the parent process's"))
        };
        let copy = fork_child(|| {
            let mut some: Vec<_> = tasks.drain(2..).collect();
            some.insert(1, ended.take().unwrap());
            let all: Vec<_> = as_completed(some).map(Task::get).collect();
            let (told, heard) = mpsc::channel();
            let mut theirs = tasks.drain(..);
            let refused = [
                all.len() == 3,
                all.into_iter().filter(|outcome| !matches!(outcome, Ok(7))).all(is_refused),
                is_refused(block_on(theirs.next().unwrap())),
                {
                    theirs.next().unwrap().on_done(move |outcome| told.send(outcome).unwrap());
                    heard.try_recv().is_ok_and(is_refused)
                },
            ];
            exit_code(&refused)
        });
        assert!(copy.wait_timeout(LONG).is_ok_and(|status| status.success()));
        (0..4).for_each(|n| gate.put(n).unwrap());
        assert!(tasks.into_iter().map(block_on).map(Result::unwrap).eq(0..4));
        pool.join().unwrap();
        threads.join().unwrap();
    });
}

/// Which has none of its threads.
#[test]
fn a_copy_of_a_pool_of_threads_runs_nothing() {
    isolated(|| {
        let is_refused = |error: Option<Error>| {
            error.is_some_and(|error| error.to_string().contains("the parent process's"))
        };
        for end in 0..3 {
            let mut pool = Some(ThreadPool::new(2).unwrap());
            let gate = Queue::bounded(9).unwrap();
            let theirs = gate.clone();
            let wait = move |()| -> u32 { theirs.get().unwrap() };
            let submit = |_| pool.as_ref().unwrap().submit(wait.clone(), ()).unwrap();
            let mut tasks: Vec<_> = (0..3).map(submit).collect();
            let copy = fork_child(|| {
                let own = pool.take().unwrap();
                let mut theirs = tasks.drain(..);
                let refused = [
                    is_refused(own.map(|n: u32| n, [1]).err()),
                    is_refused(own.submit(|n: u32| n, 1).err()),
                    is_refused(theirs.next().unwrap().get().err().map(Error::from)),
                    is_refused(block_on(theirs.next().unwrap()).err().map(Error::from)),
                    match end {
                        0 => is_refused(own.join().err()),
                        1 => is_refused(own.shutdown(false, false).err()),
                        _ => {
                            drop(own);
                            true
                        }
                    },
                ];
                let all = refused.iter().all(|refused| *refused);
                if !all {
                    println!("{refused:?}");
                }
                i32::from(!all)
            });
            assert!(copy.wait_timeout(LONG).is_ok_and(|status| status.success()));
            (0..3).for_each(|n| gate.put(n).unwrap());
            assert_eq!(tasks.into_iter().map(|task| task.get().unwrap()).sum::<u32>(), 3);
            pool.unwrap().join().unwrap();
        }
    });
}
