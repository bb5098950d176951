//! How a process that this crate started begins: before `main`, and it never gets there.

mod sys;

use std::{
    env,
    ffi::CStr,
    fmt,
    io::Write,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed},
};

use mp_os::{Deadline, TimeoutError, transfer};
use mp_signal::{Disposition, Signal};
use mp_socket::SeqpacketSocket;
use nix::{
    libc,
    sys::{
        prctl,
        socket::{SockType, getsockopt, sockopt},
    },
    unistd::{Pid, getppid},
};
use serde::Serialize;

use crate::{
    CallOutcome, Panic, TaskKey, children,
    descriptors::{CHILD_FD, borrow, open_standard_fds, own_child_fd},
    encoding, forkserver, frame, guard, identity, panic, preload,
    protocol::{self, BUFFER, Failure, LIMIT, SERVE, Task},
    server,
    setup::Setup,
    sys::{block_signals, die_with_peer, exit_now, flush_c_streams, set_name},
    title,
};

/// Says to a child that it is one. It is removed before anything else runs.
pub(crate) const VARIABLE: &str = "MP_PROCESS_CHILD";

/// The exit code after a panic, as that of a Rust program.
const PANICKED: i32 = 101;

/// The exit code where there was no result to send.
const FAILED: i32 = 1;

static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// Whether this process was started by [`spawn`](crate::spawn) or [`fork`](crate::fork()).
///
/// # Examples
///
/// ```
/// assert!(!mp_process::is_child());
/// assert!(mp_process::spawn(|()| mp_process::is_child(), ())?.join()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn is_child() -> bool {
    IS_CHILD.load(Relaxed)
}

/// Whether this process was started by this crate and has not come to its entry.
pub(crate) fn is_pending() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// Begins the work of a child, and never returns from it; returns at once in any other process.
///
/// Without the feature `constructor` a program that starts processes calls this first thing in `main`, before it starts
/// threads. With it, which is the default, children come here before `main`, and this does nothing.
///
/// # Examples
///
/// ```
/// mp_process::init();
/// assert_eq!(mp_process::spawn(|n: u32| n + 1, 1)?.join()?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn init() {
    let Some(marker) = env::var_os(VARIABLE) else { return };
    if !is_our_socket() {
        return;
    }
    preload::note(&marker.to_string_lossy());
    sys::set_variable(VARIABLE.as_ref(), None);
    let Ok(socket) = own_child_fd().map(SeqpacketSocket::from) else { exit_now(FAILED) };
    let parent = getppid();
    // Where the parent has died already, nobody would ever end this process.
    match socket.peer_credentials() {
        Ok(peer) if peer.pid.cast_signed() == parent.as_raw() => {}
        _ => exit_now(FAILED),
    }
    open_standard_fds();
    become_child(&socket);
    greet(&socket);
    begin(socket, parent)
}

/// Whether the descriptor is what this crate puts there, rather than anybody's and the variable an accident.
fn is_our_socket() -> bool {
    let kind = borrow(CHILD_FD).map(|fd| getsockopt(&fd, sockopt::SockType));
    matches!(kind, Ok(Ok(SockType::SeqPacket)))
}

/// What distinguishes a child from other processes, for itself.
pub(crate) fn become_child(socket: &SeqpacketSocket) {
    IS_CHILD.store(true, Relaxed);
    ANSWER_FD.store(socket.as_raw_fd(), Relaxed);
    // What Rust does before `main`: a closed pipe is an error, not the end.
    let _ = Disposition::Ignore.set(Signal::PIPE);
    panic::install_hook(send_before_abort);
}

/// Says hello.
///
/// Where nobody will listen, because the handle of this process was dropped, the task is to be done all the same. Where it
/// cannot be said for another reason, the parent would wait for it in vain.
pub(crate) fn greet(socket: &SeqpacketSocket) {
    match send(socket, &protocol::hello(crate::sys::pid()), &[]) {
        Err(TimeoutError::Os(error)) if error.raw_os_error() != Some(libc::EPIPE) => {
            exit_now(FAILED)
        }
        _ => {}
    }
}

/// Does what the first message says.
pub(crate) fn begin(socket: SeqpacketSocket, parent: Pid) -> ! {
    let mut buffer = BUFFER;
    match protocol::recv(&socket, &mut buffer, Deadline::never()) {
        Ok(Some(message)) if *message.body == [SERVE] => {
            // What a terminal sends to everybody is not for the hook to end of.
            block_signals();
            preload::run();
            server::serve(socket, parent)
        }
        Ok(Some(message)) => match Task::parse(&message.body) {
            Some((task, argument)) => perform(&socket, &task, argument, message.fds),
            None => exit_now(FAILED),
        },
        // The parent died before it had sent anything: there is nobody to tell.
        Ok(None) | Err(_) => exit_now(FAILED),
    }
}

/// From here on nothing comes from the parent but the end of the connection.
fn tie_to_parent(socket: &SeqpacketSocket) {
    // It cannot fail for a socket; and there is the other net.
    let _ = die_with_peer(socket.as_fd());
}

/// Makes this process what its parent wants it to be.
fn settle_in(socket: &SeqpacketSocket, setup: &Setup, fds: &mut Vec<OwnedFd>) -> mp_os::Result<()> {
    if setup.outlives {
        prctl::set_pdeathsig(None)
            .map_err(|errno| mp_os::Error::new("untie", "process", errno.into()))?;
    } else {
        tie_to_parent(socket);
    }
    setup.apply(fds, sys::set_variable)?;
    if setup.is_guarded {
        guard::split(socket)?;
    }
    setup.title.as_deref().map_or(Ok(()), title::show)
}

