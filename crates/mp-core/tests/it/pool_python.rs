//! What Python's tests of its pools and executors ask for and no other file here shows. The numbers are those of
//! `docs/conformance-python/pool.md`.

use std::{
    collections::HashSet,
    fs, process,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc,
    },
    time::{Duration, Instant},
};

use mp_core::{Error, GetTimeoutError, Pool, PoolBuilder, PoolStopped, Queue, TaskError, executor};
use mp_testkit::{exec_child, isolated};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{LONG, METHODS, warm_up};

/// Runs `test` with a builder of two workers for every start method of pools.
pub(crate) fn each_method(test: impl Fn(fn() -> PoolBuilder)) {
    warm_up();
    test(|| Pool::builder().workers(2).start_method(METHODS[0]));
    test(|| Pool::builder().workers(2).start_method(METHODS[1]));
}

#[test]
fn k01_k02_k03_k08_x01_the_simple_calls() {
    isolated(|| {
        each_method(|builder| {
            let pool = builder().build().unwrap();
            assert_eq!(pool.apply(|(a, b): (u32, u32)| a - b, (5, 2)).unwrap(), 3);
            let chunked = pool.job().chunk_size(20);
            assert!(
                chunked
                    .map(|n: u64| n * n, 0..100)
                    .unwrap()
                    .into_iter()
                    .eq((0..100).map(|n| n * n))
            );
            let products = pool.map(|(a, b): (u32, u32)| a * b, [(2, 3), (4, 5)]).unwrap();
            assert_eq!(products, [6, 20]);
            assert_eq!(pool.submit(|n: u32| n + 1, 1).unwrap().get().unwrap(), 2);
        });
    });
}

#[test]
fn k06_k15_nothing_to_do_is_done_at_once() {
    isolated(|| {
        each_method(|builder| {
            let pool = builder().chunk_size(1).build().unwrap();
            assert_eq!(pool.map(|n: u32| n, []).unwrap(), []);
            assert_eq!(pool.imap(|n: u32| n, []).unwrap().count(), 0);
            assert_eq!(pool.imap_unordered(|n: u32| n, []).unwrap().count(), 0);
            assert_eq!(pool.map_async(|n: u32| n, []).unwrap().get_timeout(LONG).unwrap(), []);
        });
    });
}

#[test]
fn k09_u03_a_wait_for_a_result_ends_in_time_and_the_task_goes_on() {
    isolated(|| {
        each_method(|builder| {
            let pool = builder().build().unwrap();
            let gate = Queue::<u8>::bounded(1).unwrap();
            let task = pool.submit(|gate: Queue<u8>| gate.get().unwrap(), gate.clone()).unwrap();
            let (short, start) = (Duration::from_millis(60), Instant::now());
            let Err(GetTimeoutError::TimedOut(task)) = task.get_timeout(short) else {
                panic!("it waits at the gate")
            };
            assert!(start.elapsed() >= short);
            gate.put(5).unwrap();
            assert_eq!(task.get_timeout(LONG).unwrap(), 5);
        });
    });
}

#[test]
fn k10_k12_x02_every_chunk_size() {
    isolated(|| {
        each_method(|builder| {
            let pool = builder().build().unwrap();
            for size in [3, 6, 40, 100, 5_000] {
                let job = pool.job().chunk_size(size);
                let ordered: Vec<u64> =
                    job.imap(|n: u64| n * 2, 0..1_000).unwrap().map(Result::unwrap).collect();
                assert!(ordered.into_iter().eq((0..1_000).map(|n| n * 2)));
                let unordered: HashSet<u64> = job
                    .imap_unordered(|n: u64| n * 2, 0..1_000)
                    .unwrap()
                    .map(Result::unwrap)
                    .collect();
                assert_eq!(unordered.len(), 1_000);
            }
        });
    });
}

#[test]
fn k16_k21_h01_a_closed_pool_takes_no_tasks() {
    isolated(|| {
        each_method(|builder| {
            let pool = builder().build().unwrap();
            pool.close();
            let is_closed = |error| matches!(error, Error::Stopped(PoolStopped::Closed));
            assert!(is_closed(pool.submit(|n: u8| n, 1).unwrap_err()));
            assert!(is_closed(pool.apply(|n: u8| n, 1).unwrap_err()));
            assert!(is_closed(pool.map(|n: u8| n, [1]).unwrap_err()));
            assert!(is_closed(pool.map_async(|n: u8| n, [1]).unwrap_err()));
            assert!(is_closed(pool.imap(|n: u8| n, [1]).unwrap_err()));
            pool.join().unwrap();
        });
    });
}

#[test]
fn k17_x11_d05_an_error_tells_where_it_happened() {
    isolated(|| {
        each_method(|builder| {
            let error = builder().build().unwrap().apply(|n: u32| 1 / n, 0).unwrap_err();
            let Error::Task(TaskError::Panicked(panic)) = error else { panic!("{error}") };
            assert_eq!(panic.message, "attempt to divide by zero");
            assert!(panic.location.unwrap().contains("pool_python.rs"));
        });
    });
}

