//! The workers of a pool: how they begin and end, how many there are, and what they know of themselves.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hint::black_box,
    process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use mp_core::{Error, Pool, PoolStopped, Queue, TaskError, worker};
use mp_testkit::isolated;
use serde::{Deserialize, Serialize};

use crate::{LONG, warm_up};

crate::methods::for_each_method! {
    a_worker_runs_as_many_tasks_as_it_may,
    replaced_workers_finish_what_a_closed_pool_has,
    a_worker_that_has_grown_too_large_is_replaced,
    workers_end_when_there_is_nothing_to_do_and_come_back,
    a_pool_grows_and_shrinks_while_it_works,
    a_pool_may_shrink_while_a_worker_is_started,
    shrinking_leaves_no_task_behind,
    a_pool_whose_workers_keep_dying_stops,
    workers_that_die_before_any_task_are_no_storm,
    an_exit_hook_runs_once_in_each_worker,
    a_worker_that_replaces_another_has_its_number,
    a_shared_value_is_dropped_when_its_map_ends,
}

/// Looks until `condition` is so; there is no event for it.
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < end, "{what}");
        thread::yield_now();
    }
}

fn a_worker_runs_as_many_tasks_as_it_may() {
    let builder = Pool::builder().workers(1);
    let pool = builder.max_tasks_per_child(3).build().unwrap();
    let pids: Vec<u32> = (0..9).map(|_| pool.apply(|()| process::id(), ()).unwrap()).collect();
    let different: HashSet<_> = pids.iter().collect();
    assert_eq!(different.len(), 3, "{pids:?}");
    assert!(pids.chunks(3).all(|pids| pids.iter().all(|pid| *pid == pids[0])), "{pids:?}");
    for chunk in [1, 7, 50] {
        let builder = Pool::builder().workers(3).chunk_size(chunk);
        let pool = builder.max_tasks_per_child(10).build().unwrap();
        let pids = pool.map(|_: u32| process::id(), 0..100).unwrap();
        let mut counts = HashMap::new();
        pids.iter().for_each(|pid| *counts.entry(pid).or_insert(0) += 1);
        assert!(counts.len() >= 10 && counts.values().all(|&count| count <= 10), "{counts:?}");
        pool.join().unwrap();
    }
}

fn replaced_workers_finish_what_a_closed_pool_has() {
    let pool = Pool::builder().workers(3).max_tasks_per_child(1).build().unwrap();
    let tasks: Vec<_> = (0..30u32).map(|n| pool.submit(|n: u32| n, n).unwrap()).collect();
    pool.close();
    pool.join().unwrap();
    assert!(tasks.into_iter().map(|task| task.get().unwrap()).eq(0..30));
}

fn a_worker_that_has_grown_too_large_is_replaced() {
    let builder = Pool::builder().workers(1).max_memory_per_child(128 << 20);
    let pool = builder.build().unwrap();
    let keep = |mib: usize| {
        worker::with_state(Vec::new, |kept: &mut Vec<Vec<u8>>| {
            kept.push(black_box(vec![1; mib << 20]));
        });
        process::id()
    };
    let first = pool.apply(keep, 1).unwrap();
    let same = pool.apply(keep, 200).unwrap();
    assert_eq!(first, same);
    eventually("it is replaced", || pool.apply(keep, 0).unwrap() != first);
    let stats = pool.stats();
    assert_eq!((stats.retired, stats.deaths), (1, 0), "{stats:?}");
    assert!(stats.workers[0].memory.unwrap() < 128 << 20);
}

fn workers_end_when_there_is_nothing_to_do_and_come_back() {
    let idle = Duration::from_millis(30);
    let pool = Pool::builder().workers(2).idle_timeout(idle).build().unwrap();
    for _ in 0..3 {
        // Before the tasks, so before they have nothing to do.
        let start = Instant::now();
        assert!(pool.map(|n: u32| n, 0..50).unwrap().into_iter().eq(0..50));
        eventually("they end", || pool.pids().is_empty());
        assert!(start.elapsed() >= idle);
        assert_eq!(pool.submit(|n: u32| n, 3).unwrap().get_timeout(LONG).unwrap(), 3);
    }
    assert_eq!(pool.stats().deaths, 0);
    eventually("they end", || pool.pids().is_empty());
    pool.join().unwrap();
}

