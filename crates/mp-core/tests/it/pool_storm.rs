//! Many tasks, and workers that die in all ways all the time: each task has one outcome, with the right cause.

use std::{
    collections::HashMap,
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use mp_core::{Pool, ProcessError, Queue, Signal, TaskError};
use mp_testkit::{Watched, isolated, isolated_for};

use crate::{
    LONG,
    pool_death::{MemoryGroup, wait_for_workers},
    warm_up,
};

crate::methods::for_each_method! {
    two_thousand_tasks_in_a_storm,
}

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Deed {
    Return,
    Panic,
    Kill,
    Segfault,
    Abort,
    Exit,
    /// Asks for more memory than there is.
    Exhaust,
    /// Takes more memory than its cgroup has, until the kernel kills it; exits where no cgroup can be made.
    Starve,
    /// Runs for longer than it may.
    Hang,
}

/// One in fifteen dies.
fn deed(n: u32) -> Deed {
    match n % 1_500 {
        500 => return Deed::Starve,
        1_000 => return Deed::Hang,
        _ => {}
    }
    match n.wrapping_mul(0x9e37_79b9) >> 20 & 0x3ff {
        0..16 => Deed::Panic,
        16..32 => Deed::Kill,
        32..48 => Deed::Segfault,
        48..60 => Deed::Abort,
        60..72 => Deed::Exit,
        72..80 => Deed::Exhaust,
        _ => Deed::Return,
    }
}

/// What all tasks share: where they tell that they begin, and the directory of the cgroup.
type Shared = (Queue<u32>, Option<PathBuf>);

fn run((begun, group): &Shared, n: u32) -> u32 {
    begun.put(n).unwrap();
    let me = || Watched::new(process::id()).unwrap();
    match deed(n) {
        Deed::Return => {}
        Deed::Panic => panic!("task {n}"),
        Deed::Kill => assert!(me().signal(Signal::KILL.as_raw())),
        Deed::Segfault => assert!(me().signal(Signal::SEGV.as_raw())),
        Deed::Abort => process::abort(),
        Deed::Exit => process::exit((n % 100) as i32),
        // More than an address space: no machine has it, and none reserves any of it.
        Deed::Exhaust => drop(black_box(vec![1u8; isize::MAX as usize])),
        Deed::Starve => match group {
            Some(group) => starve(group),
            None => process::exit((n % 100) as i32),
        },
        Deed::Hang => mp_testkit::wait_for_kill(),
    }
    n
}

fn starve(group: &Path) -> ! {
    fs::write(group.join("cgroup.procs"), process::id().to_string()).unwrap();
    let mut eaten = Vec::new();
    loop {
        eaten.push(black_box(vec![1u8; 1 << 20]));
    }
}

/// Long beside what any other death takes on a busy machine: a second was not.
const LIMIT: Duration = Duration::from_secs(3);

/// Whether the outcome is what the task's deed leads to.
fn is_right(n: u32, outcome: &Result<u32, TaskError>, has_group: bool) -> bool {
    match (deed(n), outcome) {
        (Deed::Return, Ok(value)) => *value == n,
        (Deed::Panic, Err(TaskError::Panicked(panic))) => panic.message == format!("task {n}"),
        (Deed::Hang, Err(TaskError::TimedOut(_))) => true,
        (Deed::Starve, Err(_)) if has_group => is_killed(outcome),
        (Deed::Exit | Deed::Starve, Err(TaskError::WorkerDied(cause))) => {
            matches!(**cause, ProcessError::Exited(code) if code == (n % 100) as i32)
        }
        (deed, Err(TaskError::WorkerDied(cause))) => {
            let ProcessError::Signaled { signal, .. } = **cause else { return false };
            match deed {
                Deed::Kill => signal == Signal::KILL,
                Deed::Segfault => signal == Signal::SEGV,
                Deed::Abort | Deed::Exhaust => signal == Signal::ABRT,
                _ => false,
            }
        }
        _ => false,
    }
}

fn is_killed(outcome: &Result<u32, TaskError>) -> bool {
    matches!(outcome, Err(TaskError::WorkerDied(cause))
        if matches!(**cause, ProcessError::Signaled { signal: Signal::KILL, .. }))
}

/// Runs a storm in a process whose workers print no backtraces: those take longer than all else.
fn storm_without_backtraces(tasks: u32) {
    mp_testkit::expect_orphans();
    warm_up();
    let builder = mp_process::Builder::new().env("RUST_BACKTRACE", "0");
    builder.spawn(|tasks: u32| storm(tasks, 7), tasks).unwrap().join().unwrap();
}

/// Runs `tasks` tasks, and kills a worker from outside every now and then.
fn storm(tasks: u32, chunk_size: u32) {
    const WORKERS: usize = 3;
    let group = MemoryGroup::new(16 << 20);
    println!("memory cgroup: {:?}", group.as_ref().map(|group| &group.0));
    let builder = Pool::builder().workers(WORKERS).chunk_size(chunk_size);
    let pool = builder.task_timeout(LIMIT).build().unwrap();
    let begun = Queue::bounded(1 << 12).unwrap();
    let kills = AtomicU64::new(0);
    let (wrong, counts) = thread::scope(|scope| {
        let counter = scope.spawn(|| {
            let mut counts = HashMap::new();
            while let Ok(n) = begun.get() {
                *counts.entry(n).or_insert(0) += 1;
            }
            counts
        });
        let mut wrong = Vec::new();
        let mut heard = 0;
        let shared = (begun.clone(), group.as_ref().map(|group| group.0.clone()));
        let outcomes = pool.job().imap_with(&shared, run, 0..tasks).unwrap();
        for (n, outcome) in (0..).zip(outcomes) {
            heard += 1;
            if !is_right(n, &outcome, group.is_some()) {
                wrong.push((n, outcome));
            }
            if n % 97 == 0
                && let Some(&pid) = pool.pids().get(n as usize % WORKERS)
                && Watched::new(pid).is_some_and(|worker| worker.signal(Signal::KILL.as_raw()))
            {
                kills.fetch_add(1, Relaxed);
            }
        }
        assert_eq!(heard, tasks, "each task has one outcome");
        begun.close();
        (wrong, counter.join().unwrap())
    });
    for (n, outcome) in &wrong {
        assert!(is_killed(outcome), "{n}, {:?}: {outcome:?}", deed(*n));
    }
    assert!(wrong.len() as u64 <= kills.load(Relaxed), "more were killed than we have killed");
    assert!(counts.values().all(|&count| count == 1), "a task began twice");
    let missing = (0..tasks).filter(|n| !counts.contains_key(n));
    assert!(missing.count() <= wrong.len(), "a task has not begun, and no kill came before it");
    wait_for_workers(&pool, WORKERS);
    let stats = pool.stats();
    println!("{tasks} tasks, {} hit by {kills:?} kills from outside: {stats:?}", wrong.len());
    assert_eq!(stats.queued, 0);
    pool.join().unwrap();
}

fn two_thousand_tasks_in_a_storm() {
    storm_without_backtraces(2_000);
}

#[test]
#[ignore = "takes minutes: cargo test --release -p mp-core --test it -- --ignored a_hundred_thousand"]
fn a_hundred_thousand_tasks_in_a_storm() {
    isolated_for(40 * LONG, || storm_without_backtraces(100_000));
}

#[test]
#[ignore = "takes long without optimizations: cargo test --release -p mp-core --test it -- --ignored ten_million"]
fn ten_million_items_need_no_memory() {
    isolated_for(10 * LONG, || flat(10_000_000));
}

#[test]
fn half_a_million_items_need_no_memory() {
    isolated(|| flat(500_000));
}

/// The memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

/// Takes the outcomes of `items` tasks one by one; those ahead, and the memory for them, stay few.
fn flat(items: u64) {
    warm_up();
    let pool = Pool::new(2).unwrap();
    let taken = std::cell::Cell::new(0u64);
    let counted = (0..items).inspect(|_| taken.set(taken.get() + 1));
    let (mut ahead, mut before) = (0, 0);
    for (n, outcome) in (0..).zip(pool.imap(|n: u64| n ^ 1, counted).unwrap()) {
        assert_eq!(outcome.unwrap(), n ^ 1);
        ahead = ahead.max(taken.get() - n);
        if n == items / 5 {
            before = resident();
        }
    }
    let grown = resident().saturating_sub(before);
    println!("{items} items, {ahead} ahead at most, {grown} bytes more than after a fifth of them");
    assert_eq!(taken.get(), items);
    assert!(grown < 8 << 20, "{grown} bytes more");
    assert!(ahead < 1 << 18, "{ahead} ahead");

    let taken = std::cell::Cell::new(0u64);
    let counted = (0..3_000).inspect(|_| taken.set(taken.get() + 1));
    let few = pool.job().max_in_flight(10);
    for (n, outcome) in (0..).zip(few.imap_unordered(|n: u64| n, counted).unwrap()) {
        assert!(outcome.is_ok() && taken.get() <= n + 11, "{} taken at {n}", taken.get());
    }
}
