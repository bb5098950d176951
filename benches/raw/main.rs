//! What the crates of primitives cost beside the system calls that they wrap: the same done in one process on one core, so
//! that nothing but the calls is measured.
//!
//! `ours` is a method of a crate, `raw` what a program in C would call for the same, on the same object. Where ours makes other
//! calls than the plain ones, because those could kill the caller or lose something, `calls` are these calls and nothing else: `ours`
//! beside `calls` is what the crate adds, `calls` beside `raw` what is paid for the safer call. `-try` is the form that does not wait, `-busy` the same where it would have to, `-timeout` the form with a deadline where it need not wait.

#![allow(clippy::unwrap_used, reason = "a call that fails is the end of this program")]

mod locks;
mod pipes;
mod queues;
mod semaphores;
mod signals;
mod sockets;

use std::{os::fd::OwnedFd, process, thread, time::Duration};

use criterion::Criterion;
use mp_benches::{Cores, Ratio, pin_to, run};
use mp_signal::Block;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

const GROUPS: [&str; 47] = [
    "raw-pipe-8",
    "raw-pipe-4096",
    "raw-pipe-try",
    "raw-pipe-busy",
    "raw-pipe-timeout",
    "raw-fifo-8",
    "raw-fifo-try",
    "raw-fifo-busy",
    "raw-fifo-timeout",
    "raw-posix-mq-8",
    "raw-posix-mq-8192",
    "raw-posix-mq-try",
    "raw-posix-mq-busy",
    "raw-sysv-msg-8",
    "raw-sysv-msg-8192",
    "raw-sysv-msg-busy",
    "raw-posix-sem",
    "raw-posix-sem-try",
    "raw-posix-sem-busy",
    "raw-posix-sem-timeout",
    "raw-sysv-sem",
    "raw-sysv-sem-try",
    "raw-sysv-sem-busy",
    "raw-signal-wait",
    "raw-signal-fd",
    "raw-unix-stream-8",
    "raw-unix-stream-4096",
    "raw-unix-stream-try",
    "raw-unix-stream-busy",
    "raw-unix-stream-timeout",
    "raw-unix-stream-fd",
    "raw-unix-dgram-8",
    "raw-unix-dgram-4096",
    "raw-unix-dgram-fd",
    "raw-unix-seqpacket-8",
    "raw-unix-seqpacket-4096",
    "raw-unix-seqpacket-fd",
    "raw-tcp-8",
    "raw-tcp-4096",
    "raw-udp-8",
    "raw-udp-4096",
    "raw-flock",
    "raw-flock-try",
    "raw-flock-busy",
    "raw-ofd",
    "raw-ofd-busy",
    "raw-posix-record",
];

const A_SECOND: Duration = Duration::from_secs(1);

fn main() {
    run(
        &[
            prepare,
            pipes::pipes,
            pipes::fifos,
            queues::posix_queues,
            queues::sysv_queues,
            semaphores::semaphores,
            signals::signals,
            sockets::streams,
            sockets::messages,
            sockets::internet,
            locks::locks,
        ],
        &GROUPS
            .map(|group| {
                [("ours", "calls"), ("calls", "raw"), ("ours", "raw")]
                    .map(|(one, other)| Ratio::new(group, one, other))
            })
            .concat(),
    );
}

/// One core; and a second thread, as most programs have: the kernel's and the C library's shortcuts for those without
/// would otherwise be measured until criterion starts threads. No thread takes the signals that are sent to the process.
fn prepare(_: &mut Criterion) {
    Block::new(signals::signal()).expect("it may be blocked").keep();
    thread::spawn(thread::park);
    pin_to(Cores::Same.numbers().0);
}

/// Measures both, where the crate makes the plain calls.
fn compare(criterion: &mut Criterion, name: &str, ours: impl FnMut(), raw: impl FnMut()) {
    compare_calls(criterion, name, ours, None::<fn()>, raw);
}

/// Measures the crate, the calls that it makes if they are known here, and the plain ones.
fn compare_calls(
    criterion: &mut Criterion,
    name: &str,
    mut ours: impl FnMut(),
    calls: Option<impl FnMut()>,
    mut raw: impl FnMut(),
) {
    assert!(GROUPS.contains(&name), "{name} has a ratio");
    let mut group = criterion.benchmark_group(name);
    // Few resamplings, which would take many times as long as the measurement: there are many groups.
    group.nresamples(2000);
    group.bench_function("ours", |bencher| bencher.iter(&mut ours));
    if let Some(mut calls) = calls {
        group.bench_function("calls", |bencher| bencher.iter(&mut calls));
    }
    group.bench_function("raw", |bencher| bencher.iter(&mut raw));
    group.finish();
}

fn name(what: &str) -> String {
    format!("mp-bench-raw-{what}-{}", process::id())
}

/// A descriptor whose own open file does not wait.
fn nonblocking(fd: impl Into<OwnedFd>) -> OwnedFd {
    let fd = fd.into();
    let flags = fcntl(&fd, FcntlArg::F_GETFL).expect("an open file has flags");
    let flags = OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK;
    fcntl(&fd, FcntlArg::F_SETFL(flags)).expect("a flag that every file has");
    fd
}