#[test]
fn k19_a_map_waits_for_all_though_large_errors_came_first() {
    isolated(|| {
        each_method(|builder| {
            let pool = builder().chunk_size(1).build().unwrap();
            let done = Queue::bounded(64).unwrap();
            let fail = |done: &Queue<u32>, n: u32| {
                done.put(n).unwrap();
                assert!(n >= 2, "{}", "x".repeat(1 << 20));
            };
            let error = pool.map_with(&done, fail, 0..20).unwrap_err();
            let Error::Task(TaskError::Panicked(panic)) = error else { panic!("{error}") };
            assert_eq!(panic.message.len(), 1 << 20);
            assert_eq!(done.len(), 20);
            pool.join().unwrap();
        });
    });
}

/// Counts those there are in this process.
#[derive(Debug)]
struct Counted(u32);

static THERE: AtomicU32 = AtomicU32::new(0);

impl Counted {
    fn new(n: u32) -> Self {
        THERE.fetch_add(1, Relaxed);
        Self(n)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        THERE.fetch_sub(1, Relaxed);
    }
}

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u32::deserialize(deserializer).map(Self::new)
    }
}

#[test]
fn k20_x08_arguments_and_results_are_dropped_on_both_sides() {
    isolated(|| {
        each_method(|builder| {
            let pool = builder().workers(1).build().unwrap();
            let same = |counted: Counted| Counted::new(counted.0 + 1);
            let result = pool.apply(same, Counted::new(1)).unwrap();
            assert_eq!((result.0, THERE.load(Relaxed)), (2, 1), "the argument is gone");
            drop(result);
            for outcome in pool.imap(same, (0..50).map(Counted::new)).unwrap() {
                drop(outcome.unwrap());
            }
            assert_eq!(THERE.load(Relaxed), 0);
            drop(pool.submit(same, Counted::new(1)).unwrap());
            let tasks: Vec<_> =
                (0..9).map(|n| pool.submit(same, Counted::new(n)).unwrap()).collect();
            for task in executor::as_completed(tasks) {
                drop(task.get().unwrap());
            }
            assert_eq!(THERE.load(Relaxed), 0);
            assert_eq!(pool.apply(|()| THERE.load(Relaxed), ()).unwrap(), 0, "in the worker");
        });
    });
}

#[test]
fn k28_h02_a_forgotten_pool_hangs_no_exit() {
    isolated(|| {
        mp_testkit::expect_orphans();
        let forget = |_: Vec<String>| {
            let pool = Pool::new(2).unwrap();
            let gate = Queue::<u8>::bounded(1).unwrap();
            std::mem::forget(pool.submit(|gate: Queue<u8>| gate.get().unwrap(), gate).unwrap());
            assert_eq!(pool.apply(|n: i32| n, 7).unwrap(), 7);
            std::mem::forget(pool);
            7
        };
        assert_eq!(exec_child(forget, &[]).wait().code(), Some(7));
    });
}

#[test]
fn k13_k27_x09_sizes_that_make_no_sense_are_refused() {
    isolated(|| {
        each_method(|builder| {
            let error = builder().workers(0).build().unwrap_err();
            assert_eq!(error.io_kind(), Some(std::io::ErrorKind::InvalidInput));
            assert_eq!(builder().workers(3).build().unwrap().pids().len(), 3);
        });
    });
}

/// How many children this process has, beside the server and the one that it makes ahead, which has its name at first.
fn children() -> usize {
    let mine = format!("PPid:\t{}\n", process::id());
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let status = processes.filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok());
    let is_worker = |status: &String| {
        status.contains(&mine)
            && !["mp-spare", "mp-forkserver"].iter().any(|name| status.contains(name))
    };
    status.filter(is_worker).count()
}

#[test]
fn k29_a_pool_that_cannot_start_leaves_no_worker() {
    isolated(|| {
        warm_up();
        let start = |method: usize| {
            let builder = || Pool::builder().start_method(METHODS[method]);
            builder().workers(1).build().unwrap().join().unwrap();
            let before = children();
            let error = builder().workers(60).build().unwrap_err().to_string();
            assert_eq!(children(), before);
            let pool = builder().workers(4).build().unwrap();
            assert_eq!(pool.map(|n: u8| n, 0..9).unwrap().len(), 9);
            error
        };
        for method in 0..METHODS.len() {
            let builder = mp_process::Builder::new().limit(mp_process::Limit::OpenFiles, 128);
            let error = builder.spawn(start, method).unwrap().join().unwrap();
            assert!(error.starts_with("failed to"), "{error}");
        }
    });
}

#[test]
fn k30_i01_an_initializer_runs_once_in_each_worker() {
    isolated(|| {
        each_method(|builder| {
            let starts = Queue::bounded(64).unwrap();
            let tell = |starts: Queue<u32>| starts.put(process::id()).unwrap();
            let pool = builder().initializer(tell, starts.clone()).unwrap().build().unwrap();
            pool.map(|n: u32| n, 0..100).unwrap();
            let told: Vec<u32> = std::iter::from_fn(|| starts.try_get().ok()).collect();
            assert_eq!(
                told.iter().copied().collect::<HashSet<_>>(),
                pool.pids().into_iter().collect()
            );
            assert_eq!(told.len(), 2);
        });
    });
}

