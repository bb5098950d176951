//! What pools of threads and of processes have in common: the same tests on both.

use std::{io, thread, time::Duration, time::Instant};

use mp_core::{
    Error, GetTimeoutError, Pool, PoolStopped, Queue, Task, TaskError, ThreadPool,
    executor::Executor, worker,
};
use mp_testkit::isolated;

use crate::{LONG, warm_up};

fn pass((gate, n): (Queue<u32>, u32)) -> u32 {
    n + gate.get().unwrap()
}

/// Busy for this many milliseconds.
fn spin(millis: u64) {
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(millis) {
        thread::yield_now();
    }
}

fn is_closed<R: std::fmt::Debug>(refused: mp_core::Result<R>) -> bool {
    matches!(refused, Err(Error::Stopped(PoolStopped::Closed)))
}

fn counts_and_ends(pool: impl Executor) {
    assert_eq!(pool.map(|n: u32| n + 1, 0..50).unwrap().len(), 50);
    pool.map_async(spin, [2, 3]).unwrap().get().unwrap();
    let stats = pool.stats();
    assert_eq!((stats.tasks, stats.queued, stats.workers.len()), (52, 0, pool.workers()));
    assert_eq!(stats.workers.iter().map(|worker| worker.tasks).sum::<u64>(), 52);
    assert!(stats.busy >= Duration::from_millis(5), "{stats:?}");

    let gate = Queue::bounded(1).unwrap();
    let task = pool.submit(pass, (gate.clone(), 1)).unwrap();
    assert_eq!(pool.stats().queued, 1);
    let start = Instant::now();
    let timeout = Duration::from_millis(30);
    let Err(pool) = pool.join_timeout(timeout) else { panic!("its task has not ended") };
    assert!(start.elapsed() >= timeout);
    assert!(is_closed(pool.submit(spin, 1)));
    gate.put(1).unwrap();
    assert!(matches!(pool.join_timeout(LONG), Ok(Ok(()))));
    assert_eq!(task.get().unwrap(), 2);
}

#[test]
fn statistics_and_a_join_in_time() {
    isolated(|| {
        warm_up();
        counts_and_ends(Pool::new(2).unwrap());
        counts_and_ends(ThreadPool::new(2).unwrap());
    });
}

/// The state of a worker.
struct Level(u32);

fn set_up((told, level): (Queue<u32>, u32)) {
    worker::with_state(|| Level(level), |_| ());
    told.put(level).unwrap();
}

fn level(plus: u32) -> u32 {
    plus + worker::with_state(|| Level(0), |level| level.0)
}

/// The same text for either pool.
macro_rules! hooks {
    ($pool:ident) => {{
        let told = Queue::bounded(8).unwrap();
        let builder = $pool::builder().workers(2).initializer(set_up, (told.clone(), 7)).unwrap();
        let exit = |(told, word): (Queue<u32>, u32)| told.put(word).unwrap();
        let pool = builder.exit_hook(exit, (told.clone(), 9)).unwrap().build_timeout(LONG).unwrap();
        assert_eq!([told.try_get().unwrap(), told.try_get().unwrap()], [7, 7]);
        assert!(pool.map(level, 0..20).unwrap().into_iter().eq(7..27));
        assert!(told.is_empty());
        pool.join().unwrap();
        assert_eq!([told.try_get().unwrap(), told.try_get().unwrap()], [9, 9]);
        assert!(told.is_empty());

        let fails = |word: u32| panic!("hook {word}");
        let built = $pool::builder().workers(2).initializer(fails, 3).unwrap().build();
        let Err(Error::Stopped(PoolStopped::Broken(why))) = built else { panic!("{built:?}") };
        assert!(why.contains("hook 3"), "{why}");
        let pool = $pool::builder().workers(1).exit_hook(fails, 4).unwrap().build().unwrap();
        assert_eq!(pool.apply(level, 5).unwrap(), 5);
        let Err(Error::Task(TaskError::Panicked(panic))) = pool.join() else { panic!("no error") };
        assert_eq!(panic.message, "hook 4");

        let gate = Queue::<u32>::bounded(1).unwrap();
        let hangs = |gate: Queue<u32>| drop(gate.get());
        let builder = $pool::builder().workers(1).initializer(hangs, gate.clone()).unwrap();
        let built = builder.build_timeout(Duration::from_millis(30));
        let Err(Error::Os(error)) = built else { panic!("{built:?}") };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        gate.close();

        assert!($pool::builder().workers(0).build().is_err());
    }};
}

#[test]
fn hooks_and_what_workers_keep() {
    isolated(|| {
        warm_up();
        hooks!(Pool);
        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let before = threads();
        hooks!(ThreadPool);
        // Those whose pool was never made end by themselves.
        let start = Instant::now();
        while threads() > before {
            assert!(start.elapsed() < LONG, "a thread does not end");
            thread::yield_now();
        }
    });
}

