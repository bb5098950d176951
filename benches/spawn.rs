//! What a process costs that does nothing and is waited for, from a small parent and from a large one.

use std::{cell::LazyCell, env, fs, hint::black_box, path::Path, process::Command};

use criterion::{Criterion, SamplingMode};
use mp_benches::{Ratio, fork_and_wait, run};
use mp_core::{Process, StartMethod};
use nix::sys::prctl::set_thp_disable;

const SMALL: &str = "spawn";
const LARGE: &str = "spawn-from-1-GiB";

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
            Ratio::new(SMALL, "forkserver", "fork"),
            Ratio::new(SMALL, "forkserver", "command"),
            Ratio::new(SMALL, "spawn", "command"),
            Ratio::new(SMALL, "spawn", "command-of-this"),
            Ratio::new(LARGE, "forkserver", "fork"),
            Ratio::new(LARGE, "forkserver", "command"),
        ],
    );
}

fn small(criterion: &mut Criterion) {
    all(criterion, SMALL, || ());
}

fn large(criterion: &mut Criterion) {
    let missing = env::var_os(NO_LARGE).map(|_| format!("{NO_LARGE} is set"));
    if let Some(reason) = missing.or_else(too_little_memory) {
        println!("{LARGE} is skipped: {reason}");
        return;
    }
    let heap = LazyCell::new(|| {
        // Pages of 4 KiB, as a heap that grew in small steps has them: a fork copies the entry of each.
        set_thp_disable(true).expect("a process may do without huge pages");
        black_box(vec![1_u8; 1 << 30])
    });
    all(criterion, LARGE, || {
        LazyCell::force(&heap);
    });
}

fn too_little_memory() -> Option<String> {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let available = line.split_whitespace().nth(1)?.parse::<u64>().ok()?;
    (available < 2 << 20).then(|| format!("only {available} KiB of memory are available"))
}

/// `prepare` makes the parent what it is to be.
fn all(criterion: &mut Criterion, name: &str, prepare: impl Fn()) {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function("fork", |bencher| {
        prepare();
        bencher.iter(fork_and_wait);
    });
    for (name, method) in [("forkserver", StartMethod::Forkserver), ("spawn", StartMethod::Spawn)] {
        group.bench_function(name, |bencher| {
            prepare();
            bencher.iter(|| {
                let child = Process::builder().start_method(method).spawn(|()| (), ());
                child.expect("another process").join().expect("a child that returns");
            });
        });
    }
    let this = env::current_exe().expect("this executable has a path");
    for (name, program) in [("command", Path::new("/bin/true")), ("command-of-this", &this)] {
        group.bench_function(name, |bencher| {
            prepare();
            bencher.iter(|| {
                let status = Command::new(program).arg(NOTHING).status().expect("another process");
                assert!(status.success(), "a program that does nothing succeeds");
            });
        });
    }
    group.finish();
}
