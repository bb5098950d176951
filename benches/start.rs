//! What a process costs that does nothing and is waited for, from a small parent and from a large one.

use std::{cell::LazyCell, env, fs, hint::black_box, path::Path, process::Command};

use criterion::{Criterion, SamplingMode};
use mp_benches::{Forker, Ratio, fork_and_wait, in_rounds, run, use_much_memory};
use mp_core::{Process, StartMethod};

const SMALL: &str = "start";
const LARGE: &str = "start-from-1-GiB";

/// Skips the large parent.
const NO_LARGE: &str = "MP_BENCH_NO_LARGE";

/// Has this executable end at once.
const NOTHING: &str = "--nothing";

fn main() {
    if env::args().any(|argument| argument == NOTHING) {
        return;
    }
    run(
        &[small, large],
        &[
            Ratio::new(SMALL, "forkserver", "bare-fork"),
            Ratio::new(SMALL, "fork", "bare-fork"),
            Ratio::new(SMALL, "forkserver", "Command-true"),
            Ratio::new(SMALL, "spawn", "Command-true"),
            Ratio::new(SMALL, "spawn", "Command-of-this"),
            Ratio::new(LARGE, "forkserver", "bare-fork"),
            Ratio::new(LARGE, "forkserver", "Command-true"),
        ],
    );
}

fn small(criterion: &mut Criterion) {
    all(criterion, SMALL, 0);
}

fn large(criterion: &mut Criterion) {
    let missing = env::var_os(NO_LARGE).map(|_| format!("{NO_LARGE} is set"));
    if let Some(reason) = missing.or_else(too_little_memory) {
        println!("{LARGE} is skipped: {reason}");
        return;
    }
    all(criterion, LARGE, 1 << 30);
}

fn too_little_memory() -> Option<String> {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let available = line.split_whitespace().nth(1)?.parse::<u64>().ok()?;
    (available < 3 << 20).then(|| format!("only {available} KiB of memory are available"))
}

/// From a parent that uses so many bytes of memory.
fn all(criterion: &mut Criterion, name: &str, memory: usize) {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    // A process of one thread, which criterion's is not.
    let forker = LazyCell::new(|| Forker::start(memory));
    group.bench_function("fork", in_rounds(|count| forker.measure(count)));
    drop(forker);
    let heap = LazyCell::new(|| use_much_memory(memory));
    group.bench_function("bare-fork", |bencher| {
        black_box(&*heap);
        bencher.iter(fork_and_wait);
    });
    for (name, method) in [("forkserver", StartMethod::Forkserver), ("spawn", StartMethod::Spawn)] {
        group.bench_function(name, |bencher| {
            black_box(&*heap);
            bencher.iter(|| {
                let child = Process::builder().start_method(method).spawn(|()| (), ());
                child.expect("another process").join().expect("a child that returns");
            });
        });
    }
    let this = env::current_exe().expect("this executable has a path");
    let programs = [("Command-true", Path::new("/bin/true")), ("Command-of-this", &this)];
    for (name, program) in programs {
        group.bench_function(name, |bencher| {
            black_box(&*heap);
            bencher.iter(|| {
                let status = Command::new(program).arg(NOTHING).status().expect("another process");
                assert!(status.success(), "a program that does nothing succeeds");
            });
        });
    }
    group.finish();
}
