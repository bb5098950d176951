//! Tasks that are stopped: by a time limit, by whoever gave them, with the pool.

use std::{
    fs,
    panic::{self, AssertUnwindSafe},
    process, thread,
    time::{Duration, Instant},
};

use mp_core::{Error, Pool, PoolStopped, Queue, Signal, TaskError};
use mp_testkit::{Watched, isolated, wait_for_kill};

use crate::{LONG, warm_up};

crate::methods::for_each_method! {
    a_task_that_takes_too_long_fails_alone,
    a_limit_holds_though_nobody_waits,
    a_limit_begins_with_the_task_and_not_in_the_queue,
    a_worker_that_is_stopped_before_it_begins_is_replaced,
    a_running_task_can_be_cancelled,
    a_queued_task_that_is_cancelled_never_runs,
    a_dropped_iterator_leaves_nothing_to_do,
    a_shutdown_cancels_what_has_not_begun,
    a_shutdown_without_waiting_finishes_all_the_same,
    terminate_is_prompt_with_much_left_to_do,
}

const LIMIT: Duration = Duration::from_millis(80);

/// Runs `test` with longer and longer limits until it is true: a machine that has no time for a task for that long makes it
/// false, whatever the pool does.
fn patiently(test: impl Fn(Duration) -> bool) {
    assert!(
        [1, 4, 16, 64].into_iter().any(|times| test(times * LIMIT)),
        "however long it may take"
    );
}

fn stuck_at((n, stuck): (u32, u32)) -> u32 {
    if n == stuck {
        wait_for_kill();
    }
    n
}

fn a_task_that_takes_too_long_fails_alone() {
    patiently(|limit| {
        let builder = Pool::builder().workers(2).chunk_size(10);
        let pool = builder.retries(3).task_timeout(limit).build().unwrap();
        let start = Instant::now();
        let outcomes = pool.imap(stuck_at, (0..100).map(|n| (n, 44))).unwrap();
        let mut failed = Vec::new();
        for (n, outcome) in (0..).zip(outcomes) {
            match outcome {
                Ok(value) => assert_eq!(value, n),
                Err(TaskError::TimedOut(after)) if after == limit => failed.push(n),
                Err(error) => panic!("{n}: {error}"),
            }
        }
        assert!(failed.contains(&44) && start.elapsed() >= limit);
        let stats = pool.stats();
        assert_eq!((stats.timeouts, stats.deaths), (failed.len() as u64, 0), "{stats:?}");
        let next = pool.job().timeout(LONG).map(|n: u32| n, 0..9).unwrap();
        next.len() == 9 && failed == [44]
    });
}

fn a_limit_holds_though_nobody_waits() {
    let pool = Pool::new(1).unwrap();
    let stuck = pool.job().timeout(LIMIT).submit(stuck_at, (1, 1)).unwrap();
    let ran = Queue::bounded(1).unwrap();
    let next = pool.submit(|ran: Queue<u8>| ran.put(1).unwrap(), ran.clone()).unwrap();
    assert_eq!(ran.get_timeout(LONG).unwrap(), 1, "the one behind it runs");
    assert!(matches!(stuck.get(), Err(TaskError::TimedOut(LIMIT))));
    next.get().unwrap();
}

fn a_limit_begins_with_the_task_and_not_in_the_queue() {
    patiently(|limit| {
        let pool = Pool::builder().workers(1).task_timeout(limit).build().unwrap();
        let never = Queue::<u8>::bounded(1).unwrap();
        let wait = |(never, time): (Queue<u8>, Duration)| never.get_timeout(time).is_err();
        let argument = || (never.clone(), limit / 4);
        let start = Instant::now();
        let tasks: Vec<_> = (0..8).map(|_| pool.submit(wait, argument()).unwrap()).collect();
        let ends: Vec<_> = tasks.into_iter().map(|task| task.get()).collect();
        assert!(start.elapsed() > limit, "together they took longer");
        ends.into_iter().all(|end| end.is_ok())
            && pool.map(wait, (0..8).map(|_| argument())).is_ok()
    });
}

/// Stops a process, and waits until it has.
fn stop(pid: u32) -> Watched {
    let process = Watched::new(pid).unwrap();
    assert!(process.signal(Signal::STOP.as_raw()));
    let state = || fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let start = Instant::now();
    while !state().contains("State:\tT") {
        assert!(start.elapsed() < LONG, "it has not stopped");
        thread::yield_now();
    }
    process
}

