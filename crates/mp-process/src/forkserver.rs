//! Asking the fork server for processes.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use mp_os::Deadline;
use mp_signal::Signal;
use mp_socket::SeqpacketSocket;

use crate::{
    SpawnError, exec, frame,
    keeper::Keeper,
    process::Process,
    protocol::{self, Answer, BUFFER, LIMIT, SERVE},
    sys::{self, NewProcess},
};

/// The fork server of this process.
#[derive(Debug)]
pub(crate) struct Server(Arc<Process>);

/// How often a server that died is replaced for one request.
const ATTEMPTS: usize = 3;

/// How long a process that ends waits for its server to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// Has the fork server make a process that does what `message` says.
pub(crate) fn spawn(message: &[u8], fds: &[OwnedFd]) -> Result<Arc<Process>, SpawnError> {
    let keeper = Keeper::running()?;
    for _ in 0..ATTEMPTS {
        let (ours, theirs) = task_socket(message, fds)?;
        let mut slot = keeper.server();
        let server = match slot.take() {
            Some(server) => server,
            None => Server::start(keeper)?,
        };
        match server.request(theirs) {
            Ok(reply) => {
                *slot = Some(server);
                let process = reply.map_err(SpawnError::start)?;
                return Ok(Arc::new(Process::new(process, ours)));
            }
            Err(Died) => {
                server.discard(keeper);
                drop(slot);
                // It may have died between making the process and telling so.
                if let Some(process) = adopt(&ours)? {
                    return Ok(Arc::new(Process::new(process, ours)));
                }
            }
        }
    }
    Err(SpawnError::ServerDied)
}

/// Starts this executable anew, for what `message` says.
pub(crate) fn spawn_fresh(message: &[u8], fds: &[OwnedFd]) -> Result<Arc<Process>, SpawnError> {
    let keeper = Keeper::running()?;
    let (ours, theirs) = task_socket(message, fds)?;
    exec::start(keeper, ours, theirs)
}

/// Ends the fork server of this process, if it has one, and reaps it.
///
/// For a process that is about to end: the server would end as well, but as an orphan, and not everybody's adoptive
/// parent reaps.
pub(crate) fn stop() {
    let server = Keeper::existing()
        .and_then(|keeper| keeper.server_within(STOP_TIMEOUT))
        .and_then(|mut slot| slot.take());
    let Some(Server(process)) = server else { return };
    // It has nothing to lose. What fails here the kernel does when this process has ended.
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

/// The server is gone.
struct Died;

impl Server {
    fn start(keeper: &Keeper) -> Result<Self, SpawnError> {
        let (control, theirs) = task_socket(&[SERVE], &[])?;
        exec::start(keeper, control, theirs).map(Self)
    }

    /// Has the server make a process with this end of its socket.
    fn request(&self, theirs: SeqpacketSocket) -> Result<io::Result<NewProcess>, Died> {
        let control = self.0.socket();
        control.send_with_fds(&[0], &[theirs.as_fd()]).map_err(|_| Died)?;
        // From here on only the server and the process have it, so that their end closes it.
        drop(theirs);
        let mut buffer = [0; 9];
        loop {
            let received = control.recv_with_fds(&mut buffer).map_err(|_| Died)?.ok_or(Died)?;
            match (protocol::parse_reply(&buffer[..received.len]), received.fds.into_iter().next())
            {
                (Some(Ok(pid)), Some(pidfd)) => {
                    return Ok(Ok(NewProcess { pid, pidfd: pidfd.into() }));
                }
                (Some(Err(errno)), None) => return Ok(Err(io::Error::from_raw_os_error(errno))),
                // The hello of a server that was not awaited.
                _ => {}
            }
        }
    }

    /// Makes sure that it is dead, and reaped.
    fn discard(self, keeper: &Keeper) {
        // It may be dead already.
        let _ = self.0.send_signal(Signal::KILL);
        // Where it cannot be watched, one zombie stays until this process ends.
        let _ = keeper.reap_later(&self.0);
    }
}

/// The process at the other end of `socket`, which a server that died has made; `None` where there is none.
///
/// A process says hello before it begins its task. Where that never comes, the other end is closed, so no task has begun.
fn adopt(socket: &SeqpacketSocket) -> Result<Option<NewProcess>, SpawnError> {
    let mut buffer = BUFFER;
    let message =
        protocol::recv(socket, &mut buffer, Deadline::never()).map_err(mp_os::Error::from)?;
    let Some(message) = message else { return Ok(None) };
    match protocol::parse_answer(&message.body) {
        Some(Answer::Hello(pid)) => sys::adopt(pid).map(Some).map_err(SpawnError::start),
        _ => Err(frame::malformed().into()),
    }
}
