//! Which process holds a lease, and whether it lives.

use std::{
    fs, io, process,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

use mp_os::PidFd;
use nix::sys::{
    stat::fstat,
    statfs::{FsType, fstatfs},
};

/// A process: its number, and what tells it from others that had or will have the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    pub(crate) birth: Birth,
}

/// The number of its pidfd's inode, which no other process ever has, where pidfds have a file system (Linux 6.9);
/// otherwise the time of its start, marked; zero where neither is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Birth(u64);

/// The mark of a time.
const TIME: u64 = 1 << 63;

/// `PID_FS_MAGIC` of `linux/magic.h`.
const PIDFS: FsType = FsType(0x5049_4446);

/// This process, found out once; a forked child has a number of its own and finds out anew.
static OWN_PID: AtomicU32 = AtomicU32::new(0);
static OWN_BIRTH: AtomicU64 = AtomicU64::new(0);

impl Holder {
    pub(crate) fn current() -> Self {
        let pid = process::id();
        if OWN_PID.load(Relaxed) != pid {
            let birth = match look(pid) {
                Look::Alive(birth) => birth,
                // It is not dead, so nothing is known of it.
                Look::Dead => Birth::UNKNOWN,
            };
            OWN_BIRTH.store(birth.to_bits(), Relaxed);
            OWN_PID.store(pid, std::sync::atomic::Ordering::Release);
        }
        Self { pid, birth: Birth::from_bits(OWN_BIRTH.load(Relaxed)) }
    }

    /// Whether it has ended: zombies have. In doubt, it lives.
    pub(crate) fn is_dead(self) -> bool {
        match look(self.pid) {
            Look::Dead => true,
            Look::Alive(birth) => !birth.may_be(self.birth),
        }
    }
}

impl Birth {
    const UNKNOWN: Self = Self(0);

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// Whether nothing that is known of both speaks against it.
    fn may_be(self, other: Self) -> bool {
        let same_kind = self.0 & TIME == other.0 & TIME;
        self == other || self == Self::UNKNOWN || other == Self::UNKNOWN || !same_kind
    }
}

enum Look {
    Dead,
    Alive(Birth),
}

fn look(pid: u32) -> Look {
    match PidFd::open(pid) {
        Ok(process) if process.has_exited().unwrap_or(false) => Look::Dead,
        Ok(process) => match inode(&process) {
            Some(birth) => Look::Alive(birth),
            // We have just seen that it lives.
            None => Look::Alive(look_in_proc(pid).unwrap_or(Birth::UNKNOWN)),
        },
        Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => Look::Dead,
        // Where pidfds are denied, `/proc` has to do.
        Err(_) => look_in_proc(pid).map_or(Look::Dead, Look::Alive),
    }
}

fn inode(process: &PidFd) -> Option<Birth> {
    let is_unique = fstatfs(process).ok()?.filesystem_type() == PIDFS;
    let number = fstat(process).ok()?.st_ino;
    (is_unique && number < TIME).then_some(Birth(number))
}

/// `None` for a process that is not there, or has ended.
fn look_in_proc(pid: u32) -> Option<Birth> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => match state_and_start(&stat) {
            Some((b'Z' | b'X', _)) => None,
            start => Some(start.map_or(Birth::UNKNOWN, |(_, start)| Birth(start | TIME))),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => Some(Birth::UNKNOWN),
    }
}

/// The third and the twenty-second field, counted from behind the name, which may hold anything.
fn state_and_start(stat: &str) -> Option<(u8, u64)> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = *fields.next()?.as_bytes().first()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_told_from_the_next_of_its_number() {
        let own = Holder::current();
        assert!(!own.is_dead());
        let other = Holder { birth: Birth(own.birth.0 + 1), ..own };
        assert!(other.is_dead());
        for unknown in [Birth::UNKNOWN, Birth(own.birth.0 ^ TIME)] {
            assert!(!Holder { birth: unknown, ..own }.is_dead(), "in doubt it lives");
        }
        let time = look_in_proc(own.pid).unwrap();
        assert!(time.0 > TIME && !time.may_be(Birth(time.0 + 1)));
    }

    #[test]
    fn a_zombie_is_dead() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let holder = Holder { pid: child.id(), birth: Birth::UNKNOWN };
        assert!(!holder.is_dead());
        child.kill().unwrap();
        let process = PidFd::open(child.id());
        if let Ok(process) = process {
            assert!(process.wait_exit(mp_os::Deadline::never()).unwrap());
            assert!(holder.is_dead(), "before it is reaped");
        }
        child.wait().unwrap();
        assert!(holder.is_dead());
    }

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "12 (a) Z (b) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 4711 23";
        assert_eq!(state_and_start(stat), Some((b'S', 4711)));
    }
}