fn a_worker_that_is_stopped_before_it_begins_is_replaced() {
    patiently(|limit| {
        let pool = Pool::builder().workers(1).task_timeout(limit).build().unwrap();
        // Before its first task, and when it has had some.
        let ends: Vec<_> = (0..3u32)
            .map(|n| {
                let stopped = stop(pool.pids()[0]);
                let start = Instant::now();
                let end = pool.submit(|n: u32| n, n).unwrap().get();
                assert!(start.elapsed() >= limit, "it had its time");
                assert!(stopped.wait_dead(LONG), "it is replaced");
                end.is_ok_and(|value| value == n)
            })
            .collect();
        assert_eq!(pool.stats().deaths, 0);
        ends.into_iter().all(|end| end)
    });
}

fn wait_at((started, gate): (Queue<u32>, Queue<u32>)) -> u32 {
    started.put(process::id()).unwrap();
    gate.get().unwrap()
}

fn a_running_task_can_be_cancelled() {
    let pool = Pool::new(1).unwrap();
    let (started, gate) = (Queue::bounded(8).unwrap(), Queue::bounded(8).unwrap());
    let running = pool.submit(wait_at, (started.clone(), gate.clone())).unwrap();
    let behind: Vec<_> = (0..200u32).map(|n| pool.submit(|n: u32| n, n).unwrap()).collect();
    let pid = started.get().unwrap();
    assert!(running.cancel());
    assert!(matches!(running.get(), Err(TaskError::Cancelled)));
    assert!(behind.into_iter().map(|task| task.get().unwrap()).eq(0..200));
    assert_ne!(pool.apply(|()| process::id(), ()).unwrap(), pid, "the worker is another");
    let stats = pool.stats();
    assert_eq!((stats.cancelled, stats.deaths, stats.queued), (1, 0, 0), "{stats:?}");
}

fn a_queued_task_that_is_cancelled_never_runs() {
    let pool = Pool::new(1).unwrap();
    let (started, gate) = (Queue::bounded(8).unwrap(), Queue::bounded(8).unwrap());
    let first = pool.submit(wait_at, (started.clone(), gate.clone())).unwrap();
    started.get().unwrap();
    // They are in the worker's ring already.
    let tasks = [(); 3].map(|()| pool.submit(wait_at, (started.clone(), gate.clone())).unwrap());
    assert!(tasks[1].cancel() && tasks[1].is_done());
    assert!(!tasks[1].cancel(), "once is enough");
    (0..3).for_each(|n| gate.put(n).unwrap());
    first.get().unwrap();
    let [before, cancelled, after] = tasks;
    assert!(matches!(cancelled.get(), Err(TaskError::Cancelled)));
    assert!(before.get().is_ok() && after.get().is_ok());
    assert_eq!(started.len(), 2);
    assert_eq!(pool.stats().cancelled, 0, "no worker was killed for it");
}

#[test]
fn what_cancel_says_is_what_happens() {
    isolated(|| {
        warm_up();
        let pool = Pool::new(2).unwrap();
        let mut cancelled = 0;
        for n in 0..300u32 {
            let task = pool.submit(|n: u32| n, n).unwrap();
            if n % 3 == 0 {
                // Some have been taken by then, and some have ended.
                (0..n % 50).for_each(|_| std::thread::yield_now());
            }
            let was = task.cancel();
            cancelled += u32::from(was);
            match task.get() {
                Ok(value) => assert!(value == n && !was, "{n}"),
                Err(TaskError::Cancelled) => assert!(was, "{n}"),
                Err(error) => panic!("{error}"),
            }
        }
        println!("{cancelled} of 300 were cancelled");
        assert!(pool.map(|n: u32| n, 0..100).unwrap().into_iter().eq(0..100));
        assert_eq!(pool.stats().deaths, 0);
    });
}

