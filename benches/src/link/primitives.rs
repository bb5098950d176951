//! The crates of this workspace, one for each mode of IPC: what a person who takes one of them alone gets.

use std::{
    env, fs, hint,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr},
    os::fd::OwnedFd,
    process,
    sync::atomic::{
        AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use mp_mmap::Mapping;
use mp_mqueue::{posix, sysv};
use mp_os::{sysv::Key, transfer::Fd};
use mp_pipe::{Fifo, PipeReader, PipeWriter};
use mp_sem::sysv::Op;
use mp_signal::{Block, Signal};
use mp_socket::{SeqpacketSocket, TcpListener, TcpStream, UnixDatagram, UnixStream};
use nix::sys::eventfd::EventFd;
use serde::{Deserialize, Serialize};

use super::{Link, number};
use crate::Words;

/// A name that no other link has.
fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("mp-bench-{}-{}", process::id(), NEXT.fetch_add(1, Relaxed))
}

/// A real-time signal with a value. Messages have eight bytes.
#[derive(Debug, Serialize, Deserialize)]
pub struct SignalLink {
    /// The receiver, once it is ready.
    words: Words,
    #[serde(skip)]
    blocked: Option<Block>,
}

impl SignalLink {
    fn signal() -> Signal {
        Signal::rt(3).expect("there are thirty of them")
    }
}

impl Link for SignalLink {
    const NAME: &'static str = "signal";

    fn open(_len: usize) -> Self {
        Self { words: Words::create(), blocked: None }
    }

    fn send(&mut self, message: &[u8]) {
        let receiver = loop {
            match self.words.u32(0).load(Acquire) {
                0 => hint::spin_loop(),
                process => break process,
            }
        };
        let value = usize::try_from(number(message)).expect("a word");
        let target = mp_signal::Target::Process(receiver);
        mp_signal::queue(target, Self::signal(), value).expect("a process that takes signals");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        let words = &self.words;
        let blocked = self.blocked.get_or_insert_with(|| {
            let blocked = Block::new(Self::signal()).expect("it may be blocked");
            words.u32(0).store(process::id(), Release);
            blocked
        });
        let info = blocked.wait().expect("a signal");
        let value = info.value().expect("it was sent with one").as_usize();
        message.copy_from_slice(&value.to_ne_bytes());
    }
}

/// `mp_mqueue::posix`.
#[derive(Debug, Serialize, Deserialize)]
pub struct PosixQueueLink(posix::MessageQueue);

impl Link for PosixQueueLink {
    const NAME: &'static str = "posix-mq";

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

/// A number in shared memory, and `mp_sem::posix` to say that it is there.
#[derive(Debug, Serialize, Deserialize)]
pub struct PosixSemaphoreLink(Words, mp_sem::posix::Semaphore);

impl Link for PosixSemaphoreLink {
    const NAME: &'static str = "posix-sem";

    fn open(_len: usize) -> Self {
        Self(Words::create(), mp_sem::posix::Semaphore::unnamed(0).expect("a semaphore"))
    }

    fn send(&mut self, message: &[u8]) {
        self.0.u64(0).store(number(message), Relaxed);
        self.1.release(1).expect("a semaphore that is there");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        self.1.acquire().expect("a semaphore that is there").forget();
        message.copy_from_slice(&self.0.u64(0).load(Relaxed).to_ne_bytes());
    }
}

/// A number in shared memory, and `mp_sem::sysv` to say that it is there.
#[derive(Debug, Serialize, Deserialize)]
pub struct SysvSemaphoreLink(Words, mp_sem::sysv::SemaphoreSet);

impl Link for SysvSemaphoreLink {
    const NAME: &'static str = "sysv-sem";

    fn open(_len: usize) -> Self {
        let set = mp_sem::sysv::SemaphoreSet::create_new(Key::PRIVATE, &[0]);
        Self(Words::create(), set.expect("a set of semaphores"))
    }

    fn send(&mut self, message: &[u8]) {
        self.0.u64(0).store(number(message), Relaxed);
        self.1.release(0, 1).expect("a set that is there");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        self.1.op(&[Op::acquire(0, 1)]).expect("a set that is there");
        message.copy_from_slice(&self.0.u64(0).load(Relaxed).to_ne_bytes());
    }
}

/// `eventfd(2)`, whose number is the message: for one at a time.
#[derive(Debug, Serialize, Deserialize)]
pub struct EventFdLink(Fd<fs::File>);

impl Link for EventFdLink {
    const NAME: &'static str = "eventfd";

    fn open(_len: usize) -> Self {
        let event = OwnedFd::from(EventFd::new().expect("an eventfd"));
        Self(fs::File::from(event).into())
    }

