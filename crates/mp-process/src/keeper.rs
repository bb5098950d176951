//! The thread that outlives all others: it starts processes that are to live as long as this one, and notices when
//! children end.
//!
//! The kernel kills a child whose *thread* of origin exits (`PR_SET_PDEATHSIG`), so children are not started by threads
//! of the program. It is started at first use, blocks all signals, and never ends.

use std::{
    cell::Cell,
    collections::HashMap,
    io,
    os::fd::{AsFd, AsRawFd, RawFd},
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use mp_os::Error;
use mp_signal::{Block, Signal, SignalSet};
use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        eventfd::{EfdFlags, EventFd},
    },
};
use parking_lot::{Mutex, MutexGuard};

use crate::{forkserver::Server, oom, process::Process, sys::PerProcess};

/// What `top` shows it as.
const NAME: &str = "mp-keeper";

/// The epoll token of the eventfd; all others are descriptors.
const WAKE: u64 = u64::MAX;

static KEEPER: PerProcess<Keeper> = PerProcess::new();

thread_local! {
    /// Whether this thread is the keeper.
    static IS_KEEPER: Cell<bool> = const { Cell::new(false) };
}

type Job = Box<dyn FnOnce() + Send>;

pub(crate) struct Keeper {
    epoll: Epoll,
    wake: EventFd,
    /// Whether the thread runs, read without the lock.
    started: AtomicBool,
    starting: Mutex<()>,
    jobs: Mutex<Vec<Job>>,
    /// By the number of the pidfd, which is the epoll token as well.
    watches: Mutex<HashMap<RawFd, Watch>>,
    /// Held while the thread does anything but wait.
    busy: Mutex<()>,
    /// The fork server, once it was needed.
    server: Mutex<Option<Server>>,
}

/// What to do when a process ends.
struct Watch {
    process: Arc<Process>,
    callbacks: Vec<Job>,
    /// Nobody will join it.
    detached: bool,
}

