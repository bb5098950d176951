//! Two workers take jobs from one connection and answer on another; one is killed on the way, and its job is told.

use std::error::Error;

use mp_process::{Child, Connection, RecvError};

/// Takes jobs until there are no more: says which one it has, does it, and says the result.
fn work((jobs, results): (Connection, Connection)) {
    let pid = std::process::id();
    while let Ok(number) = jobs.recv::<u64>() {
        if results.send(&(pid, number, None::<u64>)).is_err() {
            return;
        }
        if number == 13 {
            // A fault in a C library would do the same.
            std::process::abort();
        }
        let sum = (1..=number).filter(|candidate| number % candidate == 0).sum();
        if results.send(&(pid, number, Some::<u64>(sum))).is_err() {
            return;
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (jobs, take_jobs) = Connection::pair()?;
    let (results, give_results) = Connection::pair()?;
    let start = || -> Result<Child<()>, Box<dyn Error>> {
        let ends = (take_jobs.try_clone()?, give_results.try_clone()?);
        Ok(mp_process::spawn(work, ends)?)
    };
    let children = [start()?, start()?];
    // From here on only the workers have these ends: when both are gone, the results end.
    drop((take_jobs, give_results));
    for number in 6..=28_u64 {
        jobs.send(&number)?;
    }
    drop(jobs);

    let mut in_hand = Vec::new();
    loop {
        match results.recv::<(u32, u64, Option<u64>)>() {
            Ok((pid, number, None)) => in_hand.push((pid, number)),
            Ok((pid, number, Some(sum))) => {
                in_hand.retain(|job| *job != (pid, number));
                if sum == 2 * number {
                    println!("{number} is perfect");
                }
            }
            Err(RecvError::Closed) => break,
            Err(error) => return Err(error.into()),
        }
    }
    for child in children {
        let pid = child.pid();
        let lost: Vec<_> = in_hand.iter().filter(|job| job.0 == pid).map(|job| job.1).collect();
        match child.join() {
            Ok(()) => println!("a worker did all its jobs"),
            Err(error) => println!("a worker was {error}; the job in its hand was {lost:?}"),
        }
    }
    Ok(())
}
