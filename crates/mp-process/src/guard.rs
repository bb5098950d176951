//! A guard: the process that the parent sees, below which a task runs with all that descends from it.
//!
//! It adopts the orphans among them (`PR_SET_CHILD_SUBREAPER`), so that nobody leaves the tree, and ends them all when the
//! task has ended or the parent has. Then it ends as the task did.

mod sys;

use std::{fs, io, os::fd::AsFd, time::Duration};

use mp_os::{Deadline, Error, Result, poll};
use mp_signal::{Block, Disposition, Signal, SignalFd, SignalSet};
use mp_socket::SeqpacketSocket;
use nix::{
    sys::{
        prctl,
        signal::kill,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, getppid},
};

use crate::sys::{die_with_parent, die_with_peer, exit_now, set_name};

/// How often a guard looks whether the parent lives, beside waiting for the end of the connection.
const LOOK: Duration = Duration::from_secs(1);

/// How a task ended.
#[derive(Debug)]
enum End {
    Exited(i32),
    Killed(Signal),
}

/// Makes this process a guard, and returns in the one that it guards.
pub(crate) fn split(socket: &SeqpacketSocket) -> Result<()> {
    let failed = |error: io::Error| Error::new("start", "a guard of descendants", error);
    let (parent, guard) = (getppid(), Pid::this());
    prctl::set_child_subreaper(true).map_err(|errno| failed(errno.into()))?;
    // Where it is ignored, as a copy may inherit it, nobody is told of an end.
    Disposition::Default.set(Signal::CHLD)?;
    // So that the guard misses none that comes from now on.
    let blocked = Block::new(SignalSet::full())?;
    match sys::fork().map_err(failed)? {
        Some(task) => watch(task, parent, socket),
        None => {
            // It may have died before this call.
            if die_with_parent().is_err() || getppid() != guard {
                exit_now(1);
            }
            die_with_peer(socket.as_fd()).map_err(failed)?;
            drop(blocked);
            Ok(())
        }
    }
}

/// The guard: from here on it has nothing but its end of the connection.
fn watch(task: Pid, parent: Pid, socket: &SeqpacketSocket) -> ! {
    set_name(c"mp-guard");
    // Otherwise the kernel would end it before those that it guards.
    let guarded = prctl::set_pdeathsig(None)
        .map_err(io::Error::from)
        .and_then(|()| sys::keep_only(socket.as_fd()))
        .and_then(|socket| supervise(task, parent, &socket.into()));
    // Without descriptors or memory for its work it ends the task at once, rather than leave it alone.
    let end = guarded.unwrap_or(End::Killed(Signal::KILL));
    end_descendants();
    match end {
        End::Exited(code) => exit_now(code),
        End::Killed(signal) => sys::die_of(signal),
    }
}

/// Waits until the task or the parent has ended; passes on signals meanwhile.
fn supervise(task: Pid, parent: Pid, socket: &SeqpacketSocket) -> io::Result<End> {
    let signals = SignalFd::new(SignalSet::full())?;
    loop {
        while let Ok(info) = signals.try_recv() {
            // A terminal sends its signals to the task as well; the kernel has no process id.
            if info.signal() != Signal::CHLD && info.pid().is_some() {
                // It may have ended.
                let _ = sys::send(task, info.signal());
            }
        }
        if let Some(end) = reap(task) {
            return Ok(end);
        }
        let fds = [
            (signals.as_fd(), poll::Interest::Readable),
            (socket.as_fd(), poll::Interest::Readable),
        ];
        let ready = poll::wait_many(&fds, Deadline::after(LOOK))?;
        if ready.contains(&1) || getppid() != parent {
            return Ok(End::Killed(Signal::KILL));
        }
    }
}

/// Reaps the dead: how the task ended, if it is one of them.
fn reap(task: Pid) -> Option<End> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == task => return Some(End::Exited(code)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == task => {
                let signal = Signal::new(signal as i32).unwrap_or(Signal::KILL);
                return Some(End::Killed(signal));
            }
            Ok(WaitStatus::StillAlive) => return None,
            Ok(_) => {}
            // There is none left, which cannot be: somebody has meddled with `SIGCHLD`.
            Err(_) => return Some(End::Killed(Signal::KILL)),
        }
    }
}

/// Ends all that is left below this process. Each that dies leaves its children to it.
fn end_descendants() {
    loop {
        let own = Pid::this().as_raw();
        let killed = children_of(own)
            .filter(|&child| kill(Pid::from_raw(child), nix::sys::signal::Signal::SIGKILL).is_ok())
            .count();
        // Only what is about to die is waited for: one that has become another user's cannot be killed.
        let flags = (killed == 0).then_some(WaitPidFlag::WNOHANG);
        match waitpid(None, flags) {
            Ok(WaitStatus::StillAlive) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// The children of process `parent`, zombies included.
fn children_of(parent: i32) -> impl Iterator<Item = i32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(move |pid| parent_of(*pid) == Some(parent))
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything; behind it come the state and the parent.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}
