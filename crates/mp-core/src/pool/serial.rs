//! A pool without workers: tasks run in the caller, serialized and deserialized as for a worker.

use std::{mem, time::Instant};

use mp_os::Error;
use mp_process::{CallOutcome, TaskBytes, Tasks};

use super::{
    batch::{Batch, Blob},
    frame::{self, Frame},
    local::Local,
    results::Results,
    slot::Hook,
    worker::{call_hook, failure},
};
use crate::{PoolStopped, Result, TaskError, worker};

/// Gets a pool ready that has no workers.
pub(super) fn begin(local: &Local) -> Result<()> {
    local.settings.initializer.as_ref().map_or(Ok(()), run_hook)
}

/// Ends such a pool, once.
pub(super) fn end(local: &Local) {
    if mem::replace(&mut local.state.lock().is_over, true) {
        return;
    }
    if let Some(Err(error)) = local.settings.exit_hook.as_ref().map(run_hook) {
        local.state.lock().hook_failure = Some(error.into());
    }
}

/// Runs what a worker would run before its first or after its last task.
fn run_hook(hook: &Hook) -> Result<()> {
    let args = hook.args.try_clone().map_err(copy_error)?;
    let called = worker::as_worker(0, || call_hook(hook.key, args));
    Ok(called.map_err(|failure| PoolStopped::Broken(failure.to_string().into()))?)
}

/// Runs the tasks of a batch.
pub(super) fn run(batch: Batch) {
    let handles = batch.handles.as_ref().map(|handles| handles.try_clone());
    let shared = batch.function.shared.try_clone();
    let (handles, shared) = match (handles.transpose(), shared) {
        (Ok(handles), Ok(shared)) => (handles.unwrap_or_default(), shared),
        (Err(error), _) | (_, Err(error)) => {
            return batch.fail(&crate::Error::from(copy_error(error)).into());
        }
    };
    let since = Instant::now();
    let results = worker::as_worker(0, || handles.open(|_| results(&batch, shared)));
    match results {
        Ok(results) => {
            let nanos = since.elapsed().as_nanos().try_into().unwrap_or(u64::MAX);
            batch.job.timed(nanos, batch.count);
            batch.job.deliver(batch.first, batch.count, &results, Vec::new());
        }
        Err(error) => batch.fail(&error),
    }
}

fn results(batch: &Batch, shared: Blob) -> Result<Vec<u8>, TaskError> {
    let key = batch.function.key;
    let function = shared.open(|shared| key.resolve(shared));
    let mut function = function.map_err(|error| crate::Error::protocol(error.to_string()))?;
    let Batch { args, tail, .. } = batch;
    let mut run = Run { args, tail, results: Results::default(), error: None };
    function.call_each(&mut run);
    run.error.map_or(Ok(run.results.bytes), |error| Err(error.into()))
}

/// The tasks of a batch on their way through the function.
struct Run<'r> {
    args: &'r [u8],
    /// The end of the last argument.
    tail: &'r [u8],
    results: Results,
    error: Option<crate::Error>,
}

impl Tasks for Run<'_> {
    fn next(&mut self) -> Option<TaskBytes<'_>> {
        self.error = self.error.take().or(self.results.end().err());
        let Results { bytes, tail, .. } = &mut self.results;
        bytes.append(tail);
        if self.error.is_some() {
            return None;
        }
        let argument = match frame::take(&mut self.args) {
            Some(Frame::Value(argument)) => argument,
            Some(Frame::Failure(_)) => return None,
            None => {
                let (args, tail) = (mem::take(&mut self.args), mem::take(&mut self.tail));
                self.results.tail = tail.to_vec();
                frame::cut(args, tail.len())?
            }
        };
        Some(self.results.begin(argument))
    }

    fn fail(&mut self, outcome: CallOutcome) {
        self.error = failure(outcome).and_then(|failure| self.results.fail(failure).err());
    }
}

fn copy_error(error: std::io::Error) -> Error {
    Error::new("duplicate", "descriptors of a task", error)
}