fn a_pool_grows_and_shrinks_while_it_works() {
    let pool = Pool::builder().workers(1).chunk_size(3).build().unwrap();
    let spin = |n: u64| (0..5_000).fold(n, |sum, k| black_box(sum ^ k));
    for (n, outcome) in (0..).zip(pool.imap(spin, 0..3_000u64).unwrap()) {
        assert_eq!(outcome.unwrap(), spin(n));
        if n % 100 == 0 {
            pool.resize(1 + (n / 100) as usize % 5).unwrap();
        }
    }
    for size in [4, 1, 3] {
        pool.resize(size).unwrap();
        assert_eq!(pool.workers(), size);
        eventually("they are as many", || pool.pids().len() == size);
        let ids: HashSet<_> = pool.stats().workers.iter().map(|worker| worker.id).collect();
        assert_eq!(ids, (0..size).collect());
        assert_eq!(pool.apply(|n: u8| n, 1).unwrap(), 1);
    }
    assert_eq!(pool.stats().deaths, 0);
    pool.join().unwrap();
}

/// The worker that was being started at that moment is one too many.
fn a_pool_may_shrink_while_a_worker_is_started() {
    let pool = Pool::new(1).unwrap();
    for round in 0..30 {
        pool.resize(3).unwrap();
        // A new time each round.
        (0..round * 16).for_each(|_| thread::yield_now());
        pool.resize(1).unwrap();
        eventually("one is left", || pool.pids().len() == 1);
    }
    assert_eq!(pool.apply(|n: u8| n, 1).unwrap(), 1);
}

fn shrinking_leaves_no_task_behind() {
    let pool = Pool::new(2).unwrap();
    let (started, gate) = (Queue::bounded(8).unwrap(), Queue::bounded(8).unwrap());
    let wait = |(started, gate): (Queue<u8>, Queue<u8>)| {
        started.put(0).unwrap();
        gate.get().unwrap()
    };
    let held: Vec<_> =
        (0..2).map(|_| pool.submit(wait, (started.clone(), gate.clone())).unwrap()).collect();
    (0..2).for_each(|_| assert!(started.get().is_ok()));
    let queued: Vec<_> = (0..100u32).map(|n| pool.submit(|n: u32| n, n).unwrap()).collect();
    pool.resize(1).unwrap();
    (0..2).for_each(|n| gate.put(n).unwrap());
    assert!(queued.into_iter().map(|task| task.get().unwrap()).eq(0..100));
    held.into_iter().for_each(|task| assert!(task.get().is_ok()));
    eventually("one is left", || pool.pids().len() == 1);
}

fn a_pool_whose_workers_keep_dying_stops() {
    let builder = Pool::builder().workers(2).max_restarts(3, LONG);
    let pool = builder.build().unwrap();
    let outcomes: Vec<_> =
        pool.imap(|_: u32| -> u32 { process::abort() }, 0..50).unwrap().collect();
    let died = outcomes.iter().filter(|end| matches!(end, Err(TaskError::WorkerDied(_))));
    // At the fourth death the other worker may be dying as well. Tasks that wait at that moment are not run.
    assert!((4..=5).contains(&died.count()), "{outcomes:?}");
    assert!(matches!(outcomes.last(), Some(Err(TaskError::Stopped(_)))), "{outcomes:?}");
    let error = pool.apply(|n: u8| n, 1).unwrap_err();
    assert!(matches!(error, Error::Stopped(PoolStopped::Broken(_))), "{error}");
    assert!(error.to_string().contains("SIGABRT"), "{error}");
    assert!(pool.join().is_err());
}

fn workers_that_die_before_any_task_are_no_storm() {
    let orders = Queue::bounded(64).unwrap();
    let die_on_order = |orders: Queue<u8>| {
        thread::spawn(move || orders.get().map(|_| process::abort()));
    };
    let builder = Pool::builder().workers(2).initializer(die_on_order, orders.clone());
    let pool = builder.unwrap().build().unwrap();
    (0..30).for_each(|_| orders.put(0).unwrap());
    // Without a task, which would be something that they have done.
    eventually("the pool gives up", || pool.imap(|n: u8| n, []).is_err());
    assert!(orders.len() >= 20, "{} orders are left", orders.len());
    assert!(pool.join().is_err());
}

fn an_exit_hook_runs_once_in_each_worker() {
    let tells = Queue::bounded(64).unwrap();
    let tell = |tells: Queue<(Option<usize>, u32)>| {
        worker::with_state(|| 0u32, |tasks| tells.put((worker::id(), *tasks)).unwrap());
    };
    let builder = Pool::builder().workers(3).chunk_size(1);
    let pool = builder.exit_hook(tell, tells.clone()).unwrap().build().unwrap();
    let count = |_: u32| worker::with_state(|| 0u32, |tasks| *tasks += 1);
    pool.map(count, 0..60).unwrap();
    pool.join().unwrap();
    let told: BTreeMap<_, _> = std::iter::from_fn(|| tells.try_get().ok()).collect();
    assert!(told.keys().copied().eq([Some(0), Some(1), Some(2)]), "{told:?}");
    assert_eq!(told.values().sum::<u32>(), 60, "{told:?}");
    let hook: fn(()) = |()| panic!("cannot tidy up");
    let pool = Pool::builder().workers(2).exit_hook(hook, ()).unwrap().build().unwrap();
    assert_eq!(pool.apply(|n: u8| n, 1).unwrap(), 1);
    let error = pool.join().unwrap_err();
    assert!(error.to_string().contains("cannot tidy up"), "{error}");
}

