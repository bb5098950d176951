//! What each mode of IPC costs: there and back with both awake, asleep and on one core, and one way in a stream.

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use mp_benches::{
    Cores, Link, Ratio,
    link::{
        ConnectionLink, DatagramLink, EventFdLink, FifoLink, FutexLink, LineLink, MappedFileLink,
        NumberLink, PipeLink, PosixQueueLink, PosixSemaphoreLink, SeqpacketLink, SignalLink,
        SocketLink, StreamLink, SysvQueueLink, SysvSemaphoreLink, TcpLink, UnnamedLink,
    },
    run, stream, there_and_back, wake_and_be_woken,
};

const SPINNING: &str = "primitives-spinning";
const THERE_AND_BACK: &str = "primitives-there-and-back";
const ASLEEP: &str = "primitives-asleep";
const SAME_CORE: &str = "primitives-same-core";
const ONE_WAY: [(&str, usize); 4] = [
    ("primitives-one-way-8-B", 8),
    ("primitives-one-way-64-B", 64),
    ("primitives-one-way-4-KiB", 4 << 10),
    ("primitives-one-way-64-KiB", 64 << 10),
];

fn main() {
    let ratio = |name| {
        [Ratio::new(name, "mp-pipe", "pipe"), Ratio::new(name, "mp-unix-stream", "unix-stream")]
    };
    let ratios: Vec<_> =
        [SAME_CORE, ONE_WAY[0].0, ONE_WAY[2].0].into_iter().flat_map(ratio).collect();
    run(&[spinning, two_cores, asleep, same_core, one_way], &ratios);
}

/// Nobody sleeps: what moving a cache line costs, and what is the same.
fn spinning(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(SPINNING);
    there_and_back::<LineLink>(&mut group, Cores::Two);
    there_and_back::<MappedFileLink>(&mut group, Cores::Two);
    there_and_back::<NumberLink>(&mut group, Cores::Two);
    group.finish();
}

/// Each message wakes a receiver that has just gone to sleep.
fn two_cores(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(THERE_AND_BACK);
    each_that_sleeps(&mut group, Cores::Two);
    group.finish();
}

fn same_core(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(SAME_CORE);
    each_that_sleeps(&mut group, Cores::Same);
    group.finish();
}

fn each_that_sleeps(group: &mut BenchmarkGroup<'_, WallTime>, cores: Cores) {
    there_and_back::<FutexLink>(group, cores);
    there_and_back::<PipeLink>(group, cores);
    there_and_back::<UnnamedLink>(group, cores);
    there_and_back::<FifoLink>(group, cores);
    there_and_back::<SignalLink>(group, cores);
    there_and_back::<PosixQueueLink>(group, cores);
    there_and_back::<SysvQueueLink>(group, cores);
    there_and_back::<PosixSemaphoreLink>(group, cores);
    there_and_back::<SysvSemaphoreLink>(group, cores);
    there_and_back::<EventFdLink>(group, cores);
    there_and_back::<SocketLink>(group, cores);
    there_and_back::<StreamLink>(group, cores);
    there_and_back::<DatagramLink>(group, cores);
    there_and_back::<SeqpacketLink>(group, cores);
    there_and_back::<TcpLink>(group, cores);
    there_and_back::<ConnectionLink>(group, cores);
}

fn asleep(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(ASLEEP);
    wake_and_be_woken::<FutexLink>(&mut group);
    wake_and_be_woken::<UnnamedLink>(&mut group);
    wake_and_be_woken::<FifoLink>(&mut group);
    wake_and_be_woken::<SignalLink>(&mut group);
    wake_and_be_woken::<PosixQueueLink>(&mut group);
    wake_and_be_woken::<SysvQueueLink>(&mut group);
    wake_and_be_woken::<PosixSemaphoreLink>(&mut group);
    wake_and_be_woken::<SysvSemaphoreLink>(&mut group);
    wake_and_be_woken::<EventFdLink>(&mut group);
    wake_and_be_woken::<StreamLink>(&mut group);
    wake_and_be_woken::<DatagramLink>(&mut group);
    wake_and_be_woken::<SeqpacketLink>(&mut group);
    wake_and_be_woken::<TcpLink>(&mut group);
    wake_and_be_woken::<ConnectionLink>(&mut group);
    wake_and_be_woken::<NumberLink>(&mut group);
    group.finish();
}

fn one_way(criterion: &mut Criterion) {
    for (name, len) in ONE_WAY {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(len as u64));
        stream::<PipeLink>(&mut group, len);
        stream::<UnnamedLink>(&mut group, len);
        stream::<FifoLink>(&mut group, len);
        fits::<PosixQueueLink>(&mut group, len);
        fits::<SysvQueueLink>(&mut group, len);
        stream::<SocketLink>(&mut group, len);
        stream::<StreamLink>(&mut group, len);
        stream::<DatagramLink>(&mut group, len);
        stream::<SeqpacketLink>(&mut group, len);
        stream::<TcpLink>(&mut group, len);
        stream::<ConnectionLink>(&mut group, len);
        group.finish();
    }
}

/// The longest message that the kernel lets into its queues without being told to.
const QUEUE_MESSAGE: usize = 8 << 10;

fn fits<L: Link>(group: &mut BenchmarkGroup<'_, WallTime>, len: usize) {
    if len <= QUEUE_MESSAGE {
        stream::<L>(group, len);
    }
}
