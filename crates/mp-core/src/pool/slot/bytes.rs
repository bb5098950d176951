//! Bytes as a worker may write them, for the fuzzer and for the replay of what it found.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use mp_channel::Ring;
use mp_process::{Builder, Child, Connection, StartMethod, TaskKey};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use super::{Check, RING_ITEMS, RING_LEN, Slot};
use crate::{
    TaskError,
    pool::{
        batch::{Batch, Blob, Function},
        inbox::{Inbox, Order},
        job::Options,
        journal::Journal,
        state::Intake,
        wire::{Failure, ResultHead},
    },
};

/// More than any record or result of these programs has: a length that a worker made up was believed.
const BELIEVED: usize = 1 << 22;

/// How many tasks a program may give to the worker.
const TASKS: u32 = 4096;

/// The worker of all programs, one after the other. It does nothing: what a worker writes is their input.
static WORKER: Mutex<Option<Child<Result<(), Failure>>>> = Mutex::new(None);

/// The input of a target, taken from its front; zeroes behind its end.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let taken = self.slice(N);
        bytes[..taken.len()].copy_from_slice(taken);
        bytes
    }

    fn byte(&mut self) -> u8 {
        self.take::<1>()[0]
    }

    fn slice(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(self.0.len().min(len));
        self.0 = rest;
        taken
    }

    /// So many bytes as the next one says.
    fn bytes(&mut self) -> &'a [u8] {
        let len = self.byte().into();
        self.slice(len)
    }

    /// A word of the journal: any, or two small numbers and the flags.
    fn word(&mut self) -> u64 {
        let [kind, high, low] = self.take();
        match kind % 4 {
            0 => u64::from_le_bytes(self.take()),
            _ => u64::from(kind >> 6) << 62 | u64::from(high) << 32 | u64::from(low),
        }
    }
}

/// Runs a program: what a worker writes into its rings and its journal, and what the pool does in between.
///
/// # Panics
///
/// Where a task has no outcome in the end, or more than one, and where a length that the worker made up was believed.
pub fn pool(data: &[u8]) {
    let mut input = Input(data);
    let kind = input.byte();
    let order = if kind.is_multiple_of(2) { Order::OfTasks } else { Order::OfEnds };
    match kind / 2 % 3 {
        0 => Play::<Vec<u8>>::new(order).run(input),
        1 => Play::<(u64, String)>::new(order).run(input),
        _ => Play::<Vec<Option<u16>>>::new(order).run(input),
    }
}

/// A worker that does nothing, and a job for it.
struct Play<R> {
    slot: Slot,
    job: Arc<Inbox<R, VecDeque<Result<R, TaskError>>>>,
    function: Arc<Function>,
    intake: Intake,
    /// Batches that came back.
    backlog: VecDeque<Batch>,
    /// How many tasks there are.
    total: u32,
}

