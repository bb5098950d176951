//! What a message to another process and back costs, by each way to send one and by its length.

use criterion::Criterion;
use mp_benches::{
    Cores, Group, Link, Ratio, hand_over,
    link::{
        BorrowedLink, BytesLink, ConnectionLink, DatagramLink, EventFd, FifoLink, Futex, LineLink,
        MappedFile, NamedDatagramLink, NamedSemaphore, NamedSeqpacketLink, NamedStreamLink,
        NumberLink, PipeLink, PosixQueueLink, PosixSemaphore, RingLink, SeqpacketLink, SharedLink,
        SignalLink, Spin, StdPipeLink, StdStreamLink, StreamLink, SysvQueueLink, SysvSemaphore,
        TcpLink, UdpLink,
    },
    run, there_and_back, wake_and_be_woken,
};
use mp_flock::{Flock, Ofd};

const SPINNING: &str = "round-trip-spinning";
const AWAKE: &str = "round-trip-awake";
const ASLEEP: &str = "round-trip-asleep";
const SAME_CORE: &str = "round-trip-same-core";

fn main() {
    run(
        &[spinning, awake, asleep, same_core],
        &[
            Ratio::new(SPINNING, "shm-spin/8", "cache-line/8"),
            Ratio::new(SPINNING, "ring/8", "cache-line/8"),
            Ratio::new(SPINNING, "Queue-u64/8", "cache-line/8"),
            Ratio::new(ASLEEP, "ring/8", "shm-futex/8"),
            Ratio::new(ASLEEP, "Queue-u64/8", "shm-futex/8"),
            Ratio::new(ASLEEP, "Queue-u64/8", "pipe/8"),
            Ratio::new(SAME_CORE, "ring/8", "shm-futex/8"),
            Ratio::new(SAME_CORE, "Queue-u64/8", "shm-futex/8"),
            Ratio::new(SAME_CORE, "Queue-u64/8", "pipe/8"),
            Ratio::new(SAME_CORE, "pipe/8", "std-pipe/8"),
            Ratio::new(SAME_CORE, "unix-stream/8", "std-unix-stream/8"),
        ],
    );
}

/// Nobody sleeps: both look for the next message all the time.
fn spinning(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(SPINNING);
    there_and_back::<LineLink>(&mut group, Cores::Two);
    there_and_back::<SharedLink<Spin>>(&mut group, Cores::Two);
    there_and_back::<MappedFile>(&mut group, Cores::Two);
    there_and_back::<NumberLink>(&mut group, Cores::Two);
    there_and_back::<RingLink>(&mut group, Cores::Two);
    there_and_back::<BytesLink>(&mut group, Cores::Two);
    there_and_back::<BorrowedLink>(&mut group, Cores::Two);
    group.finish();
}

/// Each asks for the next message at once, and waits as the primitive waits: most of them sleep.
fn awake(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(AWAKE);
    each(&mut group, &On(Cores::Two));
    hand_over::<Flock>(&mut group, Cores::Two);
    hand_over::<Ofd>(&mut group, Cores::Two);
    group.finish();
}

/// Only one of the processes can run at a time, so each is woken.
fn same_core(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(SAME_CORE);
    each(&mut group, &On(Cores::Same));
    hand_over::<Flock>(&mut group, Cores::Same);
    hand_over::<Ofd>(&mut group, Cores::Same);
    group.finish();
}

/// Each message is sent when its receiver has been asleep for a while.
fn asleep(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(ASLEEP);
    each(&mut group, &Late);
    group.finish();
}

/// How to measure a link.
trait Measure {
    fn measure<L: Link>(&self, group: &mut Group<'_>);
}

struct On(Cores);

impl Measure for On {
    fn measure<L: Link>(&self, group: &mut Group<'_>) {
        there_and_back::<L>(group, self.0);
    }
}

struct Late;

impl Measure for Late {
    fn measure<L: Link>(&self, group: &mut Group<'_>) {
        wake_and_be_woken::<L>(group);
    }
}

/// Everything that lets a receiver sleep.
fn each(group: &mut Group<'_>, how: &impl Measure) {
    how.measure::<SharedLink<Futex>>(group);
    how.measure::<SharedLink<PosixSemaphore>>(group);
    how.measure::<SharedLink<NamedSemaphore>>(group);
    how.measure::<SharedLink<SysvSemaphore>>(group);
    how.measure::<SharedLink<EventFd>>(group);
    how.measure::<SignalLink>(group);
    how.measure::<PipeLink>(group);
    how.measure::<FifoLink>(group);
    how.measure::<PosixQueueLink>(group);
    how.measure::<SysvQueueLink>(group);
    how.measure::<StreamLink>(group);
    how.measure::<NamedStreamLink>(group);
    how.measure::<DatagramLink>(group);
    how.measure::<NamedDatagramLink>(group);
    how.measure::<SeqpacketLink>(group);
    how.measure::<NamedSeqpacketLink>(group);
    how.measure::<TcpLink>(group);
    how.measure::<UdpLink>(group);
    how.measure::<RingLink>(group);
    how.measure::<NumberLink>(group);
    how.measure::<BytesLink>(group);
    how.measure::<ConnectionLink>(group);
    how.measure::<StdPipeLink>(group);
    how.measure::<StdStreamLink>(group);
}
