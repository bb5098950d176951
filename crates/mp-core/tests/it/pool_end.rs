//! How pools begin and end.

use std::{
    process, thread,
    time::{Duration, Instant},
};

use mp_core::{Error, GetTimeoutError, Pool, PoolStopped, Process, Queue, Signal, Task, TaskError};
use mp_testkit::{Watched, exec_child, is_root, isolated, skip};
use nix::unistd::{Uid, setresuid};

use crate::{LONG, block_on, warm_up};

crate::methods::for_each_method! {
    a_closed_pool_finishes_what_it_has,
    join_finishes_what_died_meanwhile,
    join_has_a_deadline,
    terminate_fails_what_is_left,
    a_pool_may_stop_while_a_worker_is_started,
    a_worker_that_cannot_be_killed_is_given_up,
    drop_is_a_bounded_stop,
    an_initializer_runs_in_each_worker,
    an_initializer_that_fails_is_an_error_and_no_storm,
    workers_go_with_a_parent_that_is_killed,
    idle_workers_that_die_are_replaced,
}

fn a_closed_pool_finishes_what_it_has() {
    let pool = Pool::new(2).unwrap();
    let tasks: Vec<_> = (0..200u32).map(|n| pool.submit(|n: u32| n, n).unwrap()).collect();
    pool.close();
    assert!(matches!(pool.submit(|n: u32| n, 1), Err(Error::Stopped(PoolStopped::Closed))));
    assert!(matches!(pool.map(|n: u32| n, [1]), Err(Error::Stopped(PoolStopped::Closed))));
    pool.join().unwrap();
    assert!(tasks.into_iter().map(|task| task.get().unwrap()).eq(0..200));
}

fn join_finishes_what_died_meanwhile() {
    let pool = Pool::builder().workers(2).retries(1).build().unwrap();
    let died = Queue::bounded(8).unwrap();
    let task = |(died, n): (Queue<u32>, u32)| {
        if n == 5 && died.is_empty() {
            died.put(n).unwrap();
            process::abort();
        }
        n
    };
    let tasks: Vec<_> = (0..300).map(|n| pool.submit(task, (died.clone(), n)).unwrap()).collect();
    pool.join().unwrap();
    assert!(tasks.into_iter().map(|task| task.get().unwrap()).eq(0..300));
}

fn join_has_a_deadline() {
    let pool = Pool::new(1).unwrap();
    let gate = Queue::bounded(1).unwrap();
    let task = pool.submit(|gate: Queue<u8>| gate.get().unwrap(), gate.clone()).unwrap();
    let pool = pool.join_timeout(Duration::from_millis(20)).unwrap_err();
    gate.put(4).unwrap();
    pool.join_timeout(LONG).unwrap().unwrap();
    assert_eq!(task.get().unwrap(), 4);
}

/// Keeps a worker busy for ever.
fn hang(started: Queue<u32>) {
    started.put(process::id()).unwrap();
    mp_testkit::wait_for_kill();
}

fn terminate_fails_what_is_left() {
    let pool = Pool::new(1).unwrap();
    let started = Queue::bounded(1).unwrap();
    let running = pool.submit(hang, started.clone()).unwrap();
    let waiting: Vec<_> = (0..300).map(|n| pool.submit(|n: u32| n, n).unwrap()).collect();
    started.get().unwrap();
    pool.terminate().unwrap();
    let error = running.get().unwrap_err();
    assert!(matches!(error, TaskError::WorkerDied(_)), "{error}");
    for (n, task) in waiting.into_iter().enumerate() {
        // A future is told without anybody who waits for it.
        let error = if n % 2 == 0 { task.get() } else { block_on(task) }.unwrap_err();
        assert!(matches!(error, TaskError::Stopped(PoolStopped::Terminated)), "{error}");
    }
}

/// The one that replaces a dead worker was not in the list yet of those to be killed.
fn a_pool_may_stop_while_a_worker_is_started() {
    for round in 0..30 {
        let pool = Pool::new(1).unwrap();
        let worker = Watched::new(pool.pids()[0]).unwrap();
        assert!(worker.signal(Signal::KILL.as_raw()) && worker.wait_dead(LONG));
        // A new time each round.
        (0..round * 16).for_each(|_| thread::yield_now());
        pool.terminate().unwrap();
    }
}

fn a_worker_that_cannot_be_killed_is_given_up() {
    if !is_root() {
        return skip("only root has workers that it may not kill once it is somebody else");
    }
    let ends: [fn(Pool, &Task<u8>); 3] = [
        |pool, task| {
            assert!(task.cancel());
            assert!(pool.join().is_err());
        },
        |pool, _| assert!(pool.terminate().is_err()),
        |pool, _| drop(pool),
    ];
    for end in ends {
        let builder = Pool::builder().workers(1).drop_grace(Duration::from_millis(20));
        let pool = builder.build().unwrap();
        let (started, gate) = (Queue::bounded(1).unwrap(), Queue::bounded(1).unwrap());
        let wait = |(started, gate): (Queue<u8>, Queue<u8>)| {
            started.put(0).unwrap();
            gate.get().unwrap()
        };
        let running = pool.submit(wait, (started.clone(), gate.clone())).unwrap();
        let waiting = pool.submit(|n: u8| n, 1).unwrap();
        let worker = Watched::new(pool.pids()[0]).unwrap();
        started.get().unwrap();
        act_as(65534);
        end(pool, &running);
        for task in [running, waiting] {
            let error = task.get_timeout(LONG).unwrap_err();
            let GetTimeoutError::Task(error) = error else { panic!("no outcome: {error}") };
            // The drop of a pool cancels what waits.
            let is_told = matches!(error, TaskError::Stopped(_) | TaskError::Cancelled);
            assert!(is_told, "{error}");
        }
        act_as(0);
        worker.signal(Signal::KILL.as_raw());
        assert!(worker.wait_dead(LONG));
    }
}

