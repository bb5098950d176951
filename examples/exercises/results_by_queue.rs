//! Results come back through a queue, in the order in which they are there rather than in that of the questions.

#![allow(clippy::unwrap_used, reason = "a panic of a child comes out of `join`")]

use mp_core::{Process, Queue, Result};

/// A number, its number of divisors, and who has found it.
type Answer = (u64, usize, u32);

fn count_divisors((n, answers): (u64, Queue<Answer>)) {
    let count = (1..=n).filter(|candidate| n.is_multiple_of(*candidate)).count();
    answers.put((n, count, std::process::id())).unwrap();
}

fn main() -> Result<()> {
    let answers = Queue::bounded(5)?;
    let processes = [2_000_000, 5, 600_000, 28, 97]
        .map(|n| Process::spawn(count_divisors, (n, answers.clone())));
    for _ in &processes {
        let (n, count, pid) = answers.get()?;
        println!("{n} has {count} divisors, says process {pid}");
    }
    // The queue is empty by now, but unlike Python's it need not be: no join waits for it.
    processes.into_iter().try_for_each(|process| Ok(process?.join()?))
}
