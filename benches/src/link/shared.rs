//! Messages in shared memory, beside which something says that they are there.

use std::{env, fs, sync::atomic::AtomicU32};

use mp_mmap::Mapping;
use mp_os::transfer::Fd;
use mp_shm::Segment;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Link, Spin, Tell, unique};

/// A message in shared memory `M`, and `T` to say that it is there.
///
/// In a conversation there is one message at a time. A stream has several places, and the receiver says by another `T` that
/// one is free again.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct SharedLink<T: Tell, M: Memory = Segment> {
    memory: M,
    full: T,
    free: T,
    /// How many messages of the stream have been sent, or received.
    next: usize,
    places: usize,
    len: usize,
}

/// Where the word of `full` is. A short message of a conversation is in the same cache line, as anybody would have it.
const FULL: usize = 0;
const MESSAGE: usize = 8;
/// Where the word of `free` is, in a line of its own.
const FREE: usize = 128;
/// Where the places begin.
const PLACES: usize = 256;

impl<T: Tell, M: Memory> SharedLink<T, M> {
    fn offset(&self, place: usize) -> usize {
        PLACES + place * self.len.next_multiple_of(64)
    }

    /// Where the message of a conversation is.
    fn alone(&self) -> usize {
        if self.len <= 64 - MESSAGE { MESSAGE } else { self.offset(0) }
    }

    /// The place that is next.
    fn step(&mut self) -> usize {
        let offset = self.offset(self.next % self.places);
        self.next += 1;
        offset
    }
}

impl<T: Tell, M: Memory> Link for SharedLink<T, M> {
    const NAME: &'static str = if M::IS_ANONYMOUS { T::NAME } else { "mapped-file" };

    fn open(len: usize) -> Self {
        let places = ((1 << 20) / len).clamp(2, 64);
        let mut memory = M::create(PLACES + places * len.next_multiple_of(64));
        let full = T::create(0, word(memory.mapping(), FULL));
        let permits = u16::try_from(places).expect("64 at most");
        let free = T::create(permits, word(memory.mapping(), FREE));
        Self { memory, full, free, next: 0, places, len }
    }

    fn send(&mut self, message: &[u8]) {
        let place = self.alone();
        let memory = self.memory.mapping();
        memory.copy_in(place, message).expect("room for it");
        self.full.post(word(memory, FULL));
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        let place = self.alone();
        let memory = self.memory.mapping();
        self.full.wait(word(memory, FULL));
        memory.copy_out(place, message).expect("room for it");
    }

    fn send_all(&mut self, message: &[u8], count: u64) {
        for _ in 0..count {
            let place = self.step();
            let memory = self.memory.mapping();
            self.free.wait(word(memory, FREE));
            memory.copy_in(place, message).expect("room for it");
            self.full.post(word(memory, FULL));
        }
    }

    fn recv_all(&mut self, message: &mut Vec<u8>, count: u64) {
        for _ in 0..count {
            let place = self.step();
            let memory = self.memory.mapping();
            self.full.wait(word(memory, FULL));
            memory.copy_out(place, message).expect("room for it");
            self.free.post(word(memory, FREE));
        }
    }
}

fn word(memory: &Mapping, offset: usize) -> &AtomicU32 {
    memory.atomic_u32(offset).expect("the first lines are there")
}

/// Memory that two processes share.
pub trait Memory: Serialize + DeserializeOwned + 'static {
    /// Whether there is nothing behind it.
    const IS_ANONYMOUS: bool;

    /// So many bytes, all zero.
    fn create(len: usize) -> Self;

    /// This process's view of it.
    fn mapping(&mut self) -> &Mapping;
}

impl Memory for Segment {
    const IS_ANONYMOUS: bool = true;

    fn create(len: usize) -> Self {
        Self::create("mp-bench", len).expect("shared memory")
    }

    fn mapping(&mut self) -> &Mapping {
        Segment::mapping(self)
    }
}

/// The mapping of a file.
#[derive(Debug, Serialize, Deserialize)]
pub struct File {
    file: Fd<fs::File>,
    #[serde(skip)]
    mapping: Option<Mapping>,
}

impl Memory for File {
    const IS_ANONYMOUS: bool = false;

    fn create(len: usize) -> Self {
        let path = env::temp_dir().join(unique());
        let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = file.expect("a file");
        fs::remove_file(path).expect("the file that was made");
        file.set_len(len as u64).expect("a file of this length");
        Self { file: file.into(), mapping: None }
    }

    fn mapping(&mut self) -> &Mapping {
        let map = || Mapping::map(&*self.file).expect("a file that can be mapped");
        self.mapping.get_or_insert_with(map)
    }
}

/// A file that both have mapped, and a word in it for which the receiver looks all the time.
pub type MappedFile = SharedLink<Spin, File>;