fn a_dropped_iterator_leaves_nothing_to_do() {
    let pool = Pool::builder().workers(1).chunk_size(1).build().unwrap();
    let (started, gate) = (Queue::bounded(500).unwrap(), Queue::bounded(500).unwrap());
    let items = (0..400).map(|_| (started.clone(), gate.clone()));
    let mut outcomes = pool.imap(wait_at, items).unwrap();
    gate.put(1).unwrap();
    assert_eq!(outcomes.next().unwrap().unwrap(), 1);
    drop(outcomes);
    gate.put(2).unwrap();
    assert_eq!(pool.apply(|n: u8| n, 1).unwrap(), 1);
    assert!(started.len() <= 2, "{} have run", started.len());
}

fn a_shutdown_cancels_what_has_not_begun() {
    let pool = Pool::new(2).unwrap();
    let (started, gate) = (Queue::bounded(64).unwrap(), Queue::bounded(64).unwrap());
    let mut tasks: Vec<_> =
        (0..50).map(|_| pool.submit(wait_at, (started.clone(), gate.clone())).unwrap()).collect();
    (0..2).for_each(|_| assert!(started.get().is_ok()));
    let last = tasks.pop().unwrap();
    thread::scope(|scope| {
        let shutdown = scope.spawn(|| pool.shutdown(true, true));
        assert!(matches!(last.get(), Err(TaskError::Cancelled)));
        // Two go on, and as many as had begun when the others were cancelled.
        (0..50).for_each(|n| gate.put(n).unwrap());
        shutdown.join().unwrap().unwrap();
    });
    let ended: Vec<_> = tasks.into_iter().map(|task| task.get()).collect();
    let cancelled = ended.iter().filter(|end| matches!(end, Err(TaskError::Cancelled))).count();
    let done = ended.iter().filter(|end| end.is_ok()).count();
    assert_eq!(cancelled + done, 49);
    assert!((2..=4).contains(&done), "{done} were done");
}

fn a_shutdown_without_waiting_finishes_all_the_same() {
    let pool = Pool::new(2).unwrap();
    let (started, gate) = (Queue::bounded(64).unwrap(), Queue::bounded(64).unwrap());
    let task = pool.submit(wait_at, (started.clone(), gate.clone())).unwrap();
    let more: Vec<_> = (0..500u32).map(|n| pool.submit(|n: u32| n, n).unwrap()).collect();
    started.get().unwrap();
    pool.shutdown(false, false).unwrap();
    gate.put(7).unwrap();
    assert_eq!(task.get_timeout(LONG).unwrap(), 7);
    assert!(more.into_iter().map(|task| task.get().unwrap()).eq(0..500));
}

#[test]
fn an_iterator_that_panics_leaves_the_pool_usable() {
    isolated(|| {
        warm_up();
        let pool = Pool::builder().workers(2).chunk_size(2).build().unwrap();
        let items = |last: u32| (0..20).inspect(move |&n| assert!(n != last, "no more items"));
        for last in [0, 4, 19] {
            let all = AssertUnwindSafe(|| pool.map(|n: u32| n, items(last)));
            assert!(panic::catch_unwind(all).is_err());
            let one_by_one =
                AssertUnwindSafe(|| pool.imap(|n: u32| n, items(last)).unwrap().count());
            assert!(panic::catch_unwind(one_by_one).is_err());
            assert!(pool.map(|n: u32| n, 0..50).unwrap().into_iter().eq(0..50));
        }
    });
}

fn terminate_is_prompt_with_much_left_to_do() {
    let pool = Pool::new(3).unwrap();
    let (started, gate) = (Queue::bounded(9).unwrap(), Queue::bounded(9).unwrap());
    let wait = (started.clone(), gate.clone());
    let running: Vec<_> = (0..3).map(|_| pool.submit(wait_at, wait.clone()).unwrap()).collect();
    let queued: Vec<_> = (0..10_000u32).map(|n| pool.submit(|n: u32| n, n).unwrap()).collect();
    (0..3).for_each(|_| assert!(started.get().is_ok()));
    let start = Instant::now();
    pool.terminate().unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
    for task in running {
        assert!(matches!(task.get(), Err(TaskError::WorkerDied(_))));
    }
    for task in queued {
        assert!(matches!(task.get(), Err(TaskError::Stopped(PoolStopped::Terminated))));
    }
}

#[test]
fn no_size_is_refused() {
    isolated(|| {
        warm_up();
        let pool = Pool::new(1).unwrap();
        assert!(matches!(pool.resize(0), Err(Error::Os(_))));
        assert_eq!(pool.workers(), 1);
    });
}