impl Keeper {
    /// The keeper of this process, started at first use.
    pub(crate) fn running() -> Result<&'static Self, Error> {
        let keeper = KEEPER
            .get_or_set(Self::new)
            .map_err(|error| Error::new("prepare", "thread `mp-keeper`", error))?;
        keeper.start().map_err(|error| Error::new("start", "thread `mp-keeper`", error))?;
        Ok(keeper)
    }

    /// The keeper of this process, if there is one already.
    pub(crate) fn existing() -> Option<&'static Self> {
        KEEPER.get().filter(|keeper| keeper.started.load(Ordering::Acquire))
    }

    /// Whether the calling thread is the keeper.
    pub(crate) fn is_this_thread() -> bool {
        IS_KEEPER.get()
    }

    fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        epoll.add(&wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        Ok(Self {
            epoll,
            wake,
            started: AtomicBool::new(false),
            starting: Mutex::default(),
            jobs: Mutex::default(),
            watches: Mutex::default(),
            busy: Mutex::default(),
            server: Mutex::default(),
        })
    }

    fn start(&'static self) -> io::Result<()> {
        if self.started.load(Ordering::Acquire) {
            return Ok(());
        }
        let _starting = self.starting.lock();
        if !self.started.load(Ordering::Acquire) {
            oom::start_counting();
            // Inherited by the thread from its first instruction.
            let _blocked = Block::new(SignalSet::full())?;
            thread::Builder::new().name(NAME.to_owned()).spawn(|| self.run())?;
            self.started.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// The fork server, or none so far.
    pub(crate) fn server(&self) -> MutexGuard<'_, Option<Server>> {
        if !Self::is_this_thread() {
            return self.server.lock();
        }
        // A callback that starts a process: who has the server may wait for a job of this very thread.
        loop {
            match self.server.try_lock_for(Duration::from_millis(1)) {
                Some(server) => return server,
                None => self.do_jobs(),
            }
        }
    }

    /// [`server`](Self::server), unless somebody else has it for longer than `timeout`.
    pub(crate) fn server_within(
        &self,
        timeout: Duration,
    ) -> Option<MutexGuard<'_, Option<Server>>> {
        self.server.try_lock_for(timeout)
    }

    /// Keeps the thread from doing anything while the guard lives.
    pub(crate) fn pause(&self) -> MutexGuard<'_, ()> {
        self.busy.lock()
    }

    /// Runs `job` on the thread and waits for its result.
    pub(crate) fn run_there<R: Send + 'static>(
        &self,
        job: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Error> {
        if Self::is_this_thread() {
            return Ok(job());
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        let failed = |cause: io::Error| Error::new("ask", "thread `mp-keeper`", cause);
        let mut jobs = self.jobs.lock();
        jobs.push(Box::new(move || {
            // The caller waits for it.
            let _ = sender.send(job());
        }));
        if let Err(errno) = self.wake.write(1) {
            // With the lock held it is the last one still: nobody does later what has failed now.
            jobs.pop();
            return Err(failed(errno.into()));
        }
        drop(jobs);
        receiver.recv().map_err(|error| failed(io::Error::other(error)))
    }

    /// Runs `callback` on the thread once `process` is dead.
    pub(crate) fn on_exit(&self, process: &Arc<Process>, callback: Job) -> Result<(), Error> {
        self.watch(process, |watch| watch.callbacks.push(callback))
    }

    /// Reaps `process` once it is dead.
    pub(crate) fn reap_later(&self, process: &Arc<Process>) -> Result<(), Error> {
        self.watch(process, |watch| watch.detached = true)
    }

    /// Makes sure that a process that has nothing to lose is dead, and will be reaped.
    pub(crate) fn discard(&self, process: &Arc<Process>) {
        // It may be dead already.
        let _ = process.send_signal(Signal::KILL);
        // Where it cannot be watched, one zombie stays until this process ends.
        let _ = self.reap_later(process);
    }

    fn watch(&self, process: &Arc<Process>, add: impl FnOnce(&mut Watch)) -> Result<(), Error> {
        let fd = process.as_fd();
        let mut watches = self.watches.lock();
        let watch = watches.entry(fd.as_raw_fd()).or_insert_with(|| Watch {
            process: Arc::clone(process),
            callbacks: Vec::new(),
            detached: false,
        });
        add(watch);
        let event = EpollEvent::new(EpollFlags::EPOLLIN, fd.as_raw_fd().cast_unsigned().into());
        match self.epoll.add(fd, event) {
            Ok(()) | Err(Errno::EEXIST) => Ok(()),
            Err(errno) => {
                watches.remove(&fd.as_raw_fd());
                let object = format!("process {}", process.pid());
                Err(Error::new("watch", object, errno.into()))
            }
        }
    }

    fn run(&self) {
        IS_KEEPER.set(true);
        let mut events = [EpollEvent::empty(); 64];
        loop {
            // It fails for a signal only, and those that cannot be blocked do not interrupt it for long.
            let ready = self.epoll.wait(&mut events, EpollTimeout::NONE).unwrap_or(0);
            let _busy = self.busy.lock();
            for event in &events[..ready] {
                match RawFd::try_from(event.data()) {
                    Ok(fd) => self.ended(fd),
                    Err(_) => self.do_jobs(),
                }
            }
        }
    }

    fn do_jobs(&self) {
        // Cleared before the jobs are taken, so that one that comes now wakes again.
        let _ = self.wake.read();
        let jobs = std::mem::take(&mut *self.jobs.lock());
        jobs.into_iter().for_each(survive);
    }

    fn ended(&self, fd: RawFd) {
        let mut watches = self.watches.lock();
        let Some(watch) = watches.remove(&fd) else { return };
        // The descriptor lives as long as `watch`; it fails where it was never added.
        let _ = self.epoll.delete(watch.process.as_fd());
        drop(watches);
        if watch.detached {
            // The status is for nobody: the point is that no zombie stays.
            let _ = watch.process.end();
        }
        watch.callbacks.into_iter().for_each(survive);
    }
}

/// Runs `job`, whose panic must not end the thread. The hook has reported it.
fn survive(job: Job) {
    let _ = panic::catch_unwind(AssertUnwindSafe(job));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_of_which_the_thread_cannot_be_told_is_never_done() {
        mp_testkit::isolated(|| {
            let keeper = Keeper::running().unwrap();
            mp_testkit::accept_existing();
            let paused = keeper.pause();
            // No more can be added to it, and the thread does not come to empty it.
            while keeper.wake.write(u64::MAX - 1).is_err() {
                keeper.wake.read().unwrap();
            }
            let (sender, receiver) = mpsc::channel();
            let error = keeper.run_there(move || sender.send(())).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            assert!(receiver.recv().is_err(), "the job is gone with what it had");
            drop(paused);
            // Until the thread has emptied it.
            while keeper.run_there(|| ()).is_err() {
                thread::yield_now();
            }
        });
    }
}
