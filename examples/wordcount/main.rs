//! Counts the words of files in a pool of processes, which send their counts home through a queue.
//!
//! `cargo run --release --example wordcount -- [--workers N] [--verify] [--kill-one] [PATH...]`

mod count;
mod files;
mod total;

use std::{
    error::Error,
    path::PathBuf,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use mp_core::{Pool, Queue};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    count::{count, count_and_send},
    files::{Batch, Found},
    total::Total,
};

/// About how many bytes a task counts.
const BATCH_LEN: u64 = 512 << 10;

/// How many partial counts may wait to be merged.
const QUEUE_LEN: usize = 16;

/// How many skipped files are named.
const SKIPPED_SHOWN: usize = 10;

#[derive(Parser)]
#[command(about = "Counts the words of files in a pool of processes")]
struct Options {
    /// Files and folders; by default the sources of the crates that cargo has downloaded
    paths: Vec<PathBuf>,
    /// Worker processes; by default one for each processor
    #[arg(long, short)]
    workers: Option<usize>,
    /// How many of the most frequent words to print
    #[arg(long, default_value_t = 10)]
    top: usize,
    /// Count again without workers, and compare
    #[arg(long)]
    verify: bool,
    /// Kill a worker with SIGKILL when a third of the work is done
    #[arg(long)]
    kill_one: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("wordcount: {error}");
            ExitCode::FAILURE
        }
    }
}

/// False where the check finds another count.
fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let found = Found::below(&options.paths)?;
    let batches = found.batches(BATCH_LEN);
    if batches.is_empty() {
        found.skipped.iter().for_each(|skipped| eprintln!("skipped {skipped}"));
        return Err("no files to count: name files or folders".into());
    }
    let workers = options.workers.unwrap_or(thread::available_parallelism()?.get());
    let start = Instant::now();
    let mut total = count_in_pool(workers, &batches, options.kill_one)?;
    let elapsed = start.elapsed();

    total.skipped.extend(found.skipped.iter().cloned());
    report(&total, elapsed, options.top);
    if !options.verify {
        return Ok(true);
    }
    let start = Instant::now();
    let mut check = Total::default();
    batches.iter().for_each(|batch| check.merge(count(batch)));
    let same = check.words == total.words;
    let verdict = if same { "the same counts" } else { "OTHER COUNTS" };
    println!("\nverified: {verdict} without workers, in {:.2?}", start.elapsed());
    Ok(same)
}

/// Runs the batches in a pool, merging what comes home meanwhile.
fn count_in_pool(
    workers: usize,
    batches: &[Batch],
    kill_one: bool,
) -> Result<Total, Box<dyn Error>> {
    // A batch whose worker is killed is counted again; `Total::merge` takes each batch once.
    let pool = Pool::builder().workers(workers).retries(1).build()?;
    let home = Queue::bounded(QUEUE_LEN)?;
    let progress =
        ProgressBar::new(batches.iter().flat_map(|batch| &batch.files).map(|file| file.len).sum());
    progress.set_style(ProgressStyle::with_template(
        "{bar:40} {bytes}/{total_bytes} {binary_bytes_per_sec}",
    )?);

    let mut total = Total::default();
    let mut victim = kill_one.then(|| pool.pids()[0]);
    thread::scope(|scope| {
        let tasks = scope.spawn(|| {
            let done = pool.map_with(&home, count_and_send, batches.iter().cloned());
            home.close();
            done
        });
        while let Ok(partial) = home.get() {
            progress.inc(batches[partial.index].files.iter().map(|file| file.len).sum());
            total.merge(partial);
            if 3 * total.batches() >= batches.len()
                && let Some(pid) = victim.take()
            {
                let killed = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
                progress.suspend(|| match killed {
                    Ok(()) => println!("killed worker {pid}"),
                    Err(error) => println!("failed to kill worker {pid}: {error}"),
                });
            }
        }
        tasks.join().map_err(|_| "the thread that runs the tasks panicked")??;
        Ok::<_, Box<dyn Error>>(())
    })?;
    progress.finish_and_clear();
    pool.join()?;
    Ok(total)
}

fn report(total: &Total, elapsed: Duration, top: usize) {
    for skipped in total.skipped.iter().take(SKIPPED_SHOWN) {
        println!("skipped {skipped}");
    }
    if total.skipped.len() > SKIPPED_SHOWN {
        println!("skipped {} more", total.skipped.len() - SKIPPED_SHOWN);
    }
    let megabytes = total.bytes() as f64 / 1e6;
    println!(
        "{} words, {} different, in {} files: {megabytes:.1} MB in {elapsed:.2?}, {:.1} MB/s",
        total.words.values().sum::<u64>(),
        total.words.len(),
        total.files(),
        megabytes / elapsed.as_secs_f64(),
    );
    for (pid, share) in &total.shares {
        let percent = 100.0 * share.bytes as f64 / total.bytes().max(1) as f64;
        println!(
            "  worker {pid}: {} files, {:.1} MB, {percent:.0} %",
            share.files,
            share.bytes as f64 / 1e6
        );
    }
    for (word, count) in total.top(top) {
        println!("{count:>10}  {word}");
    }
}
