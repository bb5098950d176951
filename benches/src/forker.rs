use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use mp_channel::Ring;
use mp_process::Child;
use nix::sys::prctl::set_thp_disable;

/// A process of one thread that starts others by `mp_process::fork`, and measures what that takes.
#[derive(Debug)]
pub struct Forker {
    counts: Ring,
    nanos: Ring,
    process: Option<Child<()>>,
}

impl Forker {
    /// Starts it; it uses so many bytes of memory.
    ///
    /// # Panics
    ///
    /// Where the operating system refuses.
    pub fn start(memory: usize) -> Self {
        let ring = || Ring::builder().items(1).create().expect("a small ring");
        let (counts, nanos) = (ring(), ring());
        let process = mp_process::spawn(serve, (counts.clone(), nanos.clone(), memory));
        Self { counts, nanos, process: Some(process.expect("a process")) }
    }

    /// Starts and joins `count` processes, one after the other: how long that took.
    ///
    /// # Panics
    ///
    /// Where the process has died.
    pub fn measure(&self, count: u64) -> Duration {
        self.counts.push(&count.to_ne_bytes()).expect("a process that waits");
        let mut nanos = Vec::new();
        self.nanos.pop_timeout(&mut nanos, Duration::from_secs(60)).expect("a living process");
        Duration::from_nanos(number(&nanos))
    }
}

impl Drop for Forker {
    fn drop(&mut self) {
        self.counts.close();
        if let Some(Err(error)) = self.process.take().map(Child::join) {
            eprintln!("the process of this bench that forks: {error}");
        }
    }
}

fn serve((counts, nanos, memory): (Ring, Ring, usize)) {
    let heap = use_much_memory(memory);
    let mut count = Vec::new();
    while counts.pop(&mut count).is_ok() {
        let start = Instant::now();
        for _ in 0..number(&count) {
            let child = mp_process::fork(|| ()).expect("a process of one thread");
            child.join().expect("a child that returns");
        }
        let time = u64::try_from(start.elapsed().as_nanos()).expect("less than 500 years");
        nanos.push(&time.to_ne_bytes()).expect("somebody waits for it");
    }
    drop(black_box(heap));
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_ne_bytes(bytes.try_into().expect("eight bytes"))
}

/// A heap of so many bytes, in pages of 4 KiB as one has them that grew in small steps: a fork copies the entry of each.
///
/// # Panics
///
/// Where the kernel insists on huge pages.
pub fn use_much_memory(bytes: usize) -> Vec<u8> {
    set_thp_disable(true).expect("a process may do without huge pages");
    black_box(vec![1; bytes])
}
