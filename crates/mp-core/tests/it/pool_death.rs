//! Workers that die, in all ways there are.

use std::{
    fs,
    hint::black_box,
    path::PathBuf,
    process,
    time::{Duration, Instant},
};

use mp_core::{Error, Pool, ProcessError, Queue, Signal, TaskError};
use mp_testkit::{Watched, isolated, skip};

use crate::{LONG, warm_up};

crate::methods::for_each_method! {
    a_death_fails_its_task_only_and_names_the_cause,
    the_error_comes_soon,
    map_says_the_cause_after_all_tasks_ended,
    retries_run_the_task_again,
    the_out_of_memory_killer_is_named,
}

/// Milliseconds, where nobody else wants the processors.
const SOON: Duration = Duration::from_secs(10);

/// How a task ends its worker.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
enum Way {
    Kill,
    Abort,
    Exit,
    Overflow,
    Segfault,
    Not,
}

const WAYS: [Way; 5] = [Way::Kill, Way::Abort, Way::Exit, Way::Overflow, Way::Segfault];

fn end((way, n): (Way, u32)) -> u32 {
    match way {
        Way::Kill => signal_self(Signal::KILL),
        Way::Abort => process::abort(),
        Way::Exit => process::exit(9),
        Way::Overflow => drop(black_box(overflow(0))),
        Way::Segfault => signal_self(Signal::SEGV),
        Way::Not => {}
    }
    n
}

fn signal_self(signal: Signal) {
    Watched::new(process::id()).unwrap().signal(signal.as_raw());
}

#[expect(unconditional_recursion, reason = "that is the point")]
fn overflow(depth: u64) -> u64 {
    let page = black_box([depth; 512]);
    overflow(depth + 1) + page[0]
}

fn is_cause(way: Way, error: &TaskError) -> bool {
    let TaskError::WorkerDied(cause) = error else { return false };
    match (way, &**cause) {
        (Way::Exit, ProcessError::Exited(9)) => true,
        (_, ProcessError::Signaled { signal, .. }) => match way {
            Way::Kill => *signal == Signal::KILL,
            Way::Abort => *signal == Signal::ABRT,
            // The runtime's guard page handler aborts; without it, the kernel says SIGSEGV.
            Way::Overflow => *signal == Signal::SEGV || *signal == Signal::ABRT,
            Way::Segfault => *signal == Signal::SEGV,
            Way::Exit | Way::Not => false,
        },
        _ => false,
    }
}

fn a_death_fails_its_task_only_and_names_the_cause() {
    for way in WAYS {
        // In the middle of a chunk: the tasks before it and after it must not be lost.
        let pool = Pool::builder().workers(2).chunk_size(10).build().unwrap();
        let tasks = (0..100).map(|n| (if n == 44 { way } else { Way::Not }, n));
        let outcomes: Vec<_> = pool.imap(end, tasks).unwrap().collect();
        assert_eq!(outcomes.len(), 100);
        for (n, outcome) in (0..).zip(outcomes) {
            match outcome {
                Ok(value) => assert_eq!(value, n),
                Err(error) => {
                    assert!(n == 44 && is_cause(way, &error), "{way:?} at {n}: {error}")
                }
            }
        }
        wait_for_workers(&pool, 2);
        assert_eq!(pool.apply(|n: u8| n, 1).unwrap(), 1);
    }
}

/// Waits until the pool has its full number of workers again, all of them alive.
pub(crate) fn wait_for_workers(pool: &Pool, number: usize) {
    let end = Instant::now() + LONG;
    while pool.pids().into_iter().filter(|&pid| Watched::new(pid).is_some()).count() < number {
        assert!(Instant::now() < end, "workers are not replaced");
        std::thread::yield_now();
    }
}

fn the_error_comes_soon() {
    let pool = Pool::new(2).unwrap();
    let (pids, forever) = (Queue::bounded(1).unwrap(), Queue::<u8>::bounded(1).unwrap());
    let wait = |(pids, forever): (Queue<u32>, Queue<u8>)| {
        pids.put(process::id()).unwrap();
        forever.get().unwrap()
    };
    let task = pool.submit(wait, (pids.clone(), forever)).unwrap();
    let pid = pids.get_timeout(LONG).unwrap();
    assert!(Watched::new(pid).unwrap().signal(Signal::KILL.as_raw()));
    let start = Instant::now();
    let error = task.get().unwrap_err();
    assert!(is_cause(Way::Kill, &error), "{error}");
    assert!(start.elapsed() < SOON);
    wait_for_workers(&pool, 2);
}

