//! One run of an operation under `ptrace(2)`: which process stands where, and the fault at its place.

use std::{
    collections::{BTreeSet, HashMap},
    fs, process,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        ptrace::{self, Options},
        signal::Signal,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use super::{
    Fault, Victim,
    failure::Failure,
    operator::MARK,
    sys::{Call, Stand, fail_call, skip_call, stand},
};
use crate::{Gate, proc, sys, watchdog};

/// How long the operator may live.
const LIMIT: Duration = Duration::from_secs(15);

/// How long others may outlive it.
const AFTERMATH: Duration = Duration::from_secs(2);

/// Of its points in a run, those that the fault is to meet.
#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    Nowhere,
    Point(usize),
    /// Every call of this number.
    Every(i64),
}

/// A fault and where it is aimed at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aim {
    pub(super) victim: Victim,
    pub(super) fault: Fault,
    pub(super) at: At,
}

/// What has happened in a run.
#[derive(Debug)]
pub(super) struct Run {
    /// How the operator ended.
    pub(super) status: WaitStatus,
    /// The points of the victim that were counted.
    pub(super) points: usize,
    /// The calls among them.
    pub(super) numbers: BTreeSet<i64>,
    /// The call that the fault met.
    pub(super) hit: Option<i64>,
    /// What everybody was doing when time was up.
    pub(super) hang: Option<String>,
}

/// A thread.
#[derive(Debug)]
struct Task {
    process: Pid,
    /// The call it is in.
    call: Option<i64>,
    /// How that call is to fail.
    failing: Option<Errno>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Before,
    During,
    After,
}

#[derive(Debug)]
struct Tracer {
    aim: Aim,
    operator: Pid,
    tasks: HashMap<Pid, Task>,
    /// In the order of their birth; those that are dead as well.
    processes: Vec<Pid>,
    /// Those that were there when the operation began, but for the operator.
    standing: Vec<Pid>,
    /// How many had been started by then.
    started_before: usize,
    phase: Phase,
    points: usize,
    numbers: BTreeSet<i64>,
    hit: Option<i64>,
}

/// Traces `operator`, which waits at `gate` for that, and all that it starts, until everybody is dead.
pub(super) fn run(operator: u32, gate: &Gate, aim: Aim) -> Run {
    let operator = Pid::from_raw(operator.cast_signed());
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(operator, options).expect("a child can be traced");
    ptrace::interrupt(operator).expect("a tracee can be stopped");
    let mut tracer = Tracer::new(operator, aim);
    let alarm = Alarm::set();
    let mut status = None;
    gate.open();
    while let Some(event) = tracer.next(None) {
        let mut stopped = vec![];
        // All that has happened, before anybody goes on: the parent of a dead tracee hears of its end after we have.
        let mut event = Some(event);
        while let Some(now) = event {
            if let WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) = now {
                tracer.tasks.remove(&pid);
                if pid == operator {
                    status = Some(now);
                    alarm.operator_is_dead();
                }
            } else if let Some(pid) = now.pid() {
                stopped.push((pid, tracer.stopped(pid, now)));
            }
            event = tracer.next(Some(WaitPidFlag::WNOHANG));
        }
        stopped.into_iter().for_each(|(pid, signal)| tracer.go_on(pid, signal));
    }
    Run {
        status: status.expect("the operator has ended"),
        points: tracer.points,
        numbers: tracer.numbers,
        hit: tracer.hit,
        hang: alarm.stop(),
    }
}

impl Tracer {
    fn new(operator: Pid, aim: Aim) -> Self {
        Self {
            aim,
            operator,
            tasks: HashMap::new(),
            processes: Vec::new(),
            standing: Vec::new(),
            started_before: 0,
            phase: Phase::Before,
            points: 0,
            numbers: BTreeSet::new(),
            hit: None,
        }
    }

    /// What has happened next; `None` where nothing has, or nobody is left to whom it could.
    fn next(&self, flag: Option<WaitPidFlag>) -> Option<WaitStatus> {
        let flags = WaitPidFlag::__WALL | flag.unwrap_or(WaitPidFlag::empty());
        loop {
            match waitpid(None, Some(flags)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return None,
                Ok(status) => return Some(status),
                Err(Errno::EINTR) => {}
                Err(error) => panic!("children can be waited for: {error}"),
            }
        }
    }

    /// `pid` has stopped: the signal that it is to get when it goes on.
    fn stopped(&mut self, pid: Pid, event: WaitStatus) -> Option<Signal> {
        self.know(pid);
        match event {
            WaitStatus::Stopped(_, MARK) if self.tasks.get(&pid)?.process == self.operator => {
                self.next_phase();
                None
            }
            WaitStatus::Stopped(_, signal) => Some(signal),
            WaitStatus::PtraceSyscall(_) => {
                self.at_call(pid);
                None
            }
            _ => None,
        }
    }

