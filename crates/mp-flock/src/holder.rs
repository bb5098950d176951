//! Who locks a file: `/proc/locks` and `/proc/PID/fdinfo`.

use std::{
    fs,
    io::{self, Read},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    path::Path,
};

use nix::sys::stat::{fstat, major, minor};

use crate::{ByteRange, Error, Kind, Mode, Result, describe};

/// A lock that somebody holds, or waits for.
///
/// # Examples
///
/// ```
/// use mp_flock::{Flock, Kind, holders};
///
/// let lock = Flock::exclusive().lock(tempfile::tempfile()?)?;
/// let found = holders(&lock)?;
/// assert_eq!((found[0].kind(), found[0].pid()), (Kind::Flock, Some(std::process::id())));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    kind: Kind,
    mode: Mode,
    range: ByteRange,
    pid: Option<u32>,
    waiting: bool,
}

impl Holder {
    pub(crate) fn new(kind: Kind, mode: Mode, range: ByteRange, pid: Option<u32>) -> Self {
        Self { kind, mode, range, pid, waiting: false }
    }

    /// Of which kind it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How it is held, or wanted.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Which bytes it is on; all of them, for [`Flock`](crate::Flock).
    pub fn range(&self) -> ByteRange {
        self.range
    }

    /// The process.
    ///
    /// Of a [`Posix`](crate::Posix) lock it is the owner. Of an [`Flock`](crate::Flock) it is the one that took it: a child may
    /// have inherited it and the taker be gone. The kernel does not record it for an [`Ofd`](crate::Ofd) lock: [`holders`] finds
    /// a process that has the open file, where `/proc` lets it look. `None` where nothing of this tells it.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Whether it is waited for, not held.
    pub fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// A line of `/proc/locks`, after its number: `FLOCK ADVISORY WRITE 359 00:13:11691 0 EOF`.
    fn parse(line: &str) -> Option<(FileId, Self)> {
        let (_, line) = line.split_once(':')?;
        let mut words = line.split_whitespace();
        let first = words.next()?;
        let waiting = first == "->";
        let kind = match if waiting { words.next()? } else { first } {
            "FLOCK" => Kind::Flock,
            "POSIX" => Kind::Posix,
            "OFDLCK" => Kind::Ofd,
            _ => return None,
        };
        let mode = match words.nth(1)? {
            "READ" => Mode::Shared,
            "WRITE" => Mode::Exclusive,
            _ => return None,
        };
        let pid = words.next()?.parse().ok();
        let file = FileId::parse(words.next()?)?;
        let range =
            ByteRange::from_first_and_last(words.next()?.parse().ok()?, words.next()?.parse().ok());
        Some((file, Self { kind, mode, range, pid, waiting }))
    }
}

/// `/proc/locks`—Every lock of any kind on `file`: those held, and those waited for.
///
/// A picture of a moment: by the time you look at it, it may have changed. Where the table of the whole machine is longer
/// than a page (some seventy locks) and changes all the time, it can show a lock twice or leave one out. Locks of processes
/// in other PID namespaces are not in it. Finding the process of an [`Ofd`](crate::Ofd) lock takes a look at each process.
///
/// # Errors
///
/// What reading `/proc` fails with.
///
/// # Examples
///
/// ```
/// use mp_flock::{Flock, holders};
///
/// let file = tempfile::tempfile().unwrap();
/// let lock = Flock::exclusive().lock(file)?;
/// assert_eq!(holders(&*lock)?[0].pid(), Some(std::process::id()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias("lslocks", "fuser"))]
pub fn holders(file: impl AsFd) -> Result<Vec<Holder>> {
    let fd = file.as_fd();
    let failed = |error| Error::new("find who locks", describe(fd), error);
    let file = FileId::of(fd).map_err(failed)?;
    let mut holders = read_stable(file).map_err(failed)?;
    if holders.iter().any(|holder| holder.pid.is_none()) {
        find_processes(fd, file, &mut holders).map_err(failed)?;
    }
    Ok(holders)
}

/// How often to read the table of a machine whose locks change all the time.
const MOST_READS: usize = 10;

/// The locks on `file` as two readings in a row tell them.
///
/// The kernel writes a page at a time, and between two pages it counts on from where it was: what was locked and unlocked
/// meanwhile moves all that follows.
fn read_stable(file: FileId) -> io::Result<Vec<Holder>> {
    let read = || Ok::<_, io::Error>(on_file(&read_table()?, file).collect());
    let mut last: Vec<_> = read()?;
    for _ in 1..MOST_READS {
        let next = read()?;
        if next == last {
            break;
        }
        last = next;
    }
    Ok(last)
}

/// `/proc/locks`, in as few system calls as the kernel allows.
fn read_table() -> io::Result<String> {
    let mut table = Vec::with_capacity(1 << 16);
    fs::File::open("/proc/locks")?.read_to_end(&mut table)?;
    Ok(String::from_utf8_lossy(&table).into_owned())
}

