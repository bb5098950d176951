//! The same two jobs one after the other, in threads, in processes and in async tasks, and how long each takes here.
//!
//! One job computes; the other waits for a server that takes its time. What computes is faster with more cores, which
//! async tasks do not have; what waits is faster with anything that waits for many at once, and there the cheapest is best.

#![allow(clippy::unwrap_used, reason = "a panic of a task is its result")]

mod asynchronous;
mod server;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use mp_core::{Fd, Pool, Process, Result, ThreadPool, executor::Executor};

/// How many tasks each job has, and how many threads and processes share them.
const TASKS: u64 = 16;
const WORKERS: usize = 8;

/// The CPU-bound task: how many primes are below `limit`.
fn count_primes(limit: u64) -> u64 {
    let is_prime = |n: &u64| (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    (2..limit).filter(is_prime).count() as u64
}

fn limits() -> impl Iterator<Item = u64> {
    (0..TASKS).map(|n| 100_000 + n)
}

fn questions(server: &Path) -> impl Iterator<Item = (PathBuf, u64)> {
    (0..TASKS).map(|n| (server.to_path_buf(), n))
}

/// The sum of the results and the time for them, the start and the end of the workers included.
fn measure(job: impl FnOnce() -> Result<Vec<u64>>) -> Result<(u64, Duration)> {
    let start = Instant::now();
    let sum = job()?.into_iter().sum();
    Ok((sum, start.elapsed()))
}

/// Both jobs by a pool of whichever kind.
fn by<E: Executor>(pool: impl Fn() -> Result<E>, server: &Path) -> Result<[(u64, Duration); 2]> {
    Ok([
        measure(|| pool()?.map(count_primes, limits()))?,
        measure(|| pool()?.map(server::ask, questions(server)))?,
    ])
}

fn by_async(server: &Path) -> Result<[(u64, Duration); 2]> {
    Ok([
        measure(|| {
            asynchronous::run(limits().map(|limit| async move { Ok(count_primes(limit)) }))
        })?,
        measure(|| asynchronous::run(questions(server).map(asynchronous::ask)))?,
    ])
}

fn main() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("server");
    let listener = std::os::unix::net::UnixListener::bind(&address).unwrap();
    // This also starts the fork server, which is there once for all.
    let server = Process::spawn(server::serve, Fd::new(listener))?;

    let rows = [
        ("one after the other".to_owned(), by(|| Pool::builder().serial().build(), &address)?),
        (format!("{WORKERS} threads"), by(|| ThreadPool::new(WORKERS), &address)?),
        (format!("{WORKERS} processes"), by(|| Pool::new(WORKERS), &address)?),
        ("async, one thread".to_owned(), by_async(&address)?),
    ];
    let cores = std::thread::available_parallelism().unwrap();
    println!("{TASKS} tasks each, on {cores} cores\n");
    println!("{:<20} {:>22} {:>24}", "", "CPU-bound: primes", "I/O-bound: slow server");
    let sequential = rows[0].1;
    for (name, jobs) in rows {
        print!("{name:<20}");
        for ((sum, time), (expected, first)) in jobs.into_iter().zip(sequential) {
            assert_eq!(sum, expected, "the same work");
            let (milliseconds, faster) =
                (1e3 * time.as_secs_f64(), first.as_secs_f64() / time.as_secs_f64());
            print!(" {milliseconds:>10.1} ms {faster:>6.1} x  ");
        }
        println!();
    }
    server.kill()
}
