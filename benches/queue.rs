//! What a message to another process costs: there and back, and one way in a stream.

use std::{
    cell::{LazyCell, RefCell},
    hint::black_box,
    rc::Rc,
    time::{Duration, Instant},
};

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use mp_benches::{
    Cores, Crew, Link, Peer, Ratio, Rounds,
    link::{
        BatchLink, BytesLink, FutexLink, LineLink, NumberLink, PipeLink, RingLink, SocketLink,
        number,
    },
    run,
};
use nix::time::{ClockId, clock_gettime};
use serde::{Serialize, de::DeserializeOwned};

const AWAKE: &str = "round-trip-awake";
const ASLEEP: &str = "round-trip-asleep";
const SAME_CORE: &str = "round-trip-same-core";
const MANY: &str = "many-to-many-8-B";

fn main() {
    run(
        &[awake, asleep, same_core, one_way_8, one_way_64, one_way_4_kib, one_way_1_mib, many],
        &[
            Ratio::new(AWAKE, "ring", "cache-line"),
            Ratio::new(AWAKE, "queue", "cache-line"),
            Ratio::new(ASLEEP, "ring", "futex"),
            Ratio::new(ASLEEP, "queue", "futex"),
            Ratio::new(ASLEEP, "queue", "pipe"),
            Ratio::new(SAME_CORE, "ring", "futex"),
            Ratio::new(SAME_CORE, "queue", "futex"),
            Ratio::new(SAME_CORE, "queue", "pipe"),
            Ratio::new("one-way-8-B", "queue", "pipe"),
            Ratio::new("one-way-64-B", "ring", "pipe"),
            Ratio::new("one-way-4-KiB", "ring", "memcpy"),
            Ratio::new("one-way-4-KiB", "ring", "pipe"),
            Ratio::new("one-way-1-MiB", "ring", "memcpy"),
            Ratio::new("one-way-1-MiB", "ring", "pipe"),
            Ratio::new(MANY, "1-1", "4-4"),
        ],
    );
}

/// A peer, and the links that both processes have.
struct Conversation<A> {
    peer: Peer,
    links: Links<A>,
}

type Links<A> = Rc<RefCell<A>>;

impl<A: Serialize + DeserializeOwned + 'static> Conversation<A> {
    fn start(cores: Cores, work: fn((Rounds, Links<A>)), links: A) -> Self {
        let links = Rc::new(RefCell::new(links));
        Self { peer: Peer::start(cores, work, Rc::clone(&links)), links }
    }

    fn round(&self, count: u64, work: impl FnOnce(&mut A)) -> Duration {
        self.peer.round(count, || work(&mut self.links.borrow_mut()))
    }
}

/// Both processes look for the next message all the time.
fn awake(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(AWAKE);
    there_and_back::<LineLink>(&mut group, Cores::Two);
    there_and_back::<RingLink>(&mut group, Cores::Two);
    there_and_back::<NumberLink>(&mut group, Cores::Two);
    group.finish();
}

/// Only one of the processes can run at a time, so each is woken.
fn same_core(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(SAME_CORE);
    there_and_back::<FutexLink>(&mut group, Cores::Same);
    there_and_back::<RingLink>(&mut group, Cores::Same);
    there_and_back::<NumberLink>(&mut group, Cores::Same);
    there_and_back::<PipeLink>(&mut group, Cores::Same);
    there_and_back::<SocketLink>(&mut group, Cores::Same);
    group.finish();
}

fn there_and_back<L: Link>(group: &mut BenchmarkGroup<'_, WallTime>, cores: Cores) {
    let links = || (L::open(8), L::open(8));
    let conversation = LazyCell::new(|| Conversation::start(cores, echo::<L>, links()));
    let mut last = 0_u64;
    group.bench_function(L::NAME, |bencher| {
        bencher.iter_custom(|count| {
            conversation.round(count, |(there, back)| {
                let mut message = vec![0; 8];
                for _ in 0..count {
                    last += 1;
                    there.send(&last.to_ne_bytes());
                    back.recv(&mut message);
                    assert_eq!(number(&message), last, "what comes back is what went there");
                }
            })
        });
    });
}

fn echo<L: Link>((rounds, links): (Rounds, Links<(L, L)>)) {
    let (there, back) = &mut *links.borrow_mut();
    let mut message = vec![0; 8];
    rounds.serve(|count| {
        for _ in 0..count {
            there.recv(&mut message);
            back.send(&message);
        }
    });
}

