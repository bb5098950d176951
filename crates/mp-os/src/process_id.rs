use std::{
    process,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use crate::sys;

/// `getpid(2)`—The number of this process, as [`std::process::id`] tells it, but by a look at memory: the kernel is asked
/// once in each process, and again in its forks.
///
/// For destructors that must do nothing in a forked child, on paths where every system call counts. Not for a child that
/// shares its parent's memory (`vfork(2)`): it would see the parent's number.
///
/// # Examples
///
/// ```
/// assert_eq!(mp_os::process_id(), std::process::id());
/// ```
#[doc(alias = "getpid")]
#[inline]
pub fn process_id() -> u32 {
    /// Zero in every new process; `None` where the kernel has no such memory.
    static KNOWN: OnceLock<Option<&AtomicU32>> = OnceLock::new();
    let Some(known) = KNOWN.get_or_init(|| sys::wiped_on_fork().ok()) else { return process::id() };
    match known.load(Relaxed) {
        0 => {
            let id = process::id();
            known.store(id, Relaxed);
            id
        }
        id => id,
    }
}
