//! The worker process: takes batches off its ring, runs their tasks, sends the results.

use std::{collections::HashMap, time::Instant};

use mp_channel::Ring;
use mp_process::{Call, CallOutcome, Connection, encode};
use serde::{Deserialize, Serialize};

use super::{
    batch::Blob,
    bell::Bell,
    frame::{self, Frame, Kind},
    journal::{Journal, Writer},
    slot::ring_error,
    wire::{Control, Failure, ResultHead, TaskHead},
};
use crate::{Error, Result};

/// Results are sent when they come to this many bytes, or the batch ends.
const SEND_LEN: usize = 32 << 10;

/// What a worker is started with: its ends of the channels that the parent's [`Slot`](super::slot::Slot) has.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    pub(super) tasks: Ring,
    pub(super) results: Ring,
    pub(super) bell: Bell,
    pub(super) journal: Journal,
    pub(super) control: Connection,
    /// Whether the first message on the socket is an initializer.
    pub(super) has_initializer: bool,
}

/// The main function of a worker process. It ends when the parent closes the task ring.
///
/// The error of an initializer is the result of the process, so that the parent hears of it by joining.
pub(super) fn serve(setup: Setup) -> Result<(), Failure> {
    let Setup { tasks, results, bell, journal, control, has_initializer } = setup;
    if has_initializer {
        initialize(&control)?;
    }
    journal.set_ready().map_err(broken)?;
    bell.ring();
    let journal = journal.writer().map_err(broken)?;
    let functions = Functions { control, known: HashMap::new() };
    let output = Output { journal, results, bell, unsent: Vec::new() };
    let mut worker = Worker { functions, output };
    let mut record = Vec::new();
    while tasks.pop(&mut record).is_ok() {
        worker.run(&record).map_err(broken)?;
    }
    Ok(())
}

/// Runs the function that every worker runs before its first task.
fn initialize(control: &Connection) -> Result<(), Failure> {
    let Control::Initialize { key, args } = control.recv::<Control<Blob>>().map_err(broken)? else {
        return Err(broken(Error::protocol("the initializer was never sent")));
    };
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
    fn run(&mut self, record: &[u8]) -> Result<()> {
        let Some((head, args)) = TaskHead::split(record) else {
            return Err(Error::protocol("a task record is too short"));
        };
        self.functions.prepare(head.function)?;
        let handles =
            if head.handles { self.functions.handles(head.batch)? } else { Blob::default() };
        let Some(function) = self.functions.known.get_mut(&head.function) else {
            return Err(Error::protocol("a function was defined and is not known"));
        };
        handles.open(|_| self.output.run(function, head, args))
    }
}

/// What a function is after its definition has come: a call, or why it can be none.
type Function = Result<Box<dyn Call>, String>;

/// Where results go: into the journal one by one, into the ring many at once.
struct Output<'a> {
    journal: Writer<'a>,
    results: Ring,
    bell: Bell,
    /// The framed results that are not sent yet. Kept for its warm memory.
    unsent: Vec<u8>,
}

impl Output<'_> {
    /// Runs the tasks of a batch.
    fn run(&mut self, function: &mut Function, head: TaskHead, mut args: &[u8]) -> Result<()> {
        let mut span = Span { batch: head.batch, first: 0, count: 0, since: Instant::now() };
        self.journal.start(head.batch, 0);
        for index in 0..head.count {
            let Some(Frame::Value(argument)) = frame::take(&mut args) else {
                return Err(Error::protocol("a task record ends early"));
            };
            self.journal.begin(index);
            let start = self.unsent.len();
            push_result(&mut self.unsent, function, argument).map_err(Error::protocol)?;
            span.count += 1;
            let saved = self.journal.save(&self.unsent[start..]);
            let last = index + 1 == head.count;
            if last || !saved || self.unsent.len() >= SEND_LEN {
                span = self.send(span, last)?;
            }
        }
        Ok(())
    }

    /// Sends what is unsent, and only then lets the journal forget it. What comes next is the span that is returned.
    fn send(&mut self, Span { batch, first, count, since }: Span, last: bool) -> Result<Span> {
        let now = Instant::now();
        let nanos = now.duration_since(since).as_nanos().try_into().unwrap_or(u64::MAX);
        let head = ResultHead { batch, count, last, nanos };
        self.results.push_parts(&[&head.to_bytes(), &self.unsent]).map_err(ring_error)?;
        self.bell.ring();
        self.unsent.clear();
        let next = Span { batch, first: first + count, count: 0, since: now };
        self.journal.start(batch, next.first);
        self.journal.end();
        Ok(next)
    }
}

/// Consecutive tasks of a batch whose results are not sent yet.
struct Span {
    batch: u32,
    first: u32,
    count: u32,
    since: Instant,
}

/// Runs one task and appends its framed outcome.
fn push_result(
    out: &mut Vec<u8>,
    function: &mut Function,
    mut argument: &[u8],
) -> Result<(), String> {
    let failed = frame::push(out, |out| {
        let failure = match function {
            Ok(call) => failure(call.call(&mut argument, out)),
            Err(error) => Some(Failure::Function(error.clone())),
        };
        failure.map_or(Ok(Kind::Value), |failure| encode(&failure, out).map(|()| Kind::Failure))
    });
    // A result too long to be an item is a failure of its task, like one that cannot be encoded.
    failed.or_else(|error| {
        let failure = Failure::Result(error);
        frame::push(out, |out| encode(&failure, out).map(|()| Kind::Failure))
    })
}

fn failure(outcome: CallOutcome) -> Option<Failure> {
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
            Control::Initialize { .. } => Err(Error::protocol("a second initializer came")),
        }
    }
}
