//! The worker process: takes batches off its ring, runs their tasks, sends the results.

use std::{
    collections::HashMap,
    mem, thread,
    time::{Duration, Instant},
};

use mp_channel::Ring;
use mp_process::{Call, CallOutcome, Connection, TaskBytes, TaskKey, Tasks};
use serde::{Deserialize, Serialize};

use super::{
    batch::Blob,
    bell::Bell,
    frame::{self, Frame},
    journal::{Journal, Writer},
    results::Results,
    slot::{RECORD_LEN, ring_error},
    stats::resident,
    wire::{Control, Failure, ResultHead, TaskHead},
};
use crate::{Error, Result, worker as state};

/// Results are sent when they come to this many bytes, or the batch ends.
const SEND_LEN: usize = RECORD_LEN / 2;

/// How often a worker looks how much memory it has.
const LOOK_PAUSE: Duration = Duration::from_millis(1);

/// What a worker is started with: its ends of the channels that the parent's [`Slot`](super::slot::Slot) has.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    pub(super) tasks: Ring,
    pub(super) results: Ring,
    pub(super) bell: Bell,
    pub(super) journal: Journal,
    pub(super) control: Connection,
    /// The number by which its tasks know it.
    pub(super) place: usize,
    /// Whether the first message on the socket is what to run before the first task,
    pub(super) has_initializer: bool,
    /// and the next, or else the first, what to run after the last.
    pub(super) has_exit_hook: bool,
    /// How many bytes of memory it may have before it ends to be replaced.
    pub(super) max_memory: u64,
}

/// The main function of a worker process. It ends when the parent closes the task ring, or it has become too large.
///
/// The error of a hook is the result of the process, so that the parent hears of it by joining.
pub(super) fn serve(setup: Setup) -> Result<(), Failure> {
    let served = state::as_worker(setup.place, || run(setup));
    state::drop_states();
    served
}

fn run(setup: Setup) -> Result<(), Failure> {
    let Setup { tasks, results, bell, journal, control, .. } = setup;
    if setup.has_initializer {
        let (key, args) = receive_hook(&control).map_err(broken)?;
        call_hook(key, args)?;
    }
    let exit_hook = setup.has_exit_hook.then(|| receive_hook(&control)).transpose();
    let exit_hook = exit_hook.map_err(broken)?;
    journal.set_ready().map_err(broken)?;
    bell.ring();
    let journal = journal.writer().map_err(broken)?;
    let functions = Functions { control, known: HashMap::new() };
    let output = Output { journal, results, bell, unsent: Results::default() };
    let mut worker = Worker { functions, output };
    let mut memory = Memory { max: setup.max_memory, looked: None };
    let (mut record, mut tail) = (Vec::new(), Vec::new());
    while tasks.pop_parts(&mut record, &mut tail).is_ok() {
        worker.run(&record, mem::take(&mut tail)).map_err(broken)?;
        // Not before: one that is too large from the beginning has done something. What is left in the ring is for others.
        if memory.is_too_much() {
            break;
        }
    }
    exit_hook.map_or(Ok(()), |(key, args)| call_hook(key, args))
}

/// How much memory a worker may have.
struct Memory {
    max: u64,
    looked: Option<Instant>,
}

impl Memory {
    fn is_too_much(&mut self) -> bool {
        if self.max == u64::MAX || self.looked.is_some_and(|last| last.elapsed() < LOOK_PAUSE) {
            return false;
        }
        self.looked = Some(Instant::now());
        resident("self").is_some_and(|bytes| bytes > self.max)
    }
}

fn receive_hook(control: &Connection) -> Result<(TaskKey, Blob)> {
    match control.recv::<Control<Blob>>()? {
        Control::Hook { key, args } => Ok((key, args)),
        _ => Err(Error::protocol("a hook was never sent")),
    }
}

/// Runs a function whose result nobody wants.
pub(super) fn call_hook(key: TaskKey, args: Blob) -> Result<(), Failure> {
    args.open(|mut args| {
        let mut call = key.resolve(&[]).map_err(broken)?;
        failure(call.call(&mut args, &mut Vec::new())).map_or(Ok(()), Err)
    })
}

