//! Channels between threads of one process: what there is to gain by doing without a second process.

use std::{
    cell::{LazyCell, RefCell},
    hint,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use criterion::BenchmarkId;
use crossbeam_channel::{Receiver, Sender};
use mp_benches::{Cores, Group, Peer, Rounds, few_sizes, in_rounds, link::number, moves, sizes};
use rtrb::{Consumer, Producer, RingBuffer};

/// One direction between two threads, in messages of one length.
pub trait Channel: 'static {
    /// What criterion calls it.
    const NAME: &'static str;

    /// The longest message that it carries, in bytes.
    const LONGEST: usize = usize::MAX;

    /// The end that sends.
    type Sender: Send + 'static;

    /// The end that receives.
    type Receiver: Send + 'static;

    /// A channel for messages of `len` bytes.
    fn open(len: usize) -> (Self::Sender, Self::Receiver);

    /// Sends one message, waiting while there is no room.
    ///
    /// # Panics
    ///
    /// Where nobody receives.
    fn send(sender: &mut Self::Sender, message: &[u8]);

    /// Waits for one message and puts it in the place of the one in `message`, which has its length.
    ///
    /// # Panics
    ///
    /// Where nobody sends.
    fn recv(receiver: &mut Self::Receiver, message: &mut Vec<u8>);
}

/// How many messages fit, where they are not large: as many as in a queue of `mp-core`.
const MESSAGES: usize = 1024;

/// `crossbeam-channel`, with numbers.
#[derive(Debug)]
pub struct Numbers;

impl Channel for Numbers {
    const NAME: &'static str = "crossbeam-u64";
    const LONGEST: usize = 8;
    type Sender = Sender<u64>;
    type Receiver = Receiver<u64>;

    fn open(_len: usize) -> (Self::Sender, Self::Receiver) {
        crossbeam_channel::bounded(MESSAGES)
    }

    fn send(sender: &mut Self::Sender, message: &[u8]) {
        sender.send(number::read(message)).expect("a channel that is received from");
    }

    fn recv(receiver: &mut Self::Receiver, message: &mut Vec<u8>) {
        number::write(message, receiver.recv().expect("a channel that is sent to"));
    }
}

/// `crossbeam-channel`, with byte vectors: each is a new copy, which its receiver owns.
#[derive(Debug)]
pub struct Bytes;

impl Channel for Bytes {
    const NAME: &'static str = "crossbeam";
    type Sender = Sender<Vec<u8>>;
    type Receiver = Receiver<Vec<u8>>;

    fn open(len: usize) -> (Self::Sender, Self::Receiver) {
        crossbeam_channel::bounded(((4 << 20) / len).clamp(2, MESSAGES))
    }

    fn send(sender: &mut Self::Sender, message: &[u8]) {
        sender.send(message.to_vec()).expect("a channel that is received from");
    }

    fn recv(receiver: &mut Self::Receiver, message: &mut Vec<u8>) {
        *message = receiver.recv().expect("a channel that is sent to");
    }
}

/// `rtrb`, a ring of bytes for one sender and one receiver, which look all the time: whole slices are copied in and out.
#[derive(Debug)]
pub struct Rtrb;

impl Channel for Rtrb {
    const NAME: &'static str = "rtrb";
    type Sender = Producer<u8>;
    type Receiver = Consumer<u8>;

    fn open(len: usize) -> (Self::Sender, Self::Receiver) {
        RingBuffer::new((4 * len).max(64 << 10))
    }

    fn send(sender: &mut Self::Sender, message: &[u8]) {
        while sender.push_entire_slice(message).is_err() {
            assert!(!sender.is_abandoned(), "a ring that is received from");
            hint::spin_loop();
        }
    }

    fn recv(receiver: &mut Self::Receiver, message: &mut Vec<u8>) {
        while receiver.pop_entire_slice(message).is_err() {
            assert!(!receiver.is_abandoned(), "a ring that is sent to");
            hint::spin_loop();
        }
    }
}