fn a_worker_that_replaces_another_has_its_number() {
    let pool = Pool::new(2).unwrap();
    for pid in pool.pids() {
        let process = mp_testkit::Watched::new(pid).unwrap();
        assert!(process.signal(mp_core::Signal::KILL.as_raw()) && process.wait_dead(LONG));
        eventually("it is replaced", || {
            let ids = pool.stats().workers.into_iter().map(|worker| worker.id);
            ids.eq(0..2) && !pool.pids().contains(&pid)
        });
    }
    assert_eq!(worker::id(), None);
}

fn a_shared_value_is_dropped_when_its_map_ends() {
    #[derive(Serialize, Deserialize)]
    struct Loud(Queue<u32>);
    impl Drop for Loud {
        fn drop(&mut self) {
            self.0.put(process::id()).unwrap();
        }
    }
    let drops = Queue::bounded(8).unwrap();
    let pool = Pool::builder().workers(2).chunk_size(1).build().unwrap();
    let loud = Loud(drops.clone());
    let pids: HashSet<u32> =
        pool.map_with(&loud, |_, _: u32| process::id(), 0..100).unwrap().into_iter().collect();
    // Without another task.
    let dropped: HashSet<_> = pids.iter().map(|_| drops.get_timeout(LONG).unwrap()).collect();
    assert_eq!(dropped, pids);
}

#[test]
fn statistics_tell_who_did_what() {
    isolated(|| {
        warm_up();
        let pool = Pool::builder().workers(2).chunk_size(5).build().unwrap();
        let spin = |n: u64| (0..50_000).fold(n, |sum, k| black_box(sum ^ k));
        pool.map(spin, 0..500).unwrap();
        let stats = pool.stats();
        assert_eq!((stats.tasks, stats.queued, stats.deaths), (500, 0, 0), "{stats:?}");
        assert_eq!(stats.workers.iter().map(|worker| worker.tasks).sum::<u64>(), 500);
        assert_eq!(stats.workers.iter().map(|worker| worker.busy).sum::<Duration>(), stats.busy);
        assert!(stats.busy > Duration::from_millis(5), "{stats:?}");
        for worker in &stats.workers {
            assert!(worker.memory.unwrap() > 100 << 10, "{stats:?}");
        }
        assert!(pool.apply(|()| -> () { process::abort() }, ()).is_err());
        let stats = pool.stats();
        assert_eq!((stats.tasks, stats.deaths), (500, 1), "{stats:?}");
    });
}

#[test]
fn a_serial_pool_runs_tasks_here() {
    isolated(|| {
        static INITIALIZED: AtomicU32 = AtomicU32::new(0);
        let builder =
            Pool::builder().serial().initializer(|n: u32| INITIALIZED.store(n, Relaxed), 7);
        let exit: fn(u32) = |n| INITIALIZED.store(n, Relaxed);
        let pool = builder.unwrap().exit_hook(exit, 8).unwrap().build().unwrap();
        assert_eq!(INITIALIZED.load(Relaxed), 7);
        let pids = pool.map(|_: u32| (process::id(), worker::id()), 0..100).unwrap();
        assert!(pids.into_iter().all(|pid| pid == (process::id(), Some(0))));
        let shared = Queue::bounded(64).unwrap();
        pool.map_with(&shared, |queue: &Queue<u32>, n| queue.put(n).unwrap(), 0..9).unwrap();
        assert_eq!(shared.len(), 9);
        let odd = |n: u32| if n.is_multiple_of(2) { panic!("{n} is even") } else { n };
        let outcomes: Vec<_> = pool.imap_unordered(odd, 0..10).unwrap().collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 5);
        let put = |(queue, n): (Queue<u32>, u32)| queue.put(n).unwrap();
        let task = pool.submit(put, (shared.clone(), 3)).unwrap();
        assert!(task.is_done() && !task.cancel());
        task.get().unwrap();
        assert_eq!((shared.len(), pool.pids().len()), (10, 0));
        pool.join().unwrap();
        assert_eq!(INITIALIZED.load(Relaxed), 8);
    });
}
