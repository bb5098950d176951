use std::{process, sync::atomic::Ordering::Relaxed};

use crate::Wiped;

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
    /// Zero in every new process.
    static KNOWN: Wiped<1> = Wiped::new();
    let Ok([known]) = KNOWN.get_or_make() else { return process::id() };
    match known.load(Relaxed) {
        0 => {
            let id = process::id();
            known.store(id.into(), Relaxed);
            id
        }
        id => id as u32,
    }
}