    fn send(&mut self, message: &[u8]) {
        self.0.write_all(message).expect("an eventfd");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        self.0.read_exact(message).expect("an eventfd");
    }
}

/// A number in a file that both have mapped, for which the receiver looks all the time: `mp_mmap`.
#[derive(Debug, Serialize, Deserialize)]
pub struct MappedFileLink {
    file: Fd<fs::File>,
    #[serde(skip)]
    mapping: Option<Mapping>,
    seen: u64,
}

impl MappedFileLink {
    fn word(&mut self) -> &AtomicU64 {
        let map = || Mapping::map(&*self.file).expect("a file that can be mapped");
        self.mapping.get_or_insert_with(map).atomic_u64(0).expect("the file has a page")
    }
}

impl Link for MappedFileLink {
    const NAME: &'static str = "mapped-file";

    fn open(_len: usize) -> Self {
        let path = env::temp_dir().join(unique());
        let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = file.expect("a file");
        fs::remove_file(path).expect("the file that was made");
        file.set_len(4096).expect("a page of a file");
        Self { file: file.into(), mapping: None, seen: 0 }
    }

    fn send(&mut self, message: &[u8]) {
        self.word().store(number(message), Release);
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        let seen = self.seen;
        let word = self.word();
        let now = loop {
            match word.load(Acquire) {
                now if now == seen => hint::spin_loop(),
                now => break now,
            }
        };
        self.seen = now;
        message.copy_from_slice(&now.to_ne_bytes());
    }
}

/// Two connected ends: the name of the link, the types of the one that reads and of the one that writes, what criterion
/// calls it, how the ends are made, and the methods that send and receive a message.
macro_rules! ends {
    ($($(#[$doc:meta])* $link:ident($reader:ty, $writer:ty), $name:literal, $ends:expr, $send:ident, $recv:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Serialize, Deserialize)]
        pub struct $link($reader, $writer);

        impl Link for $link {
            const NAME: &'static str = $name;

            fn open(_len: usize) -> Self {
                let (reader, writer) = $ends;
                Self(reader, writer)
            }

            fn send(&mut self, message: &[u8]) {
                self.1.$send(message).expect("an end whose other end reads");
            }

            fn recv(&mut self, message: &mut Vec<u8>) {
                self.0.$recv(message).expect("an end whose other end writes");
            }
        }
    )+};
}

ends! {
    /// `mp_pipe::pipe`.
    UnnamedLink(PipeReader, PipeWriter), "mp-pipe", mp_pipe::pipe().expect("a pipe"), write_all, read_exact;
    /// `mp_pipe::Fifo`.
    FifoLink(PipeReader, PipeWriter), "fifo", fifo(), write_all, read_exact;
    /// `mp_socket::UnixStream`.
    StreamLink(UnixStream, UnixStream), "mp-unix-stream", UnixStream::pair().expect("a pair"), write_all, read_exact;
    /// `mp_socket::TcpStream` by the loopback interface.
    TcpLink(TcpStream, TcpStream), "tcp", tcp(), write_all, read_exact;
    /// `mp_socket::UnixDatagram`.
    DatagramLink(UnixDatagram, UnixDatagram), "unix-dgram", UnixDatagram::pair().expect("a pair"), send, recv;
    /// `mp_socket::SeqpacketSocket`.
    SeqpacketLink(SeqpacketSocket, SeqpacketSocket), "unix-seqpacket", SeqpacketSocket::pair().expect("a pair"), send, recv;
}

/// The ends of a FIFO, whose file is gone once both are open.
fn fifo() -> (PipeReader, PipeWriter) {
    let fifo = Fifo::create_new(env::temp_dir().join(unique()), 0o600).expect("a FIFO");
    let reader = fifo.listen().expect("an end that reads");
    (reader, fifo.open_writer().expect("an end that writes"))
}

fn tcp() -> (TcpStream, TcpStream) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = TcpListener::bind(any).expect("a port");
    let address = listener.local_address().expect("it is bound");
    let writer = TcpStream::connect(address).expect("somebody listens");
    let (reader, _) = listener.accept().expect("somebody has connected");
    (reader, writer)
}

/// `mp_core::Connection`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ConnectionLink(
    mp_core::Connection<mp_core::RecvOnly>,
    mp_core::Connection<mp_core::SendOnly>,
);

impl Link for ConnectionLink {
    const NAME: &'static str = "connection";

    fn open(_len: usize) -> Self {
        let (reader, writer) = mp_core::one_way_pipe().expect("a connection");
        Self(reader, writer)
    }

    fn send(&mut self, message: &[u8]) {
        self.1.send_bytes(message).expect("a connection that is read");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        *message = self.0.recv_bytes().expect("a connection that is written");
    }
}
