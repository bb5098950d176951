//! Asking the fork server for processes.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use mp_os::Deadline;
use mp_signal::Signal;
use mp_socket::SeqpacketSocket;
use nix::libc;

use crate::{
    SpawnError,
    clone::{self, NewProcess},
    exec, frame,
    keeper::Keeper,
    process::Process,
    protocol::{self, Answer, BUFFER, LIMIT, SERVE},
};

/// The fork server of this process, and the process that it makes ahead.
#[derive(Debug)]
pub(crate) struct Server {
    process: Arc<Process>,
    /// The doors of processes that the server was asked for and whose replies have not been read: one, as a rule.
    ///
    /// The server makes it while its parent goes on, and it comes to where only its task is missing: that is most of what
    /// a start costs.
    spares: VecDeque<Door>,
    /// The door of the newest process. Closed while a socket is on its way to a process, a socket would send the kernel
    /// to look for circles of sockets that hold each other, on this very processor.
    used: Option<Door>,
    /// It does not answer any more.
    died: bool,
}

/// Our end of the socket on which a new process gets its own socket, with the message on it already.
///
/// Not the message itself: the process is ready for its parent's end as soon as it has read, while the parent may still be
/// on its way out of the send; to the kernel that is news on the socket, for which [`die_with_peer`](crate::sys::die_with_peer) kills.
type Door = SeqpacketSocket;

/// How often a server or a spare process that died is replaced for one request.
const ATTEMPTS: usize = 3;

/// How long a process that ends waits for its server to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Has the fork server make a process that does what `message` says.
///
/// A server that does not answer until `deadline` is taken for dead, and replaced at the next start.
pub(crate) fn spawn(
    message: &[u8],
    fds: &[OwnedFd],
    deadline: Deadline,
) -> Result<Arc<Process>, SpawnError> {
    let keeper = Keeper::running()?;
    for _ in 0..ATTEMPTS {
        let (ours, theirs) = task_socket(message, fds)?;
        let slot = match deadline.remaining() {
            None => Some(keeper.server()),
            Some(left) => keeper.server_within(left),
        };
        let Some(mut slot) = slot else { return Err(SpawnError::TimedOut) };
        let mut server = match slot.take() {
            Some(server) => server,
            None => Server::start(keeper, deadline)?,
        };
        let process = server.spawn(keeper, (ours, theirs), deadline);
        if server.died {
            server.discard(keeper);
        } else {
            *slot = Some(server);
        }
        if let Some(process) = process? {
            return Ok(process);
        }
        if deadline.is_past() {
            return Err(SpawnError::TimedOut);
        }
    }
    Err(SpawnError::ServerDied)
}

/// Starts this executable anew, for what `message` says.
pub(crate) fn spawn_fresh(
    message: &[u8],
    fds: &[OwnedFd],
    deadline: Deadline,
) -> Result<Arc<Process>, SpawnError> {
    let keeper = Keeper::running()?;
    let (ours, theirs) = task_socket(message, fds)?;
    exec::start(keeper, ours, theirs, deadline)
}

/// Ends the fork server of this process, if it has one, and reaps it.
///
/// For a process that is about to end: the server would end as well, but as an orphan, and not everybody's adoptive
/// parent reaps.
pub(crate) fn stop() {
    let server = Keeper::existing()
        .and_then(|keeper| keeper.server_within(STOP_TIMEOUT))
        .and_then(|mut slot| slot.take());
    let Some(Server { process, spares, .. }) = server else { return };
    for door in spares {
        if let Some(Ok(spare)) = reply(&process, Deadline::after(STOP_TIMEOUT)) {
            end(&Process::new(spare, door));
        }
    }
    end(&process);
}

/// Kills and reaps a process that has nothing to lose. What fails here the kernel does when this process has ended.
fn end(process: &Process) {
    let _ = process.send_signal(Signal::KILL);
    let _ = process.wait(Deadline::after(STOP_TIMEOUT));
    let _ = process.end();
}

/// A pair of sockets on which `message` waits to be received from the second one.
fn task_socket(
    message: &[u8],
    fds: &[OwnedFd],
) -> Result<(SeqpacketSocket, SeqpacketSocket), SpawnError> {
    let (ours, theirs) = SeqpacketSocket::pair()?;
    // A new socket has room for it, so this does not wait.
    frame::send(&ours, message, fds, LIMIT, Deadline::never()).map_err(mp_os::Error::from)?;
    Ok((ours, theirs))
}

impl Server {
    fn start(keeper: &Keeper, deadline: Deadline) -> Result<Self, SpawnError> {
        let (control, theirs) = task_socket(&[SERVE], &[])?;
        let process = exec::start(keeper, control, theirs, deadline)?;
        Ok(Self { process, spares: VecDeque::new(), used: None, died: false })
    }

