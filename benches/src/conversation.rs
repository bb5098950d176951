//! Measurements of a [`Link`]: there and back, and one way in a stream.

use std::{
    cell::{LazyCell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use criterion::{BenchmarkGroup, measurement::WallTime};
use nix::time::{ClockId, clock_gettime};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Cores, Link, Peer, Rounds, link::number};

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

/// A message of eight bytes there, and back again.
///
/// # Panics
///
/// Where something else comes back.
pub fn there_and_back<L: Link>(group: &mut BenchmarkGroup<'_, WallTime>, cores: Cores) {
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

/// A message there and back, each sent when its receiver has been asleep for a while.
///
/// A message is the time at which it was sent, so that the time before, in which nothing is measured, does not count.
pub fn wake_and_be_woken<L: Link>(group: &mut BenchmarkGroup<'_, WallTime>) {
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

/// Messages of `len` bytes one way.
pub fn stream<L: Link>(group: &mut BenchmarkGroup<'_, WallTime>, len: usize) {
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
