//! The fork server: a child that stays as fresh as it started, has one thread, and makes copies of itself on request.
//!
//! Each copy is a child of *our* parent (`CLONE_PARENT`), which waits for it; the server only makes it.

mod sys;

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    thread,
};

use mp_socket::SeqpacketSocket;
use nix::{libc, unistd::Pid};

use crate::{
    clone::{NewProcess, Registration, Side},
    entry, protocol,
    sys::{block_signals, exit_now, set_name},
};

/// Serves until the parent closes its end, or dies.
pub(crate) fn serve(control: SeqpacketSocket, parent: Pid) -> ! {
    set_name(c"mp-forkserver");
    // What a terminal sends to everybody in the foreground is for the parent to decide about.
    block_signals();
    entry::rehearse();
    let registration = Registration::of_this_thread();
    while let Some(door) = next_socket(&control) {
        let made = match sys::sibling(&registration) {
            Ok(Side::Child { tid_is_right }) => work(control, door, parent, tid_is_right),
            Ok(Side::Parent(process)) => Ok(process),
            Err(error) => Err(error.raw_os_error().unwrap_or(libc::EINVAL)),
        };
        if reply(&control, made).is_err() {
            break;
        }
    }
    exit_now(0)
}

/// The socket that comes next: on the server's, the door of a process that is to be made, and on that its own. `None` when
/// the parent is gone.
///
/// What a request allocates is free again before the copy is made: memory that both change costs both a page.
fn next_socket(on: &SeqpacketSocket) -> Option<OwnedFd> {
    let mut request = [0; 8];
    loop {
        let received = match on.recv_with_fds(&mut request) {
            // The parent has closed its end and left something unread, which is said before what it has sent.
            Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => continue,
            received => received.ok()??,
        };
        if let Some(socket) = received.fds.into_iter().next() {
            return Some(socket);
        }
    }
}

fn reply(control: &SeqpacketSocket, made: Result<NewProcess, i32>) -> mp_os::Result<()> {
    match made {
        Ok(NewProcess { pid, pidfd }) => {
            control.send_with_fds(&protocol::reply(Ok(pid)), &[pidfd.as_fd()])
        }
        Err(error) => control.send(&protocol::reply(Err(error))),
    }
}

/// In the copy: does what the socket asks for that comes through `door`.
fn work(control: SeqpacketSocket, door: OwnedFd, parent: Pid, tid_is_right: bool) -> ! {
    entry::become_copy();
    // The parent may have died since it asked; from here on the kernel tells.
    let Ok(socket) = enter(control, door, parent) else { exit_now(1) };
    let Some(socket) = socket else { exit_now(0) };
    if tid_is_right {
        entry::begin(socket, parent)
    }
    // A new thread has a right identity.
    let thread = thread::Builder::new().spawn(move || entry::begin(socket, parent));
    match thread.map(thread::JoinHandle::join) {
        Ok(Ok(never)) => never,
        _ => exit_now(1),
    }
}

/// The copy's own socket, at the place of `control`, so that nothing of the server's stays open; `None` where the parent
/// does not need the copy.
fn enter(
    control: SeqpacketSocket,
    door: OwnedFd,
    parent: Pid,
) -> io::Result<Option<SeqpacketSocket>> {
    sys::settle(parent)?;
    let door = SeqpacketSocket::from(sys::replace(control.into(), door)?);
    entry::greet(&door);
    entry::rehearse();
    let Some(socket) = next_socket(&door) else { return Ok(None) };
    Ok(Some(sys::replace(door.into(), socket)?.into()))
}