/// Each message is sent when its receiver has been asleep for a while.
fn asleep(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(ASLEEP);
    wake_and_be_woken::<FutexLink>(&mut group);
    wake_and_be_woken::<RingLink>(&mut group);
    wake_and_be_woken::<NumberLink>(&mut group);
    wake_and_be_woken::<PipeLink>(&mut group);
    wake_and_be_woken::<SocketLink>(&mut group);
    group.finish();
}

/// A message is the time at which it was sent, so that the time before, in which nothing is measured, does not count.
fn wake_and_be_woken<L: Link>(group: &mut BenchmarkGroup<'_, WallTime>) {
    let links = || (L::open(8), L::open(8));
    let conversation = LazyCell::new(|| Conversation::start(Cores::Two, answer_late::<L>, links()));
    group.bench_function(L::NAME, |bencher| {
        bencher.iter_custom(|count| {
            let mut nanos = 0;
            conversation.round(count, |(there, back)| {
                let mut message = vec![0; 8];
                for _ in 0..count {
                    think();
                    there.send(&now().to_ne_bytes());
                    back.recv(&mut message);
                    nanos += now() - number(&message);
                }
            });
            Duration::from_nanos(nanos)
        });
    });
}

/// Answers with a time so much before that of sending as the message took to come: what has passed since then, when the
/// answer arrives, is the time on both ways.
fn answer_late<L: Link>((rounds, links): (Rounds, Links<(L, L)>)) {
    let (there, back) = &mut *links.borrow_mut();
    let mut message = vec![0; 8];
    rounds.serve(|count| {
        for _ in 0..count {
            there.recv(&mut message);
            let way = now() - number(&message);
            think();
            back.send(&(now() - way).to_ne_bytes());
        }
    });
}

/// Works for longer than anybody looks before sleeping.
fn think() {
    let start = Instant::now();
    while start.elapsed() < Duration::from_micros(200) {
        std::hint::spin_loop();
    }
}

/// Nanoseconds of the clock that all processes share.
fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has it");
    Duration::from(time).as_nanos().try_into().expect("the machine is younger than 500 years")
}

fn one_way_8(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one-way-8-B");
    stream::<RingLink>(&mut group, 8);
    stream::<BatchLink>(&mut group, 8);
    stream::<NumberLink>(&mut group, 8);
    stream::<PipeLink>(&mut group, 8);
    stream::<SocketLink>(&mut group, 8);
    group.finish();
}

fn one_way_64(criterion: &mut Criterion) {
    one_way(criterion, "one-way-64-B", 64);
}

fn one_way_4_kib(criterion: &mut Criterion) {
    one_way(criterion, "one-way-4-KiB", 4 << 10);
}

fn one_way_1_mib(criterion: &mut Criterion) {
    one_way(criterion, "one-way-1-MiB", 1 << 20);
}

fn one_way(criterion: &mut Criterion, name: &str, len: usize) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(len as u64));
    group.bench_function("memcpy", |bencher| {
        let (from, mut to) = (vec![1_u8; len], vec![0_u8; len]);
        bencher.iter(|| black_box(&mut to).copy_from_slice(black_box(&from)));
    });
    stream::<RingLink>(&mut group, len);
    stream::<BatchLink>(&mut group, len);
    stream::<BytesLink>(&mut group, len);
    stream::<PipeLink>(&mut group, len);
    stream::<SocketLink>(&mut group, len);
    group.finish();
}

fn stream<L: Link>(group: &mut BenchmarkGroup<'_, WallTime>, len: usize) {
    let conversation =
        LazyCell::new(|| Conversation::start(Cores::Two, drain::<L>, (len, L::open(len))));
    let message = vec![7; len];
    group.bench_function(L::NAME, |bencher| {
        bencher.iter_custom(|count| {
            conversation.round(count, |(_, link)| link.send_all(&message, count))
        });
    });
}

fn drain<L: Link>((rounds, links): (Rounds, Links<(usize, L)>)) {
    let (len, link) = &mut *links.borrow_mut();
    let mut message = vec![0; *len];
    rounds.serve(|count| link.recv_all(&mut message, count));
    assert_eq!(message.len(), *len, "what arrives has the length of what was sent");
}

/// One producer and one consumer, and four of each, wherever the kernel places them: the time for each message of all.
fn many(criterion: &mut Criterion) {
    mp_benches::unpin();
    let mut group = criterion.benchmark_group(MANY);
    for (name, pairs) in [("1-1", 1), ("4-4", 4)] {
        let crew = LazyCell::new(|| Crew::start(pairs));
        group.bench_function(name, |bencher| bencher.iter_custom(|count| crew.round(count)));
    }
    group.finish();
}