    /// Takes in a thread that has not been seen before.
    fn know(&mut self, pid: Pid) {
        if self.tasks.contains_key(&pid) {
            return;
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let group = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok());
        // One that has been killed since is as good as a process.
        let process = group.map_or(pid, Pid::from_raw);
        if process == pid {
            self.processes.push(pid);
        }
        self.tasks.insert(pid, Task { process, call: None, failing: None });
    }

    fn next_phase(&mut self) {
        self.phase = match self.phase {
            Phase::Before => Phase::During,
            Phase::During | Phase::After => Phase::After,
        };
        if self.phase != Phase::During {
            return;
        }
        self.started_before = self.processes.len();
        let others = self.processes.iter().filter(|&&pid| pid != self.operator);
        self.standing =
            others.copied().filter(|process| self.tasks.contains_key(process)).collect();
        // So that they are seen at their next call.
        for (&pid, task) in &self.tasks {
            if self.is_victim(task.process) && task.process != self.operator {
                // It may be stopped already, or dying.
                let _ = ptrace::interrupt(pid);
            }
        }
    }

    fn is_victim(&self, process: Pid) -> bool {
        let victim = match self.aim.victim {
            Victim::Operator => Some(&self.operator),
            Victim::Standing(n) => self.standing.get(n),
            Victim::Started(_) if self.phase == Phase::Before => None,
            Victim::Started(n) => self.processes.get(self.started_before + n),
        };
        victim == Some(&process)
    }

    /// `pid` has stopped before a call, or after it.
    fn at_call(&mut self, pid: Pid) {
        // Where it fails the thread has been killed.
        let Ok(stand) = stand(pid) else { return };
        let Some(task) = self.tasks.get_mut(&pid) else { return };
        match stand {
            Stand::Before(call) => task.call = Some(call.number),
            Stand::After => {
                if let Some(error) = task.failing.take() {
                    // It fails where the thread has been killed.
                    let _ = fail_call(pid, error);
                    return;
                }
            }
        }
        let (process, number) = (task.process, task.call.unwrap_or(-1));
        if self.phase != Phase::During || !self.is_victim(process) {
            return;
        }
        match (self.aim.fault, stand) {
            (Fault::Kill, _) => {
                if self.count(number) {
                    sys::kill(process.as_raw().unsigned_abs());
                }
            }
            (Fault::Fail(failure), Stand::Before(call)) => self.before(pid, &call, failure),
            (Fault::Fail(_), Stand::After) => {}
        }
    }

    fn before(&mut self, pid: Pid, call: &Call, failure: Failure) {
        if failure.may_meet(pid, call)
            && self.count(call.number)
            && skip_call(pid).is_ok()
            && let Some(task) = self.tasks.get_mut(&pid)
        {
            task.failing = Some(failure.errno());
        }
    }

    /// Counts a point: whether it is where the fault is to be.
    fn count(&mut self, number: i64) -> bool {
        let here = match self.aim.at {
            At::Nowhere => false,
            At::Point(point) => point == self.points,
            At::Every(every) => every == number,
        };
        self.points += 1;
        self.numbers.insert(number);
        if here {
            self.hit = Some(number);
        }
        here
    }

    /// The operator always stops at its calls, so that it never asks for the status of a child before we have: the kernel
    /// would tell it that the child is still running.
    fn go_on(&self, pid: Pid, signal: Option<Signal>) {
        let Some(task) = self.tasks.get(&pid) else { return };
        let watched = task.process == self.operator
            || task.failing.is_some()
            || self.phase != Phase::After && self.is_victim(task.process);
        // It fails where the thread has been killed.
        let _ = if watched { ptrace::syscall(pid, signal) } else { ptrace::cont(pid, signal) };
    }
}

/// Ends everybody when time is up.
#[derive(Debug)]
struct Alarm {
    /// Something that was waited for has happened.
    progress: mpsc::Sender<()>,
    thread: thread::JoinHandle<Option<String>>,
}

impl Alarm {
    fn set() -> Self {
        let (progress, made) = mpsc::channel();
        let thread = thread::spawn(move || {
            [LIMIT, AFTERMATH].into_iter().find_map(|limit| {
                let in_time = made.recv_timeout(limit) != Err(RecvTimeoutError::Timeout);
                (!in_time).then(|| end_all(limit))
            })
        });
        Self { progress, thread }
    }

    fn operator_is_dead(&self) {
        // It may have gone off.
        let _ = self.progress.send(());
    }

    /// What was going on when it went off, if it did.
    fn stop(self) -> Option<String> {
        drop(self.progress);
        self.thread.join().expect("the alarm does not panic")
    }
}

/// Kills everybody: what they were doing.
fn end_all(limit: Duration) -> String {
    let processes = proc::descendants(process::id());
    let evidence = watchdog::describe(&processes);
    processes.iter().for_each(|process| sys::kill(process.pid));
    format!("not over after {limit:?}:\n{evidence}")
}
