//! What a message costs by other crates, by the standard library, between threads, and by Python: the groups of the benches
//! `latency` and `throughput`.

use std::{cell::LazyCell, net::UdpSocket, os::unix::net::UnixDatagram};

use criterion::{BenchmarkId, Criterion, Throughput};
use mp_benches::{
    Cores, Crew, Group, Link, few_sizes, in_rounds, moves, run, sizes, stream, there_and_back,
    unpin, wake_and_be_woken,
};
use mp_contenders::{
    Case,
    link::{
        DatagramLink, IceoryxEventLink, IceoryxLink, Interprocess, IpcBytes, IpcCrewLink, IpcLink,
        IpcShared, MailboxLink, StreamLink, Tcp,
    },
    python, thread,
};

const SPINNING: &str = "round-trip-spinning";
const AWAKE: &str = "round-trip-awake";
const ASLEEP: &str = "round-trip-asleep";
const SAME_CORE: &str = "round-trip-same-core";
const ONE_WAY: &str = "one-way";
const MANY: &str = "many";

/// What Python sends messages by, in its script.
const PYTHON: [&str; 3] = ["Pipe", "Queue", "SimpleQueue"];

fn main() {
    run(&[spinning, awake, asleep, same_core, one_way, many], &[]);
}

/// Nobody sleeps: both look for the next message all the time.
fn spinning(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(SPINNING);
    there_and_back::<IceoryxLink>(&mut group, Cores::Two);
    there_and_back::<MailboxLink>(&mut group, Cores::Two);
    thread::there_and_back::<thread::Rtrb>(&mut group, Cores::Two);
    thread::there_and_back::<thread::Numbers>(&mut group, Cores::Two);
    thread::there_and_back::<thread::Bytes>(&mut group, Cores::Two);
    group.finish();
}

/// Each asks for the next message at once, and waits as the contender waits.
fn awake(criterion: &mut Criterion) {
    on(&mut criterion.benchmark_group(AWAKE), Cores::Two, &sizes());
}

/// Only one of the processes can run at a time, so each is woken.
fn same_core(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(SAME_CORE);
    on(&mut group, Cores::Same, &few_sizes());
    thread::there_and_back::<thread::Numbers>(&mut group, Cores::Same);
    thread::there_and_back::<thread::Bytes>(&mut group, Cores::Same);
    group.finish();
}

fn on(group: &mut Group<'_>, cores: Cores, sizes: &[usize]) {
    there_and_back::<IpcLink<IpcBytes>>(group, cores);
    there_and_back::<IceoryxEventLink>(group, cores);
    there_and_back::<StreamLink<Interprocess>>(group, cores);
    there_and_back::<StreamLink<Tcp>>(group, cores);
    there_and_back::<DatagramLink<UdpSocket>>(group, cores);
    there_and_back::<DatagramLink<UnixDatagram>>(group, cores);
    for kind in PYTHON {
        by_length(group, kind, "there_and_back", cores, 2, sizes);
    }
}

/// Each message is sent when its receiver has been asleep for a while.
fn asleep(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(ASLEEP);
    wake_and_be_woken::<IpcLink<IpcBytes>>(&mut group);
    wake_and_be_woken::<IceoryxEventLink>(&mut group);
    wake_and_be_woken::<StreamLink<Interprocess>>(&mut group);
    wake_and_be_woken::<StreamLink<Tcp>>(&mut group);
    wake_and_be_woken::<DatagramLink<UdpSocket>>(&mut group);
    wake_and_be_woken::<DatagramLink<UnixDatagram>>(&mut group);
    for kind in PYTHON {
        by_length(&mut group, kind, "asleep", Cores::Two, 2, &few_sizes());
    }
    group.finish();
}

fn one_way(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(ONE_WAY);
    stream::<IceoryxLink>(&mut group);
    stream::<MailboxLink>(&mut group);
    stream::<IpcLink<IpcBytes>>(&mut group);
    stream::<IpcLink<IpcShared>>(&mut group);
    stream::<StreamLink<Interprocess>>(&mut group);
    stream::<StreamLink<Tcp>>(&mut group);
    stream::<DatagramLink<UnixDatagram>>(&mut group);
    thread::stream::<thread::Rtrb>(&mut group);
    thread::stream::<thread::Numbers>(&mut group);
    thread::stream::<thread::Bytes>(&mut group);
    for kind in PYTHON {
        by_length(&mut group, kind, "one_way", Cores::Two, 1, &sizes());
    }
    group.finish();
}

/// `ways` is how often a message goes from one process to the other.
fn by_length(
    group: &mut Group<'_>,
    kind: &str,
    case: &str,
    cores: Cores,
    ways: usize,
    sizes: &[usize],
) {
    for &len in sizes {
        moves(group, ways, len);
        let id = BenchmarkId::new(format!("python-{kind}"), len);
        python(group, id, &Case::new(case).with(kind).with(len).on(cores));
    }
}

/// So many producers and so many consumers, wherever the kernel places them: the time for each message of all.
fn many(criterion: &mut Criterion) {
    unpin();
    let mut group = criterion.benchmark_group(MANY);
    group.throughput(Throughput::Bytes(8));
    crew::<IpcCrewLink<1>>(&mut group, 1, 1);
    crew::<IpcCrewLink<4>>(&mut group, 4, 1);
    // With several subscribers each would receive every message.
    crew::<IceoryxLink>(&mut group, 1, 1);
    crew::<IceoryxLink>(&mut group, 4, 1);
    for (producers, consumers) in thread::CREWS {
        crew::<DatagramLink<UnixDatagram>>(&mut group, producers, consumers);
    }
    thread::many(&mut group);
    for kind in ["Queue", "SimpleQueue"] {
        for (producers, consumers) in thread::CREWS {
            let id = BenchmarkId::new(format!("python-{kind}"), format!("{producers}-{consumers}"));
            python(&mut group, id, &Case::new("many").with(kind).with(producers).with(consumers));
        }
    }
    group.finish();
}

fn crew<L: Link>(group: &mut Group<'_>, producers: usize, consumers: usize) {
    let crew = LazyCell::new(|| Crew::start::<L>(producers, consumers));
    let id = BenchmarkId::new(L::NAME, format!("{producers}-{consumers}"));
    group.bench_function(id, in_rounds(|count| crew.round(count)));
}