    /// A process that does what is on `theirs`, the other end of `ours`: the spare one, or else one that is made now.
    ///
    /// `None` where it, or the server, died before it had its task.
    fn spawn(
        &mut self,
        keeper: &Keeper,
        (ours, theirs): (SeqpacketSocket, SeqpacketSocket),
        deadline: Deadline,
    ) -> Result<Option<Arc<Process>>, SpawnError> {
        self.used = None;
        let spare = self.spares.pop_front();
        let is_new = spare.is_none();
        let Some(door) = spare.map_or_else(|| self.ask(), |door| Ok(Some(door)))? else {
            return Ok(None);
        };
        let given = match pass(&door, theirs) {
            Err(error) => {
                self.spares.push_front(door);
                return Err(error.into());
            }
            Ok(given) => given,
        };
        // After it, so that the process is not woken behind the server on one processor.
        self.ask_ahead();
        let made = match self.collect(&door, deadline) {
            // The cause may have gone since it was asked for.
            Err(_) if !is_new => return Ok(None),
            made => made.map_err(SpawnError::start)?,
        };
        let Some(process) = made.map(|made| Arc::new(Process::new(made, ours))) else {
            return Ok(None);
        };
        if !given {
            keeper.discard(&process);
        }
        self.used = Some(door);
        Ok(given.then_some(process))
    }

    /// Asks for the process that will be needed next, which is not waited for.
    fn ask_ahead(&mut self) {
        if self.spares.is_empty() && !self.died {
            // Where it fails, it fails again when the process is needed, and is an error then.
            let spare = self.ask().ok().flatten();
            self.spares.extend(spare);
        }
    }

    /// Makes sure that the server is dead, and what it has made of which nobody was told.
    fn discard(self, keeper: &Keeper) {
        keeper.discard(&self.process);
        for door in self.spares {
            // One that cannot be adopted ends because its door is closed.
            if let Ok(Some(spare)) = adopt(&door) {
                keeper.discard(&Arc::new(Process::new(spare, door)));
            }
        }
    }

    /// Asks for a process and returns its door; `None` where the server is dead.
    fn ask(&mut self) -> Result<Option<Door>, mp_os::Error> {
        let (door, theirs) = SeqpacketSocket::pair()?;
        self.died = !pass(self.process.socket(), theirs)?;
        Ok((!self.died).then_some(door))
    }

    /// The process that was asked for first, which has the other end of `door`; `None` where it was never made.
    fn collect(&mut self, door: &Door, deadline: Deadline) -> io::Result<Option<NewProcess>> {
        match reply(&self.process, deadline) {
            Some(made) => made.map(Some),
            None => {
                self.died = true;
                // Where it is not: so that nobody has the other end but a process that it has made.
                let _ = self.process.send_signal(Signal::KILL);
                // It may have died between making the process and telling so.
                adopt(door)
            }
        }
    }
}

/// Hands over `socket`, so that from here on the peer's end of it is the last; false where there is no peer any more.
fn pass(peer: &SeqpacketSocket, socket: SeqpacketSocket) -> Result<bool, mp_os::Error> {
    match peer.send_with_fds(&[0], &[socket.as_fd()]) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The answer of `server` to the oldest request; `None` where it is dead, or `deadline` has passed.
fn reply(server: &Process, deadline: Deadline) -> Option<io::Result<NewProcess>> {
    let mut buffer = [0; 9];
    loop {
        let received = server.socket().recv_with_fds_until(&mut buffer, deadline).ok()??;
        match (protocol::parse_reply(&buffer[..received.len]), received.fds.into_iter().next()) {
            (Some(Ok(pid)), Some(pidfd)) => {
                return Some(Ok(NewProcess { pid, pidfd: pidfd.into() }));
            }
            (Some(Err(errno)), None) => return Some(Err(io::Error::from_raw_os_error(errno))),
            // The hello of a server that was not awaited.
            _ => {}
        }
    }
}

/// The process at the other end of `door`, which a server that died has made; `None` where there is none.
///
/// It says hello before anything else. Where that never comes, the other end is closed, and no task will begin.
fn adopt(door: &Door) -> io::Result<Option<NewProcess>> {
    let mut buffer = BUFFER;
    let Ok(Some(message)) = protocol::recv(door, &mut buffer, Deadline::never()) else {
        return Ok(None);
    };
    match protocol::parse_answer(&message.body) {
        Some(Answer::Hello(pid)) => clone::adopt(pid).map(Some),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
