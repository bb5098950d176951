//! Tasks that take too long, and tasks that nobody wants any more: each ends alone, and the pool goes on.

use std::{hint::spin_loop, time::Duration};

use mp_core::{Pool, Queue, Result};

/// Some problems have no end.
fn solve(problem: u32) -> u32 {
    if problem == 3 {
        loop {
            spin_loop();
        }
    }
    problem * 10
}

fn wait_for_a_word((started, words): (Queue<()>, Queue<String>)) -> Option<String> {
    started.put(()).ok()?;
    words.get().ok()
}

fn main() -> Result<()> {
    let pool = Pool::builder().workers(2).task_timeout(Duration::from_millis(200)).build()?;
    for (problem, outcome) in (1..=5).zip(pool.imap(solve, 1..=5)?) {
        match outcome {
            Ok(solution) => println!("problem {problem}: {solution}"),
            Err(error) => println!("problem {problem}: {error}"),
        }
    }

    let patient = pool.job().timeout(Duration::MAX);
    let (started, words) = (Queue::bounded(1)?, Queue::<String>::bounded(1)?);
    let running = patient.submit(wait_for_a_word, (started.clone(), words.clone()))?;
    started.get()?;
    let behind = patient.submit(solve, 7)?;
    println!("cancelled while it ran: {}", running.cancel());
    if let Err(error) = running.get() {
        println!("its outcome: {error}");
    }
    println!("the next one: {}", behind.get()?);

    let stats = pool.stats();
    println!(
        "{} tasks done, {} too long, {} cancelled, {} workers again",
        stats.tasks,
        stats.timeouts,
        stats.cancelled,
        pool.workers()
    );
    pool.join()
}
