//! Which cores a measurement uses.

use std::{fs, sync::OnceLock};

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// Where this process and its [`Peer`](crate::Peer) run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// On two cores, of different physical ones where there are such.
    Two,
    /// On one core, so that each runs only while the other sleeps.
    Same,
}

impl Cores {
    /// For this process, and for its peer. Where there is only one core, both have that.
    pub fn numbers(self) -> (usize, usize) {
        let (first, second) = *both();
        if self == Self::Two { (first, second) } else { (first, first) }
    }
}

/// The cores that this process was allowed to use when it first asked.
fn allowed() -> &'static CpuSet {
    static ALLOWED: OnceLock<CpuSet> = OnceLock::new();
    let own = || sched_getaffinity(Pid::from_raw(0)).expect("a thread may ask for its own cores");
    ALLOWED.get_or_init(own)
}

/// Two of them.
fn both() -> &'static (usize, usize) {
    static BOTH: OnceLock<(usize, usize)> = OnceLock::new();
    BOTH.get_or_init(|| {
        let allowed: Vec<_> =
            (0..CpuSet::count()).filter(|&core| allowed().is_set(core) == Ok(true)).collect();
        let first = *allowed.first().expect("a running thread has a core");
        let others = || allowed.iter().copied().filter(|&core| core != first);
        let apart = others().find(|&core| siblings(core) != siblings(first));
        (first, apart.or_else(|| others().next()).unwrap_or(first))
    })
}

/// The cores that share execution units with `core`, in the kernel's notation.
fn siblings(core: usize) -> Option<String> {
    fs::read_to_string(format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list"))
        .ok()
}

/// Lets the calling thread run on every core again.
///
/// # Panics
///
/// Where the operating system refuses.
pub fn unpin() {
    sched_setaffinity(Pid::from_raw(0), allowed()).expect("the cores of before are allowed");
}

/// Binds the calling thread to `core`.
///
/// # Panics
///
/// Where there is no such core.
pub fn pin_to(core: usize) {
    let mut set = CpuSet::new();
    allowed();
    set.set(core).expect("the kernel named this core");
    sched_setaffinity(Pid::from_raw(0), &set).expect("an allowed core may be chosen");
}
