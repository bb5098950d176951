//! This executable in a new process.

mod sys;

use std::{
    env,
    ffi::{CString, OsString},
    io,
    os::{fd::AsFd, unix::ffi::OsStringExt},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use mp_os::{Deadline, TimeoutError};
use mp_socket::SeqpacketSocket;

use self::sys::Program;
use crate::{
    SpawnError, entry,
    keeper::Keeper,
    preload,
    process::{End, Process},
    protocol::{self, Answer, BUFFER},
};

/// How long the first process of this executable may take to its entry: loading it, and what runs before.
const ENTRY_TIMEOUT: Duration =
    Duration::from_secs(if cfg!(feature = "constructor") { 60 } else { 10 });

/// Whether a process of this executable has come to its entry before. Then all others will as well.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// Starts this executable anew. `message` waits for it on `ours`, whose peer is `theirs`.
pub(crate) fn start(
    keeper: &Keeper,
    ours: SeqpacketSocket,
    theirs: SeqpacketSocket,
    deadline: Deadline,
) -> Result<Arc<Process>, SpawnError> {
    if !cfg!(feature = "constructor") && entry::is_pending() {
        let reason = "this process is such a child itself, and has not called mp_process::init()";
        return Err(SpawnError::NotEntered(reason.to_owned()));
    }
    let program = program().map_err(SpawnError::start)?;
    let process = keeper
        .run_there(move || sys::exec_self(&program, theirs.as_fd()))?
        .map(|process| Arc::new(Process::new(process, ours)))
        .map_err(SpawnError::start)?;
    if !ENTERED.load(Relaxed) {
        if let Err(error) = await_entry(&process, deadline) {
            keeper.discard(&process);
            return Err(error);
        }
        ENTERED.store(true, Relaxed);
    }
    Ok(process)
}

/// The running executable, with the arguments and the environment of this process.
fn program() -> io::Result<Program> {
    let c_string = |string: OsString| CString::new(string.into_vec()).map_err(io::Error::from);
    let variable = |(mut name, value): (OsString, OsString)| {
        name.push("=");
        name.push(value);
        c_string(name)
    };
    let marker = (entry::VARIABLE.into(), preload::marker().into());
    Ok(Program {
        path: c"/proc/self/exe".to_owned(),
        arguments: env::args_os().map(c_string).collect::<io::Result<_>>()?,
        environment: env::vars_os().chain([marker]).map(variable).collect::<io::Result<_>>()?,
    })
}

/// Waits until `process` says hello.
fn await_entry(process: &Process, deadline: Deadline) -> Result<(), SpawnError> {
    let mut buffer = BUFFER;
    let entry = deadline.or_after(ENTRY_TIMEOUT);
    let reason = match protocol::recv(process.socket(), &mut buffer, entry) {
        Ok(Some(message)) if is_hello(&message.body) => return Ok(()),
        Ok(Some(_)) => "it said something else than hello".to_owned(),
        Ok(None) => format!("it ended before its entry{}", how(process)?),
        Err(TimeoutError::TimedOut) if deadline.is_past() => return Err(SpawnError::TimedOut),
        Err(TimeoutError::TimedOut) => {
            format!("it did not come to its entry within {} s", ENTRY_TIMEOUT.as_secs())
        }
        Err(TimeoutError::Os(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    let hint = if cfg!(feature = "constructor") {
        ""
    } else {
        "; does its main call mp_process::init() first?"
    };
    Err(SpawnError::NotEntered(format!("{reason}{hint}")))
}

fn is_hello(message: &[u8]) -> bool {
    matches!(protocol::parse_answer(message), Some(Answer::Hello(_)))
}

/// How `process` ended, whose socket is closed.
fn how(process: &Process) -> Result<String, SpawnError> {
    // A program that only closed its socket runs on.
    process.wait(Deadline::after(Duration::from_millis(100)))?;
    Ok(match process.end()? {
        Some(End::Status { status, .. }) => format!(" ({status})"),
        Some(End::Lost) | None => String::new(),
    })
}