fn broken(error: impl Into<Error>) -> Failure {
    Failure::Function(error.into().to_string())
}

struct Worker<'a> {
    functions: Functions,
    output: Output<'a>,
}

impl Worker<'_> {
    /// Does what a record says, of which the last bytes are `tail`.
    fn run(&mut self, record: &[u8], tail: Vec<u8>) -> Result<()> {
        let Some((head, args)) = TaskHead::split(record) else {
            return Err(Error::protocol("a task record is too short"));
        };
        self.functions.prepare(head.function)?;
        if head.count == 0 {
            // Its definition was read first, where every batch of it was taken back.
            self.functions.known.remove(&head.function);
            return Ok(());
        }
        let handles =
            if head.handles { self.functions.handles(head.batch)? } else { Blob::default() };
        let Some(function) = self.functions.known.get_mut(&head.function) else {
            return Err(Error::protocol("a function was defined and is not known"));
        };
        handles.open(|_| self.output.run(function, head, (args, tail)))
    }
}

/// What a function is after its definition has come: a call, or why it can be none.
pub(super) type Function = Result<Box<dyn Call>, String>;

/// Where results go: into the journal one by one, into the ring many at once.
struct Output<'a> {
    journal: Writer<'a>,
    results: Ring,
    bell: Bell,
    /// Those that are not sent yet. Kept for their warm memory.
    unsent: Results,
}

impl Output<'_> {
    /// Runs the tasks of a batch.
    fn run(
        &mut self,
        function: &mut Function,
        head: TaskHead,
        (args, tail): (&[u8], Vec<u8>),
    ) -> Result<()> {
        self.journal.start(head.batch, 0);
        self.journal.watch(head.watch);
        let span = Span { first: 0, count: 0, since: Instant::now() };
        let mut run = Run { output: self, head, args, tail, span, error: None };
        match function {
            Ok(call) => call.call_each(&mut run),
            Err(reason) => {
                while run.next().is_some() {
                    run.fail_with(Failure::Function(reason.clone()));
                }
            }
        }
        run.error.map_or(Ok(()), Err)
    }
}

/// The tasks of a batch on their way through the function.
struct Run<'r, 'j> {
    output: &'r mut Output<'j>,
    head: TaskHead,
    /// The framed arguments of tasks that have not begun.
    args: &'r [u8],
    /// The end of the last one.
    tail: Vec<u8>,
    span: Span,
    /// Why it ended early.
    error: Option<Error>,
}

/// Consecutive tasks of a batch that have ended and whose results are not sent yet.
struct Span {
    first: u32,
    count: u32,
    since: Instant,
}

impl Tasks for Run<'_, '_> {
    #[inline]
    fn next(&mut self) -> Option<TaskBytes<'_>> {
        let argument = self.end_last().and_then(|()| self.begin_next());
        match argument {
            Ok(argument) => Some(self.output.unsent.begin(argument?)),
            Err(error) => {
                self.error = Some(error);
                None
            }
        }
    }

    #[cold]
    fn fail(&mut self, outcome: CallOutcome) {
        if let Some(failure) = failure(outcome) {
            self.fail_with(failure);
        }
    }
}