/// What [`mp_benches::there_and_back`] measures, with threads.
///
/// # Panics
///
/// Where something else comes back.
pub fn there_and_back<C: Channel>(group: &mut Group<'_>, cores: Cores) {
    let sizes = if cores == Cores::Two { sizes() } else { few_sizes() };
    for len in sizes.into_iter().filter(|&len| len <= C::LONGEST) {
        moves(group, 2, len);
        let conversation = LazyCell::new(|| {
            let (there, question) = C::open(len);
            let (answer, back) = C::open(len);
            let echo = move |rounds: Rounds| echo::<C>(&rounds, question, answer, len);
            RefCell::new((there, back, Peer::start_thread(cores, echo)))
        });
        let mut last = 0_u64;
        group.bench_function(
            BenchmarkId::new(C::NAME, len),
            in_rounds(|count| {
                let (there, back, peer) = &mut *conversation.borrow_mut();
                peer.round(count, || {
                    let (mut question, mut answer) = (vec![7; len], vec![0; len]);
                    for _ in 0..count {
                        last += 1;
                        number::write(&mut question, last);
                        C::send(there, &question);
                        C::recv(back, &mut answer);
                        assert_eq!(
                            number::read(&answer),
                            last,
                            "what comes back is what went there"
                        );
                    }
                })
            }),
        );
    }
}

fn echo<C: Channel>(rounds: &Rounds, mut question: C::Receiver, mut answer: C::Sender, len: usize) {
    let mut message = vec![0; len];
    rounds.serve(|count| {
        for _ in 0..count {
            C::recv(&mut question, &mut message);
            C::send(&mut answer, &message);
        }
    });
}

/// What [`mp_benches::stream`] measures, with threads.
///
/// # Panics
///
/// Where something else arrives.
pub fn stream<C: Channel>(group: &mut Group<'_>) {
    for len in sizes().into_iter().filter(|&len| len <= C::LONGEST) {
        moves(group, 1, len);
        let conversation = LazyCell::new(|| {
            let (sender, receiver) = C::open(len);
            let drain = move |rounds: Rounds| drain::<C>(&rounds, receiver, len);
            RefCell::new((sender, Peer::start_thread(Cores::Two, drain)))
        });
        let message = vec![SENT; len];
        group.bench_function(
            BenchmarkId::new(C::NAME, len),
            in_rounds(|count| {
                let (sender, peer) = &mut *conversation.borrow_mut();
                peer.round(count, || (0..count).for_each(|_| C::send(sender, &message)))
            }),
        );
    }
}

/// What each byte of a stream is.
const SENT: u8 = 7;

fn drain<C: Channel>(rounds: &Rounds, mut receiver: C::Receiver, len: usize) {
    let mut message = vec![0; len];
    rounds.serve(|count| {
        (0..count).for_each(|_| C::recv(&mut receiver, &mut message));
        let ends = [message.first(), message.last()];
        assert_eq!(ends, [Some(&SENT); 2], "what arrives is what was sent");
    });
}

/// How many producers and consumers there are.
pub const CREWS: [(usize, usize); 4] = [(1, 1), (4, 1), (1, 4), (4, 4)];

/// What a [`mp_benches::Crew`] measures, with threads that share a channel of `crossbeam-channel`.
pub fn many(group: &mut Group<'_>) {
    for (producers, consumers) in CREWS {
        let id = BenchmarkId::new(Numbers::NAME, format!("{producers}-{consumers}"));
        group.bench_function(id, in_rounds(|count| crew(producers, consumers, count)));
    }
}

/// At least `count` messages, as many as make the same for each: how long that takes for `count`.
fn crew(producers: usize, consumers: usize, count: u64) -> Duration {
    let (sender, receiver) = Numbers::open(8);
    let everybody = Barrier::new(producers + consumers + 1);
    let (producers, consumers) = (producers as u64, consumers as u64);
    let share = count.div_ceil(producers * consumers);
    let start = thread::scope(|scope| {
        for _ in 0..producers {
            scope.spawn(|| {
                everybody.wait();
                for item in 0..share * consumers {
                    sender.send(item).expect("a channel that is received from");
                }
            });
        }
        for _ in 0..consumers {
            scope.spawn(|| {
                everybody.wait();
                for _ in 0..share * producers {
                    receiver.recv().expect("a channel that is sent to");
                }
            });
        }
        let start = Instant::now();
        everybody.wait();
        start
    });
    start.elapsed().mul_f64(count as f64 / (share * producers * consumers) as f64)
}
