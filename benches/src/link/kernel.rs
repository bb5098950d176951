//! What goes through the kernel and is no socket, by the crates of this workspace.

use std::{
    env, hint,
    io::{self, Read, Write},
    process,
    sync::atomic::{
        AtomicU32,
        Ordering::{Acquire, Relaxed, Release},
    },
    thread,
};

use mp_mqueue::{posix, sysv};
use mp_os::sysv::Key;
use mp_pipe::{Fifo, PipeReader, PipeWriter};
use mp_signal::{Block, Signal, Target};
use nix::unistd::gettid;
use serde::{Deserialize, Serialize};

use super::{Link, number};
use crate::Words;

/// A name that no other link has.
pub fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("mp-bench-{}-{}", process::id(), NEXT.fetch_add(1, Relaxed))
}

/// `mp_pipe::pipe`.
#[derive(Debug, Serialize, Deserialize)]
pub struct PipeLink(PipeReader, PipeWriter);

impl Link for PipeLink {
    const NAME: &'static str = "pipe";

    fn open(_len: usize) -> Self {
        let (reader, writer) = mp_pipe::pipe().expect("a pipe");
        Self(reader, writer)
    }

    fn send(&mut self, message: &[u8]) {
        self.1.write_all(message).expect("a pipe that is read");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        self.0.read_exact(message).expect("a pipe that is written");
    }
}

/// `mp_pipe::Fifo`, whose file is gone once both ends are open.
#[derive(Debug, Serialize, Deserialize)]
pub struct FifoLink(PipeReader, PipeWriter);

impl Link for FifoLink {
    const NAME: &'static str = "fifo";

    fn open(_len: usize) -> Self {
        let fifo = Fifo::create_new(env::temp_dir().join(unique()), 0o600).expect("a FIFO");
        let reader = fifo.listen().expect("an end that reads");
        Self(reader, fifo.open_writer().expect("an end that writes"))
    }

    fn send(&mut self, message: &[u8]) {
        self.1.write_all(message).expect("a FIFO that is read");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        self.0.read_exact(message).expect("a FIFO that is written");
    }
}

/// A real-time signal, whose value is the message.
#[derive(Debug, Serialize, Deserialize)]
pub struct SignalLink {
    /// The receiver, once it is ready.
    words: Words,
    #[serde(skip)]
    blocked: Option<Block>,
}

/// The line of the number of the receiver's process.
const PROCESS: usize = 0;
/// The line of that of its thread, which is written last.
const THREAD: usize = 1;

impl SignalLink {
    fn signal() -> Signal {
        Signal::rt(3).expect("there are thirty of them")
    }
}

impl Link for SignalLink {
    const NAME: &'static str = "signal";
    const LONGEST: usize = 8;

    fn open(_len: usize) -> Self {
        Self { words: Words::create(), blocked: None }
    }

    fn send(&mut self, message: &[u8]) {
        let thread = loop {
            match self.words.u32(THREAD).load(Acquire) {
                0 => hint::spin_loop(),
                thread => break thread,
            }
        };
        let value = usize::try_from(number::read(message)).expect("a word");
        let process = self.words.u32(PROCESS).load(Relaxed);
        // Not to the process, which has threads that do not block it: of those the kernel would take one, to end them all.
        let target = Target::Thread { process, thread };
        while let Err(error) = mp_signal::queue(target, Self::signal(), value) {
            // As many are pending as may be, and the kernel has no call that waits for room.
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
            thread::yield_now();
        }
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        let words = &self.words;
        let blocked = self.blocked.get_or_insert_with(|| {
            let blocked = Block::new(Self::signal()).expect("it may be blocked");
            words.u32(PROCESS).store(process::id(), Relaxed);
            words.u32(THREAD).store(gettid().as_raw().cast_unsigned(), Release);
            blocked
        });
        let info = blocked.wait().expect("a signal");
        number::write(message, info.value().expect("it was sent with one").as_usize() as u64);
    }
}

/// The longest message that the kernel lets into its queues without being told to.
const QUEUE_MESSAGE: usize = 8 << 10;

/// `mp_mqueue::posix`.
#[derive(Debug, Serialize, Deserialize)]
pub struct PosixQueueLink(posix::MessageQueue);

impl Link for PosixQueueLink {
    const NAME: &'static str = "posix-mq";
    const LONGEST: usize = QUEUE_MESSAGE;

    fn open(len: usize) -> Self {
        let options = posix::CreateOptions::new().message_size(len);
        Self(options.create_new(format!("/{}", unique())).expect("a message queue"))
    }

    fn send(&mut self, message: &[u8]) {
        self.0.send(message, 0).expect("a message of the size of the queue");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        self.0.recv(message).expect("a queue that is there");
    }
}

/// `mp_mqueue::sysv`.
#[derive(Debug, Serialize, Deserialize)]
pub struct SysvQueueLink(sysv::MessageQueue);

impl Link for SysvQueueLink {
    const NAME: &'static str = "sysv-msg";
    const LONGEST: usize = QUEUE_MESSAGE;

    fn open(_len: usize) -> Self {
        Self(sysv::MessageQueue::create_new(Key::PRIVATE).expect("a message queue"))
    }

    fn send(&mut self, message: &[u8]) {
        self.0.send(message, 1).expect("a queue that is there");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        self.0.recv(message, sysv::Select::FIRST).expect("a queue that is there");
    }
}