#[test]
fn x05_x06_an_infinite_iterator_is_taken_as_far_as_it_is_wanted() {
    isolated(|| {
        each_method(|builder| {
            let pool = builder().build().unwrap();
            let taken = std::cell::Cell::new(0);
            let all = (0u64..).inspect(|_| taken.set(taken.get() + 1));
            let job = pool.job().max_in_flight(6);
            let first: Vec<u64> =
                job.imap(|n: u64| n, all).unwrap().take(100).map(Result::unwrap).collect();
            assert!(first.into_iter().eq(0..100));
            assert!(taken.get() <= 106, "{}", taken.get());
            pool.join_timeout(LONG).unwrap().unwrap();
        });
    });
}

#[test]
fn x07_d11_h04_many_small_tasks_and_then_the_end() {
    isolated(|| {
        each_method(|builder| {
            let pool = builder().build().unwrap();
            let tasks: Vec<_> =
                (0..1_000u32).map(|n| pool.submit(|n: u32| n, n).unwrap()).collect();
            pool.shutdown(true, false).unwrap();
            assert!(tasks.into_iter().map(|task| task.get().unwrap()).eq(0..1_000));
        });
    });
}

#[test]
fn x14_x15_there_are_as_many_workers_as_asked_for() {
    isolated(|| {
        each_method(|builder| {
            let pool = builder().workers(3).build().unwrap();
            let gate = Queue::bounded(64).unwrap();
            let wait = |gate: Queue<u32>| {
                gate.get().unwrap();
                process::id()
            };
            let tasks: Vec<_> = (0..45).map(|_| pool.submit(wait, gate.clone()).unwrap()).collect();
            assert_eq!(pool.pids().len(), 3);
            (0..45).for_each(|n| gate.put(n).unwrap());
            let pids: HashSet<_> = tasks.into_iter().map(|task| task.get().unwrap()).collect();
            assert_eq!(pids, pool.pids().into_iter().collect());
        });
    });
}

#[test]
fn h07_a_cancelled_task_holds_no_shutdown_up() {
    isolated(|| {
        each_method(|builder| {
            let pool = builder().workers(1).build().unwrap();
            let gate = Queue::<u8>::bounded(1).unwrap();
            let tasks: Vec<_> = (0..20)
                .map(|_| pool.submit(|gate: Queue<u8>| gate.get().unwrap(), gate.clone()).unwrap())
                .collect();
            assert!(tasks.iter().all(|task| task.cancel()));
            pool.join_timeout(Duration::from_secs(5)).unwrap().unwrap();
            let outcomes = tasks.into_iter().map(|task| task.get());
            assert!(outcomes.into_iter().all(|end| matches!(end, Err(TaskError::Cancelled))));
        });
    });
}

#[test]
fn h10_workers_killed_while_idle_hold_no_shutdown_up() {
    isolated(|| {
        each_method(|builder| {
            let pool = builder().build().unwrap();
            assert_eq!(pool.apply(|n: u8| n, 1).unwrap(), 1);
            for pid in pool.pids() {
                let worker = mp_testkit::Watched::new(pid).unwrap();
                assert!(worker.signal(mp_core::Signal::KILL.as_raw()));
            }
            pool.join_timeout(LONG).unwrap().unwrap();
        });
    });
}

#[test]
fn u01_u02_every_state_of_a_task() {
    isolated(|| {
        each_method(|builder| {
            let pool = builder().workers(1).build().unwrap();
            let gate = Queue::<u8>::bounded(1).unwrap();
            let wait = |gate: Queue<u8>| gate.get().unwrap();
            let running = pool.submit(wait, gate.clone()).unwrap();
            let queued = pool.submit(|n: u8| n, 1).unwrap();
            assert!(!running.is_done() && !running.has_failed());
            assert!(
                !queued.is_done() && queued.cancel() && queued.is_done() && queued.has_failed()
            );
            gate.put(3).unwrap();
            let done = executor::wait([running], executor::WaitFor::AllDone).done.remove(0);
            assert!(done.is_done() && !done.has_failed() && !done.cancel());
            let (sender, receiver) = mpsc::channel();
            done.on_done(move |outcome| sender.send(outcome.unwrap()).unwrap());
            assert_eq!(receiver.try_recv(), Ok(3), "at once");

            // One that panics keeps the next from nothing.
            let called = Arc::new(AtomicU32::new(0));
            queued.on_done(|_| panic!("in a callback"));
            let theirs = Arc::clone(&called);
            let next = pool.submit(|n: u32| n, 8).unwrap();
            next.on_done(move |outcome| theirs.store(outcome.unwrap(), Relaxed));
            pool.join().unwrap();
            assert_eq!(called.load(Relaxed), 8);
        });
    });
}
