//! What each message of a stream to another process costs, by each way to send one and by its length; and what it costs where
//! several send and several receive.

use std::cell::LazyCell;

use criterion::{BenchmarkId, Criterion, Throughput};
use mp_benches::{
    Crew, Group, Link, Ratio, in_rounds,
    link::{
        BatchLink, BorrowedLink, BytesLink, ConnectionLink, DatagramLink, EventFd, FifoLink, Futex,
        MappedFile, NamedDatagramLink, NamedSemaphore, NamedSeqpacketLink, NamedStreamLink,
        NumberLink, PipeLink, PosixQueueLink, PosixSemaphore, RingLink, SeqpacketLink, SharedLink,
        SignalLink, Spin, StdPipeLink, StdStreamLink, StreamLink, SysvQueueLink, SysvSemaphore,
        TcpLink, UdpLink,
    },
    memcpy, run, stream, unpin,
};

const ONE_WAY: &str = "one-way";
const MANY: &str = "many";

fn main() {
    run(
        &[one_way, many],
        &[
            Ratio::new(ONE_WAY, "Queue-u64/8", "pipe/8"),
            Ratio::new(ONE_WAY, "ring/8", "pipe/8"),
            Ratio::new(ONE_WAY, "ring/4096", "memcpy/4096"),
            Ratio::new(ONE_WAY, "ring/4096", "pipe/4096"),
            Ratio::new(ONE_WAY, "ring/1048576", "memcpy/1048576"),
            Ratio::new(ONE_WAY, "ring/1048576", "pipe/1048576"),
            Ratio::new(ONE_WAY, "Queue/1048576", "memcpy/1048576"),
            Ratio::new(ONE_WAY, "Queue-ref/1048576", "memcpy/1048576"),
            Ratio::new(ONE_WAY, "pipe/8", "std-pipe/8"),
            Ratio::new(ONE_WAY, "pipe/4096", "std-pipe/4096"),
            Ratio::new(ONE_WAY, "unix-stream/8", "std-unix-stream/8"),
            Ratio::new(ONE_WAY, "unix-stream/4096", "std-unix-stream/4096"),
            Ratio::new(MANY, "ring/1-1", "ring/4-4"),
            Ratio::new(MANY, "Queue-u64/1-1", "Queue-u64/4-4"),
        ],
    );
}

fn one_way(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(ONE_WAY);
    memcpy(&mut group);
    stream::<SharedLink<Spin>>(&mut group);
    stream::<MappedFile>(&mut group);
    stream::<SharedLink<Futex>>(&mut group);
    stream::<SharedLink<PosixSemaphore>>(&mut group);
    stream::<SharedLink<NamedSemaphore>>(&mut group);
    stream::<SharedLink<SysvSemaphore>>(&mut group);
    stream::<SharedLink<EventFd>>(&mut group);
    stream::<SignalLink>(&mut group);
    stream::<PipeLink>(&mut group);
    stream::<FifoLink>(&mut group);
    stream::<PosixQueueLink>(&mut group);
    stream::<SysvQueueLink>(&mut group);
    stream::<StreamLink>(&mut group);
    stream::<NamedStreamLink>(&mut group);
    stream::<DatagramLink>(&mut group);
    stream::<NamedDatagramLink>(&mut group);
    stream::<SeqpacketLink>(&mut group);
    stream::<NamedSeqpacketLink>(&mut group);
    stream::<TcpLink>(&mut group);
    stream::<UdpLink>(&mut group);
    stream::<RingLink>(&mut group);
    stream::<BatchLink>(&mut group);
    stream::<NumberLink>(&mut group);
    stream::<BytesLink>(&mut group);
    stream::<BorrowedLink>(&mut group);
    stream::<ConnectionLink>(&mut group);
    stream::<StdPipeLink>(&mut group);
    stream::<StdStreamLink>(&mut group);
    group.finish();
}

/// So many producers and so many consumers, wherever the kernel places them: the time for each message of all.
fn many(criterion: &mut Criterion) {
    unpin();
    let mut group = criterion.benchmark_group(MANY);
    group.throughput(Throughput::Bytes(8));
    crews::<RingLink>(&mut group);
    crews::<NumberLink>(&mut group);
    crews::<PipeLink>(&mut group);
    crews::<SeqpacketLink>(&mut group);
    crews::<PosixQueueLink>(&mut group);
    crews::<SysvQueueLink>(&mut group);
    group.finish();
}

fn crews<L: Link>(group: &mut Group<'_>) {
    for (producers, consumers) in [(1, 1), (4, 1), (1, 4), (4, 4)] {
        let crew = LazyCell::new(|| Crew::start::<L>(producers, consumers));
        let id = BenchmarkId::new(L::NAME, format!("{producers}-{consumers}"));
        group.bench_function(id, in_rounds(|count| crew.round(count)));
    }
}
