//! Measurements of a [`Link`]: there and back, and one way in a stream.

use std::{
    cell::{LazyCell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use criterion::{BenchmarkGroup, BenchmarkId, measurement::WallTime};
use nix::time::{ClockId, clock_gettime};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Cores, Link, Peer, Rounds, few_sizes, in_rounds, link::number, moves, sizes};

/// A group of criterion.
pub type Group<'criterion> = BenchmarkGroup<'criterion, WallTime>;

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

/// Messages of all [`sizes`] there, and back again, each as soon as the one before has come.
///
/// # Panics
///
/// Where something else comes back.
pub fn there_and_back<L: Link>(group: &mut Group<'_>, cores: Cores) {
    let sizes = if cores == Cores::Two { sizes() } else { few_sizes() };
    for len in fitting::<L>(sizes) {
        moves(group, 2, len);
        ping_pong::<L>(group, BenchmarkId::new(L::NAME, len), cores, len);
    }
}

/// Messages of `len` bytes there, and back again, by the name of `id`.
///
/// # Panics
///
/// Where something else comes back.
pub fn ping_pong<L: Link>(group: &mut Group<'_>, id: BenchmarkId, cores: Cores, len: usize) {
    let conversation =
        LazyCell::new(|| Conversation::start(cores, echo::<L>, (len, L::open(len), L::open(len))));
    let mut last = 0_u64;
    group.bench_function(
        id,
        in_rounds(|count| {
            conversation.round(count, |(_, there, back)| {
                let (mut question, mut answer) = (vec![7; len], vec![0; len]);
                for _ in 0..count {
                    last += 1;
                    number::write(&mut question, last);
                    there.send(&question);
                    back.recv(&mut answer);
                    assert_eq!(number::read(&answer), last, "what comes back is what went there");
                }
            })
        }),
    );
}

fn echo<L: Link>((rounds, links): (Rounds, Links<(usize, L, L)>)) {
    let (len, there, back) = &mut *links.borrow_mut();
    let mut message = vec![0; *len];
    rounds.serve(|count| {
        for _ in 0..count {
            there.recv(&mut message);
            back.send(&message);
        }
    });
}

/// A message there and back, of [few sizes](few_sizes), each sent when its receiver has been asleep for a while.
pub fn wake_and_be_woken<L: Link>(group: &mut Group<'_>) {
    for len in fitting::<L>(few_sizes()) {
        moves(group, 2, len);
        wake_up::<L>(group, BenchmarkId::new(L::NAME, len), len);
    }
}

/// A message of `len` bytes there and back, each sent when its receiver has been asleep for a while, by the name of `id`.
///
/// A message begins with the time at which it was sent, so that the time before, in which nothing is measured, does not
/// count.
pub fn wake_up<L: Link>(group: &mut Group<'_>, id: BenchmarkId, len: usize) {
    let links = || (len, L::open(len), L::open(len));
    let conversation = LazyCell::new(|| Conversation::start(Cores::Two, answer_late::<L>, links()));
    let round = |count| {
        let mut nanos = 0;
        conversation.round(count, |(_, there, back)| {
            let mut message = vec![0; len];
            for _ in 0..count {
                think();
                number::write(&mut message, now());
                there.send(&message);
                back.recv(&mut message);
                nanos += now() - number::read(&message);
            }
        });
        Duration::from_nanos(nanos)
    };
    group.bench_function(id, in_rounds(round));
}

/// Answers with a time so much before that of sending as the message took to come: what has passed since then, when the
/// answer arrives, is the time on both ways.
fn answer_late<L: Link>((rounds, links): (Rounds, Links<(usize, L, L)>)) {
    let (len, there, back) = &mut *links.borrow_mut();
    let mut message = vec![0; *len];
    rounds.serve(|count| {
        for _ in 0..count {
            there.recv(&mut message);
            let way = now() - number::read(&message);
            think();
            number::write(&mut message, now() - way);
            back.send(&message);
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

/// Messages of all [`sizes`] one way, until the last one is received.
///
/// # Panics
///
/// Where something else arrives.
pub fn stream<L: Link>(group: &mut Group<'_>) {
    for len in fitting::<L>(sizes()) {
        let conversation =
            LazyCell::new(|| Conversation::start(Cores::Two, drain::<L>, (len, L::open(len))));
        let message = vec![SENT; len];
        moves(group, 1, len);
        group.bench_function(
            BenchmarkId::new(L::NAME, len),
            in_rounds(|count| {
                conversation.round(count, |(_, link)| link.send_all(&message, count))
            }),
        );
    }
}

fn drain<L: Link>((rounds, links): (Rounds, Links<(usize, L)>)) {
    let (len, link) = &mut *links.borrow_mut();
    let mut message = vec![0; *len];
    rounds.serve(|count| {
        link.recv_all(&mut message, count);
        let ends = [message.first(), message.last()];
        assert_eq!(ends, [Some(&SENT); 2], "what arrives is what was sent");
    });
    assert_eq!(message.len(), *len, "what arrives has the length of what was sent");
}

/// What each byte of a stream is.
const SENT: u8 = 7;

fn fitting<L: Link>(sizes: Vec<usize>) -> impl Iterator<Item = usize> {
    sizes.into_iter().filter(|&len| len <= L::LONGEST)
}