fn perform(socket: &SeqpacketSocket, task: &Task, argument: &[u8], mut fds: Vec<OwnedFd>) -> ! {
    if let Ok(name) = CStr::from_bytes_until_nul(&task.command) {
        set_name(name);
    }
    if let Err(error) = settle_in(socket, &task.setup, &mut fds) {
        refuse(socket, &error)
    }
    identity::become_started(&task.setup.birth);
    if let Some(reason) = preload::failure() {
        refuse(socket, &reason)
    }
    let mut call = match task.key.resolve(&[]) {
        Ok(call) => call,
        Err(error) => refuse(socket, &error),
    };
    let mut output = protocol::returned();
    let call = || call.call(&mut &*argument, &mut output);
    let (outcome, fds) = transfer::provide(fds, || transfer::collect(call));
    let code = exit_code(&outcome);
    answer(socket, &protocol::outcome(output, outcome), &fds);
    children::wait_for_all();
    exit(code)
}

/// Runs a task that does nothing, with everything around it but the messages.
///
/// In the fork server, once, because each copy would otherwise do it first: the executable is looked up, functions of shared
/// libraries are linked, thread-local tables are registered. And in a copy while it waits for its task, because pages that
/// are touched for the first time are most of what a small task costs. Where it fails, a task would fail too, and say so.
pub(crate) fn rehearse() {
    let message = TaskKey::of(|nothing: ()| nothing)
        .map(|key| Task::new(key, "", Setup::default()).message());
    if let Ok(Ok(message)) = message
        && let Some((task, argument)) = Task::parse(&message)
        && let Ok(mut call) = task.key.resolve(&[])
    {
        let mut output = protocol::returned();
        let call = || call.call(&mut &*argument, &mut output);
        transfer::provide(Vec::new(), || transfer::collect(call));
    }
    flush();
}

/// Ends a process that cannot begin its task.
fn refuse(socket: &SeqpacketSocket, reason: &dyn fmt::Display) -> ! {
    answer(socket, &Failure::Refused(reason.to_string()).message(), &[]);
    exit(FAILED)
}

/// Runs the task of a copy of the parent, and ends it.
///
/// The end is `_exit(2)`: what the parent registered for its own end is not for its copies to run.
pub(crate) fn run_copy<R: Serialize>(
    socket: &SeqpacketSocket,
    setup: &Setup,
    mut fds: Vec<OwnedFd>,
    task: impl FnOnce() -> R,
) -> ! {
    let settled =
        settle_in(socket, setup, &mut fds).and_then(|()| identity::become_forked(&setup.birth));
    if let Err(error) = settled {
        answer(socket, &Failure::Refused(error.to_string()).message(), &[]);
        exit_now(FAILED)
    }
    let mut output = protocol::returned();
    let call = || match panic::catch(|| encoding::encode(&transfer::outside(task), &mut output)) {
        Ok(Ok(())) => CallOutcome::Returned,
        Ok(Err(error)) => CallOutcome::ResultUnencodable(error.to_string()),
        Err(panic) => CallOutcome::Panicked(panic),
    };
    let (outcome, fds) = transfer::collect(call);
    let code = exit_code(&outcome);
    answer(socket, &protocol::outcome(output, outcome), &fds);
    children::wait_for_all();
    let _ = std::io::stdout().flush();
    forkserver::stop();
    exit_now(code)
}

const fn exit_code(outcome: &CallOutcome) -> i32 {
    match outcome {
        CallOutcome::Returned => 0,
        CallOutcome::Panicked(_) => PANICKED,
        CallOutcome::ArgumentUndecodable(_) | CallOutcome::ResultUnencodable(_) => FAILED,
    }
}

/// Sends the outcome; where it cannot be sent, why.
fn answer(socket: &SeqpacketSocket, message: &[u8], fds: &[OwnedFd]) {
    if let Err(error) = send(socket, message, fds) {
        let failure = Failure::ResultUnencodable(error.to_string());
        // Where even that fails, the parent is gone, or it sees an end without a result.
        let _ = send(socket, &failure.message(), &[]);
    }
}

fn send(socket: &SeqpacketSocket, message: &[u8], fds: &[OwnedFd]) -> Result<(), TimeoutError> {
    frame::send(socket, message, fds, LIMIT, Deadline::never())
}

/// The socket on which the answer of the task goes, for [`send_before_abort`]. A copy of the fork server has it in the
/// place of the server's own.
static ANSWER_FD: AtomicI32 = AtomicI32::new(-1);

/// Tells the parent of a panic that cannot be caught.
fn send_before_abort(panic: &Panic) {
    let socket = borrow(ANSWER_FD.load(Relaxed)).and_then(|fd| fd.try_clone_to_owned());
    if let Ok(socket) = socket {
        answer(&socket.into(), &Failure::Panicked(panic.clone()).message(), &[]);
    }
}

/// Whether this process is a copy of the fork server.
static IS_COPY: AtomicBool = AtomicBool::new(false);

/// From now on this process ends as a copy does: see [`exit`].
pub(crate) fn become_copy() {
    IS_COPY.store(true, Relaxed);
}

/// Ends the process. A fresh one ends as by a return from `main`.
///
/// A copy flushes its streams and ends by `_exit(2)`, as in Python: the exit handlers are those of the server, which it
/// copied, and to run them costs half as much again as a copy that does nothing.
#[expect(clippy::exit, reason = "a child ends with its task, and never comes to `main`")]
fn exit(code: i32) -> ! {
    forkserver::stop();
    if IS_COPY.load(Relaxed) {
        flush();
        exit_now(code)
    }
    std::process::exit(code)
}

/// Writes out what was printed. Where it cannot be written, there is nobody to tell.
pub(crate) fn flush() {
    let _ = std::io::stdout().flush();
    flush_c_streams();
}