impl<R: DeserializeOwned + Send + 'static> Play<R> {
    fn new(order: Order) -> Self {
        let key = TaskKey::of(|n: u8| n).expect("a function of this program");
        Self {
            slot: idle_slot(),
            job: Arc::new(Inbox::new(order, VecDeque::new())),
            function: Arc::new(Function { id: 0, key, shared: Blob::default() }),
            intake: Intake::default(),
            backlog: VecDeque::new(),
            total: 0,
        }
    }

    fn run(mut self, mut input: Input<'_>) {
        while !input.0.is_empty() && self.step(&mut input) {
            assert!(self.intake.record.capacity() < BELIEVED, "a length was believed");
        }
        // It is killed: what is there is taken in, and the rest has the outcome that a death gives it.
        self.collect();
        let remains = self.slot.bury(&mut self.intake.bytes, &mut self.intake.deliveries);
        self.hand_on();
        let left = remains.fatal.into_iter().chain(remains.unstarted).chain(self.backlog);
        left.for_each(|batch| batch.fail(&TaskError::Cancelled));
        assert_eq!(self.job.due(), self.total.into(), "each task has one outcome");
        let outcomes = std::iter::from_fn(|| self.job.take()).count();
        assert_eq!(outcomes, self.total as usize, "and it is handed out");
        *WORKER.lock() = Some(self.slot.child);
    }

    /// Does what comes next: false where the worker is killed for it.
    fn step(&mut self, input: &mut Input<'_>) -> bool {
        let job = Arc::as_ptr(&self.job).cast();
        match input.byte() % 16 {
            0..=2 => self.write_results(input),
            3 => drop(self.slot.results.try_push(input.bytes())),
            4 | 5 => self.write_journal_word(input),
            6 => self.write_journal(input),
            7 | 8 => self.give(input),
            9 => drop(self.slot.tasks.try_pop(&mut self.intake.record)),
            10 => drop(self.slot.tasks.try_push(input.bytes())),
            11 => self.backlog.extend(self.slot.recall()),
            12 => return !self.slot.condemn(job, TaskError::Cancelled),
            13 => return !matches!(self.slot.check_limit(), Check::Condemned),
            14 => self.look(),
            _ => return self.collect(),
        }
        true
    }

    /// As a worker sends them, but for what is in them.
    fn write_results(&self, input: &mut Input<'_>) {
        let [batch, count, flags] = input.take();
        let last = flags & 1 == 1;
        let nanos = u64::from(flags) << (flags % 40);
        let head = ResultHead { batch: batch.into(), count: count.into(), last, nanos };
        let results = input.bytes();
        // A large one leaves the ring in two pieces.
        let tail = if flags & 2 == 0 { &[][..] } else { &[b'x'; RING_LEN / 2][..] };
        drop(self.slot.results.try_push_parts(&[&head.to_bytes(), results, tail]));
    }

    fn write_journal_word(&self, input: &mut Input<'_>) {
        let at = usize::from(input.byte() % 5) * size_of::<u64>();
        let word = self.slot.journal.0.mapping().atomic_u64(at).expect("it is inside");
        word.store(input.word(), Relaxed);
    }

    fn write_journal(&self, input: &mut Input<'_>) {
        let at = u16::from_le_bytes(input.take()).into();
        let bytes = input.bytes();
        // It writes nothing where there is no room.
        let _ = self.slot.journal.0.mapping().copy_in(at, bytes);
    }

    /// Gives the worker a batch that came back, or a new one.
    fn give(&mut self, input: &mut Input<'_>) {
        let Some(batch) = self.backlog.pop_front().or_else(|| self.new_batch(input)) else {
            return;
        };
        if !self.slot.is_open() {
            return self.backlog.push_front(batch);
        }
        match self.slot.assign(batch) {
            Ok(refused) => self.backlog.extend(refused),
            Err(refused) => refused.0.fail(&TaskError::Cancelled),
        }
    }

    fn new_batch(&mut self, input: &mut Input<'_>) -> Option<Batch> {
        let [count, watch] = input.take();
        let timeout = (watch % 3 == 1).then_some(Duration::from_nanos(1));
        let options = Options { timeout, ..Options::default() };
        let (job, function) = (Arc::clone(&self.job), Arc::clone(&self.function));
        let mut batch = Batch::new(job, function, self.total.into(), options);
        let count = u32::from(count % 16).min(TASKS - self.total);
        batch.fill(|| Some(7_u8), |filled, _| filled < count).expect("a number can be encoded");
        if watch % 3 == 2 {
            batch.guard();
        }
        self.total += batch.count;
        (batch.count > 0).then_some(batch)
    }

    /// Asks all that can be asked.
    fn look(&self) {
        let Self { slot, job, .. } = self;
        let job = Arc::as_ptr(job).cast();
        let _ = (slot.is_ready(), slot.room(), slot.quota(), slot.has(job), slot.runs(job));
        assert!(slot.queued() <= self.total.into(), "more than it was given");
    }

    /// Takes in what has come: false where the worker is killed for it.
    fn collect(&mut self) -> bool {
        let is_right = self.slot.collect(&mut self.intake).is_ok();
        for batch in self.intake.unstarted.drain(..).rev() {
            self.backlog.push_front(batch);
        }
        self.hand_on();
        is_right
    }

    fn hand_on(&mut self) {
        for delivery in self.intake.deliveries.drain(..) {
            delivery.job.timed(delivery.nanos, delivery.count);
            let results = &self.intake.bytes[delivery.range];
            delivery.job.deliver(delivery.first, delivery.count, results, delivery.tail);
        }
        self.intake.bytes.clear();
    }
}

fn idle_slot() -> Slot {
    let ring = || Ring::builder().items(RING_ITEMS).bytes(RING_LEN).create().expect("a ring");
    let (control, _) = Connection::pair().expect("a connection");
    Slot {
        id: 0,
        place: 0,
        child: WORKER.lock().take().unwrap_or_else(start),
        tasks: ring(),
        results: ring(),
        control,
        journal: Journal::create().expect("a journal"),
        assigned: VecDeque::new(),
        // It would be told over the connection, which nobody reads.
        defined: HashSet::from([0]),
        forgotten: Vec::new(),
        next_batch: 0,
        is_closed: false,
        batch_nanos: 0,
        completed: 0,
        busy: Duration::ZERO,
        quota: u64::MAX,
        born: Instant::now(),
        sentence: None,
        pause: None,
    }
}

fn start() -> Child<Result<(), Failure>> {
    let wait = |()| loop {
        thread::park();
    };
    Builder::new().start_method(StartMethod::Spawn).spawn(wait, ()).expect("a process")
}