impl<'r> Run<'r, '_> {
    /// The last task has returned, unless it has failed.
    #[inline]
    fn end_last(&mut self) -> Result<()> {
        match self.output.unsent.end()? {
            Some(start) => self.save(start),
            None => self.error.take().map_or(Ok(()), Err),
        }
    }

    /// The argument of the next task, which is said to run from now on.
    #[inline]
    fn begin_next(&mut self) -> Result<Option<&'r [u8]>> {
        let index = self.index();
        if index == self.head.count {
            return Ok(None);
        }
        let argument = match frame::take(&mut self.args) {
            Some(Frame::Value(argument)) => argument,
            Some(Frame::Failure(_)) => return Err(Error::protocol("a task record has a failure")),
            None => self.last_argument()?,
        };
        if !self.output.journal.begin(index) {
            wait_for_the_kill();
        }
        Ok(Some(argument))
    }

    /// The argument of the last task, where the end of that is apart.
    #[cold]
    fn last_argument(&mut self) -> Result<&'r [u8]> {
        let (args, tail) = (mem::take(&mut self.args), mem::take(&mut self.tail));
        let argument = frame::cut(args, tail.len());
        self.output.unsent.tail = tail;
        argument.ok_or_else(|| Error::protocol("a task record ends early"))
    }

    /// The index of the first task that has not ended.
    #[inline]
    fn index(&self) -> u32 {
        self.span.first + self.span.count
    }

    #[cold]
    fn fail_with(&mut self, failure: Failure) {
        let failed = self.output.unsent.fail(failure).and_then(|start| self.save(start));
        self.error = failed.err();
    }

    /// Commits the outcome of the running task, which begins at `start` of those unsent.
    #[inline]
    fn save(&mut self, start: usize) -> Result<()> {
        let Output { journal, unsent, .. } = &mut *self.output;
        let index = self.span.first + self.span.count;
        if !journal.finish(index) {
            wait_for_the_kill();
        }
        self.span.count += 1;
        let is_saved = unsent.tail.is_empty() && journal.save(&unsent.bytes[start..]);
        let is_last = index + 1 == self.head.count;
        if is_last || !is_saved || unsent.bytes.len() >= SEND_LEN {
            self.send(is_last)
        } else {
            Ok(())
        }
    }

    /// Sends what is unsent, and only then lets the journal forget it.
    fn send(&mut self, last: bool) -> Result<()> {
        let Span { first, count, since } = self.span;
        let Output { journal, results, bell, unsent } = &mut *self.output;
        let (now, batch) = (Instant::now(), self.head.batch);
        let nanos = now.duration_since(since).as_nanos().try_into().unwrap_or(u64::MAX);
        let head = ResultHead { batch, count, last, nanos };
        results.push_parts(&[&head.to_bytes(), &unsent.bytes, &unsent.tail]).map_err(ring_error)?;
        bell.ring();
        unsent.bytes.clear();
        unsent.tail = Vec::new();
        self.span = Span { first: first + count, count: 0, since: now };
        journal.start(batch, self.span.first);
        journal.end();
        Ok(())
    }
}

/// The parent has condemned the task, and kills this process any moment; if it dies before, so does this process.
fn wait_for_the_kill() -> ! {
    loop {
        thread::park();
    }
}

pub(super) fn failure(outcome: CallOutcome) -> Option<Failure> {
    match outcome {
        CallOutcome::Returned => None,
        CallOutcome::Panicked(panic) => Some(Failure::Panicked(panic)),
        CallOutcome::ArgumentUndecodable(error) => Some(Failure::Argument(error)),
        CallOutcome::ResultUnencodable(error) => Some(Failure::Result(error)),
    }
}

/// The functions that the parent has defined, and the socket over which it does.
struct Functions {
    control: Connection,
    known: HashMap<u32, Function>,
}

impl Functions {
    /// Reads definitions until `id` has one: the parent sends it before the first batch that needs it.
    fn prepare(&mut self, id: u32) -> Result<()> {
        while !self.known.contains_key(&id) {
            self.receive()?;
        }
        Ok(())
    }

    /// Reads up to the descriptors of `batch`. Those of a batch that was then given to another worker are closed.
    fn handles(&mut self, batch: u32) -> Result<Blob> {
        loop {
            if let Some((number, fds)) = self.receive()?
                && number == batch
            {
                return Ok(fds);
            }
        }
    }

    /// Takes in one message; descriptors are handed on.
    fn receive(&mut self) -> Result<Option<(u32, Blob)>> {
        match self.control.recv::<Control<Blob>>()? {
            Control::Define { id, key, shared, forget } => {
                self.known.retain(|id, _| !forget.contains(id));
                let call =
                    shared.open(|shared| key.resolve(shared)).map_err(|error| error.to_string());
                self.known.insert(id, call);
                Ok(None)
            }
            Control::Handles { batch, fds } => Ok(Some((batch, fds))),
            Control::Hook { .. } => Err(Error::protocol("one more hook came")),
        }
    }
}