#[test]
fn the_rest_of_a_map_is_cancelled() {
    isolated(|| {
        let pool = ThreadPool::new(1).unwrap();
        let (started, gate) = (Queue::bounded(9).unwrap(), Queue::<u32>::bounded(9).unwrap());
        let (tell, wait) = (started.clone(), gate.clone());
        let hold = move |n: u32| {
            tell.put(n).unwrap();
            wait.get().unwrap()
        };
        let task = pool.map_async(hold, 0..9).unwrap();
        started.get_timeout(LONG).unwrap();
        assert_eq!(pool.stats().queued, 9);
        assert_eq!(pool.cancel_queued(), 8);
        gate.put(1).unwrap();
        assert!(matches!(task.get(), Err(TaskError::Cancelled)));
        assert!(started.is_empty(), "the others have not begun");
        assert_eq!((pool.stats().queued, pool.stats().tasks), (0, 1));
        let recent = pool.submit(|n: u32| n, 1).unwrap();
        assert_eq!(recent.get().unwrap(), 1, "later tasks are not meant");

        let (tell, wait) = (started.clone(), gate.clone());
        let running = pool.submit(
            move |n: u32| {
                tell.put(n).unwrap();
                wait.get().unwrap()
            },
            1,
        );
        started.get_timeout(LONG).unwrap();
        let queued = pool.submit(|n: u32| n, 1).unwrap();
        assert_eq!(pool.stats().queued, 2);
        assert!(queued.cancel());
        assert_eq!(pool.stats().queued, 1);
        gate.put(3).unwrap();
        assert_eq!(running.unwrap().get().unwrap(), 3);
        pool.terminate().unwrap();
    });
}

fn says_how_many_it_cancels(pool: impl Executor) {
    let (started, gate) = (Queue::bounded(1).unwrap(), Queue::bounded(1).unwrap());
    let wait = |(started, gate): (Queue<u32>, Queue<u32>)| {
        started.put(1).unwrap();
        gate.get().unwrap()
    };
    let running = pool.submit(wait, (started.clone(), gate.clone())).unwrap();
    started.get_timeout(LONG).unwrap();
    let single = pool.submit(level, 1).unwrap();
    let map = pool.map_async(level, 0..9).unwrap();
    assert_eq!((pool.cancel_queued(), pool.cancel_queued()), (10, 0));
    gate.put(3).unwrap();
    assert_eq!(running.get().unwrap(), 3);
    assert!(matches!(single.get(), Err(TaskError::Cancelled)));
    assert!(matches!(map.get(), Err(TaskError::Cancelled)));

    // Also while they begin.
    for _ in 0..20 {
        let tasks: Vec<_> = (0..100).map(|n| pool.submit(level, n).unwrap()).collect();
        let cancelled = pool.cancel_queued();
        let outcomes = tasks.into_iter().map(|task| task.get_timeout(LONG));
        let is_cancelled = |outcome: &Result<_, _>| {
            matches!(outcome, Err(GetTimeoutError::Task(TaskError::Cancelled)))
        };
        assert_eq!(outcomes.filter(is_cancelled).count() as u64, cancelled);
    }
    pool.join().unwrap();
}

#[test]
fn what_is_cancelled_is_counted() {
    isolated(|| {
        warm_up();
        says_how_many_it_cancels(Pool::new(1).unwrap());
        says_how_many_it_cancels(ThreadPool::new(1).unwrap());
    });
}

fn knows_what_runs(pool: impl Executor) {
    let (started, gate) = (Queue::bounded(1).unwrap(), Queue::bounded(3).unwrap());
    let wait = |(started, gate): (Queue<u32>, Queue<u32>)| {
        started.put(1).unwrap();
        gate.get().unwrap()
    };
    let ended = pool.submit(level, 1).unwrap();
    while !ended.is_done() {
        thread::yield_now();
    }
    let first = pool.submit(wait, (started.clone(), gate.clone())).unwrap();
    let second = pool.submit(wait, (started.clone(), gate.clone())).unwrap();
    let cancelled = pool.submit(wait, (started.clone(), gate.clone())).unwrap();
    started.get_timeout(LONG).unwrap();
    assert!(cancelled.cancel());
    let running = [&ended, &first, &second, &cancelled].map(Task::is_running);
    assert_eq!(running, [false, true, false, false]);
    gate.put(1).unwrap();
    started.get_timeout(LONG).unwrap();
    assert!(!first.is_running() && second.is_running());
    gate.put(2).unwrap();
    assert_eq!((first.get().unwrap(), second.get().unwrap()), (1, 2));

    let pairs = [0, 1].map(|_| (started.clone(), gate.clone()));
    let map = pool.map_async(wait, pairs).unwrap();
    started.get_timeout(LONG).unwrap();
    assert!(map.is_running());
    gate.put_many([3, 4]).unwrap();
    started.get_timeout(LONG).unwrap();
    assert_eq!(map.get().unwrap(), [3, 4]);
    pool.join().unwrap();
}

#[test]
fn a_task_that_runs_is_said_to() {
    isolated(|| {
        warm_up();
        knows_what_runs(Pool::new(1).unwrap());
        knows_what_runs(ThreadPool::new(1).unwrap());
    });
}
