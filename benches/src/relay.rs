//! A lock that two processes hand over to each other.

use std::{
    cell::{LazyCell, RefCell},
    env, fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use criterion::BenchmarkId;
use mp_flock::{Backend, Flock, Guard, Ofd, Request};
use mp_os::transfer::Fd;

use crate::{Cores, Group, Peer, Rounds, Words, in_rounds, link::unique, moves};

/// A kind of file lock that is held by the open file, so that each process can have its own.
pub trait FileLock: Backend + 'static {
    /// What criterion calls it.
    const NAME: &'static str;

    /// The lock of a whole file.
    fn request() -> Request<Self>;
}

impl FileLock for Flock {
    const NAME: &'static str = "flock";

    fn request() -> Request<Self> {
        Self::exclusive()
    }
}

impl FileLock for Ofd {
    const NAME: &'static str = "ofd";

    fn request() -> Request<Self> {
        Self::exclusive()
    }
}

/// A file without a name, opened once for each of so many.
///
/// # Panics
///
/// Where the directory of temporary files cannot be written.
pub fn open_file<const N: usize>() -> [fs::File; N] {
    let path = env::temp_dir().join(unique());
    let mut options = fs::OpenOptions::new();
    let open = options.read(true).write(true).create(true).truncate(true);
    let files = [(); N].map(|()| open.open(&path).expect("a file"));
    fs::remove_file(&path).expect("the file that was made");
    files
}

/// Who has a turn: one process's side of three locks.
///
/// Each always has one of them and asks for the next one, which the other one has or has just given up; then it gives up
/// the one before. So neither can be ahead, and each waits in the kernel for the other one's unlock.
struct Turns<B: FileLock> {
    files: [Arc<fs::File>; 3],
    held: Guard<Arc<fs::File>, B>,
    place: usize,
}

impl<B: FileLock> Turns<B> {
    fn new(files: [Fd<fs::File>; 3], place: usize) -> Self {
        let files = files.map(|file| Arc::new(file.into_inner()));
        let held = lock(&files[place]);
        Self { files, held, place }
    }

    /// Waits for this one's turn, does `work`, and hands over to the other one.
    fn take(&mut self, work: impl FnOnce()) {
        self.place = (self.place + 2) % 3;
        let next = lock(&self.files[self.place]);
        work();
        // What it replaces is unlocked.
        self.held = next;
    }

    /// Takes `count` turns, those at which the number is even or odd.
    fn take_many(&mut self, count: u64, number: &AtomicU64, odd: u64) {
        for _ in 0..count {
            self.take(|| {
                let turns = number.load(Relaxed);
                assert_eq!(turns % 2, odd, "they take turns");
                number.store(turns + 1, Relaxed);
            });
        }
    }
}

fn lock<B: FileLock>(file: &Arc<fs::File>) -> Guard<Arc<fs::File>, B> {
    B::request().lock(Arc::clone(file)).expect("a file that is open for writing")
}

/// The peer's files, and what both count in.
type Side = ([Fd<fs::File>; 3], Words);

/// A lock goes to the other process and back. It guards a number of eight bytes in shared memory.
///
/// # Panics
///
/// Where both have it at a time, or one has it twice in a row.
pub fn hand_over<B: FileLock>(group: &mut Group<'_>, cores: Cores) {
    let start = || {
        let files = [(); 3].map(|()| open_file::<2>().map(Fd::from));
        let [ours, theirs] = transpose(files);
        let words = Words::create();
        let turns = Turns::<B>::new(ours, 0);
        let peer = Peer::start(cores, take_turns::<B>, (theirs, words.clone()));
        (peer, RefCell::new(turns), words)
    };
    let both = LazyCell::new(start);
    moves(group, 2, 8);
    let id = BenchmarkId::new(B::NAME, 8);
    group.bench_function(
        id,
        in_rounds(|count| {
            let (peer, turns, words) = &*both;
            peer.round(count, || turns.borrow_mut().take_many(count, words.u64(0), 0))
        }),
    );
}

fn take_turns<B: FileLock>((rounds, (files, words)): (Rounds, Side)) {
    let mut turns = Turns::<B>::new(files, 1);
    rounds.serve(|count| turns.take_many(count, words.u64(0), 1));
}

fn transpose<T>([[a, b], [c, d], [e, f]]: [[T; 2]; 3]) -> [[T; 3]; 2] {
    [[a, c, e], [b, d, f]]
}
