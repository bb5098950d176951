use std::{
    hint,
    panic::{self, AssertUnwindSafe},
    sync::atomic::Ordering::{Acquire, Release},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mp_channel::Ring;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Cores, Words, pin_to};

/// A process that works in step with this one, round by round.
///
/// Should it die in the middle, this process ends with it, rather than wait for what never comes.
#[derive(Debug)]
pub struct Peer {
    rounds: Rounds,
    /// Waits for the end of the process.
    watcher: Option<JoinHandle<()>>,
}

/// The peer's end: how many times to do its work in each round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rounds {
    counts: Ring,
    words: Words,
    core: usize,
    /// Whether waiting for the other one must leave it the core.
    is_alone: bool,
}

/// The number of rounds that the peer has begun.
const BEGUN: usize = 0;
/// The number of rounds that the peer has finished.
const DONE: usize = 1;

impl Peer {
    /// Binds the calling thread to its core and starts a process on the other, which runs `work`: most likely a call of
    /// [`Rounds::serve`].
    ///
    /// # Panics
    ///
    /// Where the operating system refuses.
    pub fn start<A>(cores: Cores, work: fn((Rounds, A)), argument: A) -> Self
    where
        A: Serialize + DeserializeOwned + 'static,
    {
        let rounds = Rounds::new(cores);
        let child = mp_process::spawn(work, (rounds.clone(), argument)).expect("a peer");
        pin_to(cores.numbers().0);
        let watcher = thread::spawn(move || {
            if let Err(error) = child.join() {
                eprintln!("the peer of this bench: {error}");
                end();
            }
        });
        Self { rounds, watcher: Some(watcher) }
    }

    /// The same with a thread in place of the process.
    ///
    /// # Panics
    ///
    /// Where the operating system refuses.
    pub fn start_thread(cores: Cores, work: impl FnOnce(Rounds) + Send + 'static) -> Self {
        let rounds = Rounds::new(cores);
        let theirs = rounds.clone();
        pin_to(cores.numbers().0);
        let watcher = thread::spawn(move || {
            // What it panicked with has been printed.
            if panic::catch_unwind(AssertUnwindSafe(|| work(theirs))).is_err() {
                end();
            }
        });
        Self { rounds, watcher: Some(watcher) }
    }

    /// Has the peer do its work `count` times while this process does `work`: how long it took until both were done.
    pub fn round(&self, count: u64, work: impl FnOnce()) -> Duration {
        let Rounds { counts, words, .. } = &self.rounds;
        let number = words.u64(BEGUN).load(Acquire) + 1;
        counts.push(&count.to_ne_bytes()).expect("a peer that waits for the next round");
        self.rounds.wait_for(BEGUN, number);
        let start = Instant::now();
        work();
        self.rounds.wait_for(DONE, number);
        start.elapsed()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.rounds.counts.close();
        if let Some(watcher) = self.watcher.take() {
            watcher.join().expect("a watcher does not panic");
        }
    }
}

impl Rounds {
    fn new(cores: Cores) -> Self {
        let (ours, theirs) = cores.numbers();
        let counts = Ring::builder().items(1).create().expect("a small ring");
        Self { counts, words: Words::create(), core: theirs, is_alone: ours != theirs }
    }

    /// Does `work` for each round, with the number of times, until there are no more.
    ///
    /// # Panics
    ///
    /// Where the operating system refuses to bind the thread to its core.
    pub fn serve(&self, mut work: impl FnMut(u64)) {
        pin_to(self.core);
        let mut count = Vec::new();
        while self.counts.pop(&mut count).is_ok() {
            let count = count.as_slice().try_into().map(u64::from_ne_bytes);
            let (begun, done) = (self.words.u64(BEGUN), self.words.u64(DONE));
            begun.store(begun.load(Acquire) + 1, Release);
            work(count.expect("eight bytes"));
            done.store(begun.load(Acquire), Release);
        }
    }

    fn wait_for(&self, line: usize, number: u64) {
        while self.words.u64(line).load(Acquire) < number {
            if self.is_alone { hint::spin_loop() } else { thread::yield_now() }
        }
    }
}

#[expect(clippy::exit, reason = "the main thread waits for the peer, in any of many ways")]
fn end() -> ! {
    std::process::exit(1)
}