fn map_says_the_cause_after_all_tasks_ended() {
    let pool = Pool::new(2).unwrap();
    let done = Queue::bounded(64).unwrap();
    let task = |done: &Queue<u32>, n: u32| {
        if n == 3 {
            signal_self(Signal::KILL);
        }
        done.put(n).unwrap();
    };
    let error = pool.map_with(&done, task, 0..20).unwrap_err();
    assert!(matches!(&error, Error::Task(error) if is_cause(Way::Kill, error)), "{error}");
    assert_eq!(done.len(), 19);
}

fn retries_run_the_task_again() {
    let pool = Pool::builder().workers(2).chunk_size(8).retries(2).build().unwrap();
    // Each death leaves a mark; the third try finds two and lives.
    let marks = Queue::bounded(64).unwrap();
    let task = |marks: &Queue<u32>, n: u32| {
        if n == 21 && marks.len() < 2 {
            marks.put(n).unwrap();
            process::abort();
        }
        n
    };
    assert!(pool.map_with(&marks, task, 0..50).unwrap().into_iter().eq(0..50));
    assert_eq!(marks.len(), 2);

    let hopeless = |marks: &Queue<u32>, n: u32| {
        marks.put(n).unwrap();
        process::abort()
    };
    let marks = Queue::bounded(64).unwrap();
    let error = pool.map_with::<_, u32, (), _>(&marks, hopeless, [1]).unwrap_err();
    assert!(matches!(&error, Error::Task(error) if is_cause(Way::Abort, error)), "{error}");
    assert_eq!(marks.len(), 3, "once, and twice again");
}

#[test]
fn every_task_may_die() {
    isolated(|| {
        warm_up();
        let pool = Pool::new(2).unwrap();
        let outcomes = pool.imap(end, (0..100).map(|n| (WAYS[n as usize % 5], n))).unwrap();
        for (n, outcome) in outcomes.enumerate() {
            let error = outcome.unwrap_err();
            assert!(is_cause(WAYS[n % 5], &error), "{error}");
        }
        wait_for_workers(&pool, 2);
    });
}

#[test]
fn a_storm_of_kills_from_outside_gives_each_task_one_outcome() {
    isolated(|| {
        warm_up();
        let pool = Pool::builder().workers(3).build().unwrap();
        let spin = |n: u64| (0..2_000).fold(n, |sum, k| black_box(sum ^ k));
        let mut kills = 0;
        let mut failed = 0;
        for (n, outcome) in (0..).zip(pool.imap(spin, 0..30_000u64).unwrap()) {
            match outcome {
                Ok(value) => assert_eq!(value, spin(n)),
                Err(error) => {
                    assert!(is_cause(Way::Kill, &error), "{error}");
                    failed += 1;
                }
            }
            // One that has done something: a pool whose workers die before that, one after the other, gives up.
            if n % 300 == 0
                && let Some(stats) = pool.stats().workers.iter().find(|worker| worker.tasks > 0)
                && let Some(worker) = Watched::new(stats.pid)
            {
                kills += u32::from(worker.signal(Signal::KILL.as_raw()));
            }
        }
        assert!(failed <= kills, "{failed} failures of {kills} kills");
        println!("{kills} kills, {failed} of 30000 tasks failed");
        wait_for_workers(&pool, 3);
    });
}

/// A memory cgroup of the test's own with a limit, removed when dropped.
pub(crate) struct MemoryGroup(pub(crate) PathBuf);

impl MemoryGroup {
    pub(crate) fn new(limit: u64) -> Option<Self> {
        let name = mp_testkit::unique_name("oom").replace('/', "");
        let v1 = (PathBuf::from("/sys/fs/cgroup/memory").join(&name), "memory.limit_in_bytes");
        let v2 = (PathBuf::from("/sys/fs/cgroup").join(&name), "memory.max");
        [v1, v2].into_iter().find_map(|(folder, file)| {
            fs::create_dir(&folder).ok()?;
            let group = Self(folder);
            let limited = fs::write(group.0.join(file), limit.to_string());
            // Where there is swap, it counts too.
            drop(fs::write(group.0.join("memory.swap.max"), "0"));
            limited.is_ok().then_some(group)
        })
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).unwrap();
    }
}

fn the_out_of_memory_killer_is_named() {
    let Some(group) = MemoryGroup::new(64 << 20) else {
        return skip("no memory cgroup can be made here");
    };
    let pool = Pool::new(2).unwrap();
    let eat = |procs: PathBuf| {
        fs::write(procs, process::id().to_string()).unwrap();
        let mut eaten = Vec::new();
        loop {
            eaten.push(black_box(vec![1u8; 1 << 20]));
        }
    };
    let task = pool.submit::<_, ()>(eat, group.0.join("cgroup.procs")).unwrap();
    let others = pool.map(|n: u32| n, 0..100).unwrap();
    let error = task.get_timeout(LONG).unwrap_err();
    assert!(error.to_string().contains("out-of-memory"), "{error}");
    assert!(others.into_iter().eq(0..100));
    wait_for_workers(&pool, 2);
}
