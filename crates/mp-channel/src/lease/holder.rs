//! Which process holds a lease, and whether it lives.

use std::{
    fs::{self, File},
    io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    process,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
};

use mp_os::PidFd;

/// A process: its number, and what tells it from others that had or will have the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    pub(crate) birth: Birth,
}

/// The number of its pidfd's inode, which is unique where pidfds have a file system (Linux 6.9), and the time of its
/// start: the lower half of each, zero where it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Birth {
    inode: u32,
    start: u32,
}

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
                Look::Dead => Birth { inode: 0, start: 0 },
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
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self { inode: (bits >> 32) as u32, start: bits as u32 }
    }

    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.inode) << 32 | u64::from(self.start)
    }

    /// Whether nothing that is known of both speaks against it.
    fn may_be(self, other: Self) -> bool {
        let agree = |one, two| one == two || one == 0 || two == 0;
        agree(self.inode, other.inode) && agree(self.start, other.start)
    }
}

enum Look {
    Dead,
    Alive(Birth),
}

fn look(pid: u32) -> Look {
    let mut inode = 0;
    match PidFd::open(pid) {
        Ok(process) => {
            if process.has_exited().unwrap_or(false) {
                return Look::Dead;
            }
            let file = File::from(OwnedFd::from(process));
            inode = file.metadata().map_or(0, |status| status.ino() as u32);
        }
        Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => return Look::Dead,
        // Where pidfds are denied, `/proc` has to do.
        Err(_) => {}
    }
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => match state_and_start(&stat) {
            Some((b'Z' | b'X', _)) => Look::Dead,
            Some((_, start)) => Look::Alive(Birth { inode, start: start as u32 }),
            None => Look::Alive(Birth { inode, start: 0 }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound && inode == 0 => Look::Dead,
        Err(_) => Look::Alive(Birth { inode, start: 0 }),
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
        let other = Holder { birth: Birth { start: own.birth.start + 1, ..own.birth }, ..own };
        assert!(other.is_dead());
        let unknown = Holder { birth: Birth { inode: 0, start: 0 }, ..own };
        assert!(!unknown.is_dead(), "in doubt it lives");
    }

    #[test]
    fn a_zombie_is_dead() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let holder = Holder { pid: child.id(), birth: Birth { inode: 0, start: 0 } };
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
