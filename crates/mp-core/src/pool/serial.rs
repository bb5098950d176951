//! A pool without workers: tasks run in the caller, serialized and deserialized as for a worker.

use std::{mem, time::Instant};

use mp_os::Error;

use super::{
    batch::{Batch, Blob},
    frame::{self, Frame},
    local::Local,
    slot::Hook,
    worker::{call_hook, push_result},
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
            batch.job.deliver(batch.first, batch.count, &results);
        }
        Err(error) => batch.fail(&error),
    }
}

fn results(batch: &Batch, shared: Blob) -> Result<Vec<u8>, TaskError> {
    let key = batch.function.key;
    let mut function = shared.open(|shared| key.resolve(shared)).map_err(|error| error.to_string());
    let (mut args, mut results) = (&batch.args[..], Vec::new());
    while let Some(Frame::Value(argument)) = frame::take(&mut args) {
        push_result(&mut results, &mut function, argument)
            .map_err(|error| TaskError::Unencodable(error.into()))?;
    }
    Ok(results)
}

fn copy_error(error: std::io::Error) -> Error {
    Error::new("duplicate", "descriptors of a task", error)
}
