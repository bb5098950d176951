use std::{fs, time::Duration};

use super::local::Local;

/// What a pool has done so far, and who its workers are: [`Pool::stats`](super::Pool::stats), [`ThreadPool::stats`](crate::ThreadPool::stats).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// The workers there are right now, by [number](crate::worker::id).
    pub workers: Vec<WorkerStats>,
    /// Tasks that workers have finished, those of workers that are gone too.
    pub tasks: u64,
    /// How long these tasks took, all together.
    pub busy: Duration,
    /// Tasks that were given to the pool and whose outcomes are not known yet.
    pub queued: u64,
    /// Workers that died, those excepted that the pool has killed.
    pub deaths: u64,
    /// Tasks that ran longer than they may.
    pub timeouts: u64,
    /// Running tasks that were cancelled.
    pub cancelled: u64,
    /// Workers that ended because they had run as many tasks, or had as much memory, as one may, or for want of tasks.
    pub retired: u64,
}

/// What a worker has done so far.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Its [number](crate::worker::id).
    pub id: usize,
    /// Its process; that of a thread is this one.
    pub pid: u32,
    /// The tasks it has finished.
    pub tasks: u64,
    /// How long these took.
    pub busy: Duration,
    /// The memory it has now, in bytes (`VmRSS`); `None` where it is dead, or a thread, which has none of its own.
    pub memory: Option<u64>,
}

/// The part of the statistics that outlives workers.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    pub(super) tasks: u64,
    pub(super) busy: Duration,
    pub(super) deaths: u64,
    pub(super) timeouts: u64,
    pub(super) cancelled: u64,
    pub(super) retired: u64,
}

impl Local {
    pub(super) fn stats(&self) -> PoolStats {
        self.advance();
        let mut stats = {
            let state = self.state.lock();
            let workers = state.slots.iter().map(|slot| WorkerStats {
                id: slot.place,
                pid: slot.child.pid(),
                tasks: slot.completed,
                busy: slot.busy,
                memory: None,
            });
            let waiting: u64 = state.backlog.iter().map(|batch| u64::from(batch.count)).sum();
            let given: u64 = state.slots.iter().map(|slot| slot.queued()).sum();
            let Totals { tasks, busy, deaths, timeouts, cancelled, retired } = state.totals;
            let workers = workers.collect();
            let queued = waiting + given;
            PoolStats { workers, tasks, busy, queued, deaths, timeouts, cancelled, retired }
        };
        for worker in &mut stats.workers {
            stats.tasks += worker.tasks;
            stats.busy += worker.busy;
            worker.memory = resident(&worker.pid.to_string());
        }
        stats.workers.sort_by_key(|worker| worker.id);
        stats
    }
}

/// The memory of a process in bytes, as `/proc` has it: a number, or `self`.
pub(super) fn resident(process: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// Whether a process has been stopped by a signal, and not by a debugger.
pub(super) fn is_stopped(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:\tT"))
}
