//! Tasks in the order of their ends, the first of several, callbacks, and a worker's own state.

use std::{process, sync::mpsc};

use mp_core::{
    Pool, Result,
    executor::{self, WaitFor},
    worker,
};

/// The number of steps until the Collatz sequence of `n` comes to one.
fn steps(n: u64) -> (u64, u32) {
    worker::with_state(|| 0, |tasks: &mut u32| *tasks += 1);
    let next = |n: &u64| Some(if n.is_multiple_of(2) { n / 2 } else { 3 * n + 1 });
    let count = std::iter::successors(Some(n), next).take_while(|&n| n != 1).count();
    (n, count as u32)
}

fn report((): ()) {
    let (id, tasks) =
        (worker::id().unwrap_or_default(), worker::with_state(|| 0, |tasks: &mut u32| *tasks));
    println!("worker {id}, process {}, ends after {tasks} tasks", process::id());
}

fn main() -> Result<()> {
    let pool = Pool::builder().workers(2).exit_hook(report, ())?.build()?;
    let submit = |n| pool.submit(steps, n);

    let tasks = [97, 871, 6_171].map(submit).into_iter().collect::<Result<Vec<_>>>()?;
    for task in executor::as_completed(tasks) {
        let (n, count) = task.get()?;
        println!("{n}: {count} steps");
    }

    let racers = (1..=8).map(|k| submit(k * 1_000_003)).collect::<Result<Vec<_>>>()?;
    let waited = executor::wait(racers, WaitFor::FirstDone);
    let cancelled = waited.pending.iter().filter(|task| task.cancel()).count();
    println!("{} of 8 ended first, {cancelled} of the others were cancelled", waited.done.len());

    let (sender, receiver) = mpsc::channel();
    pool.map_async(steps, 1..=1_000)?.on_done(move |all| drop(sender.send(all)));
    let all = receiver.recv().expect("a callback is always called")?;
    let (n, count) = all.into_iter().max_by_key(|&(_, count)| count).unwrap_or_default();
    println!("the longest below 1000 is that of {n}: {count} steps");
    pool.join()
}