/// The locks of the open file of `fd`, if they are of a kind that open files have.
pub(crate) fn held_by(fd: BorrowedFd<'_>) -> Result<Vec<Holder>> {
    let path = format!("/proc/self/fdinfo/{}", fd.as_raw_fd());
    let failed = |error| Error::new("find who locks", describe(fd), error);
    let info = fs::read_to_string(path).map_err(failed)?;
    Ok(on_file(&info, FileId::of(fd).map_err(failed)?).collect())
}

/// The locks on `file` in `/proc/locks` or an `fdinfo`, whose lines have `lock:` before them.
fn on_file(table: &str, file: FileId) -> impl Iterator<Item = Holder> {
    table
        .lines()
        .map(|line| line.strip_prefix("lock:").unwrap_or(line))
        .filter_map(Holder::parse)
        .filter_map(move |(on, holder)| (on == file).then_some(holder))
}

/// Fills in the numbers of processes that have the locks among those of their open files.
///
/// Processes and descriptors that vanish meanwhile, or that this user may not look at, are passed over.
fn find_processes(fd: BorrowedFd<'_>, file: FileId, holders: &mut [Holder]) -> io::Result<()> {
    let stat = fstat(fd)?;
    let is_same_file = |path: &Path| {
        nix::sys::stat::stat(path)
            .is_ok_and(|other| (other.st_dev, other.st_ino) == (stat.st_dev, stat.st_ino))
    };
    for process in fs::read_dir("/proc")? {
        let process = process?;
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        for descriptor in descriptors.flatten().filter(|it| is_same_file(&it.path())) {
            let path = process.path().join("fdinfo").join(descriptor.file_name());
            let info = fs::read_to_string(path).unwrap_or_default();
            for lock in on_file(&info, file) {
                if let Some(holder) = holders.iter_mut().find(|holder| **holder == lock) {
                    holder.pid = holder.pid.or(Some(pid));
                }
            }
        }
        if holders.iter().all(|holder| holder.pid.is_some()) {
            break;
        }
    }
    Ok(())
}

/// A file as `/proc/locks` names it: the device of its file system and its number there.
///
/// On overlay and btrfs, `stat(2)` tells another device than the kernel has for the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    major: u64,
    minor: u64,
    inode: u64,
}

impl FileId {
    fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let stat = fstat(fd)?;
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
        let field =
            |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start);
        // Since Linux 5.14; before, and on the usual file systems, it is that of `stat`.
        let inode = field("ino:").and_then(|inode| inode.parse().ok()).unwrap_or(stat.st_ino);
        let device = match field("mnt_id:") {
            Some(mount) => device_of_mount(mount)?,
            None => None,
        };
        let (major, minor) = device.unwrap_or((major(stat.st_dev), minor(stat.st_dev)));
        Ok(Self { major, minor, inode })
    }

    /// `fe:00:10010748`, the device in hexadecimal.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let mut device = || u64::from_str_radix(parts.next()?, 16).ok();
        let (major, minor) = (device()?, device()?);
        Some(Self { major, minor, inode: parts.next()?.parse().ok()? })
    }
}

/// The device of a mounted file system; `None` for those of the kernel itself, which are mounted nowhere.
fn device_of_mount(mount: &str) -> io::Result<Option<(u64, u64)>> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    Ok(table.lines().find_map(|line| {
        let mut words = line.split(' ');
        if words.next()? != mount {
            return None;
        }
        let (major, minor) = words.nth(1)?.split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_locks() {
        let file = FileId { major: 0xfe, minor: 0, inode: 77 };
        let parse = |line| Holder::parse(line).map(|(on, holder)| (on == file, holder));
        let (same, holder) = parse("1: FLOCK  ADVISORY  WRITE 359 fe:00:77 0 EOF").unwrap();
        let expected = Holder::new(Kind::Flock, Mode::Exclusive, ByteRange::WHOLE_FILE, Some(359));
        assert!(same && holder == expected);

        let (same, holder) = parse("2: -> POSIX  ADVISORY  READ 8 fe:01:77 128 255").unwrap();
        assert!(!same && holder.is_waiting() && holder.kind() == Kind::Posix);
        assert_eq!((holder.range().start(), holder.range().last()), (128, Some(255)));

        let (_, holder) = parse("3: OFDLCK ADVISORY  READ -1 fe:00:77 0 0").unwrap();
        assert_eq!((holder.kind(), holder.mode(), holder.pid()), (Kind::Ofd, Mode::Shared, None));
        assert_eq!(holder.range().last(), Some(0));

        for other in ["", "4:", "5: LEASE  ACTIVE    READ 8 fe:00:77 0 EOF", "6: FLOCK ADVISORY"] {
            assert!(parse(other).is_none(), "{other}");
        }
    }
}