/// Becomes another user, who may become root again.
fn act_as(user: u32) {
    let user = Uid::from_raw(user);
    setresuid(user, user, Uid::from_raw(0)).unwrap();
}

fn drop_is_a_bounded_stop() {
    let grace = Duration::from_millis(100);
    let pool = Pool::builder().workers(2).drop_grace(grace).build().unwrap();
    let started = Queue::bounded(1).unwrap();
    let task = pool.submit(hang, started.clone()).unwrap();
    started.get().unwrap();
    let start = Instant::now();
    drop(pool);
    assert!(start.elapsed() >= grace && start.elapsed() < LONG);
    assert!(matches!(task.get(), Err(TaskError::WorkerDied(_))));
}

fn an_initializer_runs_in_each_worker() {
    static LEVEL: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    use std::sync::atomic::Ordering::Relaxed;
    let set = |level: u32| LEVEL.store(level, Relaxed);
    let pool = Pool::builder().workers(2).initializer(set, 7).unwrap().build().unwrap();
    assert!(
        pool.map(|_: u32| LEVEL.load(Relaxed), 0..50).unwrap().into_iter().all(|level| level == 7)
    );
    // The one that replaces another too.
    let error = pool.apply(|()| -> () { process::abort() }, ()).unwrap_err();
    assert!(matches!(error, Error::Task(TaskError::WorkerDied(_))), "{error}");
    assert!(
        pool.map(|_: u32| LEVEL.load(Relaxed), 0..50).unwrap().into_iter().all(|level| level == 7)
    );
}

fn an_initializer_that_fails_is_an_error_and_no_storm() {
    let starts = Queue::bounded(1_000).unwrap();
    let panics: fn(Queue<u32>) = |starts| {
        starts.put(process::id()).unwrap();
        panic!("no database")
    };
    let dies: fn(Queue<u32>) = |starts| {
        starts.put(process::id()).unwrap();
        process::abort()
    };
    for (initializer, cause) in [(panics, "no database"), (dies, "SIGABRT")] {
        let builder = Pool::builder().workers(3).initializer(initializer, starts.clone()).unwrap();
        let error = builder.build().unwrap_err();
        assert!(matches!(error, Error::Stopped(PoolStopped::Broken(_))), "{error}");
        assert!(error.to_string().contains(cause), "{error}");
        assert!(starts.len() <= 30, "{} starts", starts.len());
    }
}

#[test]
fn two_hundred_workers_leave_nothing() {
    isolated(|| {
        warm_up();
        let pool = Pool::new(200).unwrap();
        assert!(pool.map(|n: u32| n, 0..2_000).unwrap().into_iter().eq(0..2_000));
        assert_eq!(pool.pids().len(), 200);
        pool.join().unwrap();
    });
}

fn workers_go_with_a_parent_that_is_killed() {
    mp_testkit::expect_orphans();
    let pids = Queue::bounded(64).unwrap();
    // A pool in a process of its own, whose workers have children too.
    let parent = |pids: Queue<u32>| {
        let pool = Pool::new(3).unwrap();
        let task = |pids: Queue<u32>| {
            let child = Process::spawn(hang, pids.clone()).unwrap();
            pids.put(process::id()).unwrap();
            child.join().unwrap();
        };
        let tasks: Vec<_> = (0..3).map(|_| pool.submit(task, pids.clone()).unwrap()).collect();
        tasks.into_iter().for_each(|task| task.get().unwrap());
    };
    let parent = Process::spawn(parent, pids.clone()).unwrap();
    let family: Vec<_> =
        (0..6).map(|_| Watched::new(pids.get_timeout(LONG).unwrap()).unwrap()).collect();
    parent.kill().unwrap();
    parent.join().unwrap_err();
    for process in family {
        assert!(process.wait_dead(LONG / 3), "alive long after its parent's death");
    }
}

#[test]
fn a_pool_works_in_a_process_without_a_harness() {
    isolated(|| {
        mp_testkit::expect_orphans();
        let role = |_: Vec<String>| {
            i32::from(Pool::new(2).unwrap().map(|n: u8| n, 0..9).unwrap().len() == 9)
        };
        assert_eq!(exec_child(role, &[]).wait().code(), Some(1));
    });
}

fn idle_workers_that_die_are_replaced() {
    let pool = Pool::new(1).unwrap();
    for _ in 0..20 {
        // The one that was killed in the round before may not have been replaced yet.
        if let Some(worker) = pool.pids().first().copied().and_then(Watched::new) {
            assert!(worker.signal(Signal::KILL.as_raw()) && worker.wait_dead(LONG));
        }
        assert_eq!(pool.apply(|n: u8| n, 3).unwrap(), 3);
    }
}
