//! Whether the kernel killed processes because memory ran out.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// The kernel's count of kills when it was read last.
static SEEN: AtomicU64 = AtomicU64::new(u64::MAX);

/// Kills since, which no death has been explained with yet.
static UNEXPLAINED: AtomicU64 = AtomicU64::new(0);

/// Reads the count, so that only later kills are taken for ours.
pub(crate) fn start_counting() {
    SEEN.store(count().unwrap_or(u64::MAX), Relaxed);
}

/// Whether an unexpected `SIGKILL` is probably one of the kernel's for want of memory. Each explains one death.
///
/// The kernel counts before it kills. It does not tell whom, so a kill outside this program can be mistaken for ours.
pub(crate) fn explains_a_kill() -> bool {
    let Some(count) = count() else { return false };
    let seen = SEEN.fetch_max(count, Relaxed);
    UNEXPLAINED.fetch_add(count.saturating_sub(seen), Relaxed);
    UNEXPLAINED.fetch_update(Relaxed, Relaxed, |kills| kills.checked_sub(1)).is_ok()
}

/// `oom_kill` in `/proc/vmstat`.
fn count() -> Option<u64> {
    let text = fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}
