//! What a test left behind.
//!
//! Two snapshots of all that the process and its descendants hold, before and after the test.
//!
//! Where it may (root, outside of a strict container), an isolated test has an IPC namespace and a `/dev/shm` of its own, so
//! that whatever is in them is the test's. Elsewhere other tests of the machine put their objects beside ours, and only
//! those count that tell whose they are: by a name that holds the test's mark or the number of one of its processes, or
//! by the process that the kernel recorded as creator or last user. Of System V semaphores it records nothing there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::{
        fd::AsRawFd,
        unix::{fs::MetadataExt, process::parent_id},
    },
    process,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use mp_os::Deadline;
use nix::{
    mqueue::mq_unlink,
    sys::wait::{WaitPidFlag, waitpid},
    unistd::Pid,
};

use crate::{isolated, limits, names, proc, sys};

/// How long to look again for what the kernel or another thread is still cleaning up.
const SETTLE: Duration = Duration::from_secs(1);

static BASELINE: Mutex<Option<Snapshot>> = Mutex::new(None);

/// From now on, what exists at this moment is no leak.
pub(crate) fn begin() {
    *BASELINE.lock().unwrap_or_else(PoisonError::into_inner) = Some(Snapshot::take());
}

/// Whether the audit plays `init` for orphans.
static EXPECTS_ORPHANS: AtomicBool = AtomicBool::new(false);

/// From now on the audit reaps the dead, as `init` would do elsewhere for those whose parent died before them.
///
/// For tests that kill a parent, or whose children leave their own to `init`. It would hide a child that the test itself
/// forgot to reap: call it only there.
pub fn expect_orphans() {
    EXPECTS_ORPHANS.store(true, Relaxed);
}

fn reap_orphans() {
    for child in proc::children(process::id()).into_iter().filter(proc::Process::is_zombie) {
        // A library may reap it first.
        let _ = waitpid(Pid::from_raw(child.pid.cast_signed()), Some(WaitPidFlag::WNOHANG));
    }
}

/// What exists now and did not when the audit began, a line for each thing.
///
/// A thread that was joined is still listed for a moment, and a library may have a thread that reaps a child: there is no
/// event to wait for, so the audit looks again for a while before it says that something was left.
pub(crate) fn leaks() -> Vec<String> {
    let baseline = BASELINE.lock().unwrap_or_else(PoisonError::into_inner);
    let baseline = baseline.as_ref().expect("the audit has begun");
    let deadline = Deadline::after(SETTLE);
    loop {
        if EXPECTS_ORPHANS.load(Relaxed) {
            reap_orphans();
        }
        let now = Snapshot::take();
        let leaks = now.beyond(baseline);
        if leaks.is_empty() || deadline.is_past() {
            now.remove_beyond(baseline);
            return leaks;
        }
        std::thread::yield_now();
    }
}

/// Removes the files of a test that died before its own audit, in a `/dev/shm` that it shared with others.
pub(crate) fn remove_marked(mark: &str) {
    for name in file_names("/dev/shm").iter().filter(|name| has_mark(name, mark)) {
        // Somebody else may have removed it.
        let _ = fs::remove_file(format!("/dev/shm/{name}"));
    }
}

/// Whether a name of `unique_name` was made in the test `mark`.
fn has_mark(name: &str, mark: &str) -> bool {
    !mark.is_empty() && name.split('-').any(|part| part == mark)
}

/// Things by kind and key.
#[derive(Debug, Default)]
struct Snapshot(BTreeMap<(Kind, String), Thing>);

#[derive(Debug)]
struct Thing {
    description: String,
    /// Another thing of the same kind and part may take its place: the spare process of a server, say, and the socket to it.
    part: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Child,
    Thread,
    Descriptor,
    Mapping,
    SharedMemoryFile,
    MessageQueue,
    SystemV,
}

/// Between two snapshots.
struct Changes<'a> {
    new: Vec<(&'a (Kind, String), &'a Thing)>,
    gone: Vec<(&'a (Kind, String), &'a Thing)>,
}

impl Snapshot {
    fn take() -> Self {
        let mut snapshot = Self::default();
        snapshot.add_children();
        snapshot.add_threads();
        snapshot.add_descriptors();
        snapshot.add_mappings();
        let ours = Ours::now();
        snapshot.add_shared_memory_files(&ours);
        snapshot.add_message_queues(&ours);
        snapshot.add_system_v(&ours);
        snapshot
    }

    /// Something whose place nothing else can take.
    fn add(&mut self, kind: Kind, key: impl ToString, description: String) {
        let key = key.to_string();
        self.add_part(kind, &key, key.clone(), description);
    }

    fn add_part(&mut self, kind: Kind, key: impl ToString, part: String, description: String) {
        self.0.insert((kind, key.to_string()), Thing { description, part });
    }

    /// The keys and things that are not in `other`.
    fn missing_in(&self, other: &Self) -> Vec<(&(Kind, String), &Thing)> {
        self.0.iter().filter(|(key, _)| !other.0.contains_key(key)).collect()
    }

    /// What is new and what is gone, without what took the place of something.
    fn changes_since<'a>(&'a self, baseline: &'a Self) -> Changes<'a> {
        let (mut new, mut gone) = (self.missing_in(baseline), baseline.missing_in(self));
        new.retain(|((kind, _), thing)| {
            let predecessor =
                gone.iter().position(|(key, old)| key.0 == *kind && old.part == thing.part);
            predecessor.map(|at| gone.swap_remove(at)).is_none()
        });
        Changes { new, gone }
    }

    fn beyond(&self, baseline: &Self) -> Vec<String> {
        let Changes { new, gone } = self.changes_since(baseline);
        let gone =
            gone.into_iter().filter(|(key, _)| key.0 == Kind::Descriptor).map(|(_, thing)| {
                format!("a descriptor of somebody else was closed: {}", thing.description)
            });
        new.into_iter().map(|(_, thing)| thing.description.clone()).chain(gone).collect()
    }

    /// Removes what would outlive the process; the other things end with it.
    fn remove_beyond(&self, baseline: &Self) {
        for ((kind, key), _) in self.changes_since(baseline).new {
            match kind {
                Kind::Child => key.parse().iter().for_each(|&pid| sys::kill(pid)),
                Kind::SharedMemoryFile => drop(fs::remove_file(format!("/dev/shm/{key}"))),
                Kind::MessageQueue => drop(mq_unlink(format!("/{key}").as_str())),
                Kind::SystemV => {
                    let (kind, id) = key.split_once(' ').expect("the key is made of two words");
                    id.parse().iter().for_each(|&id| sys::remove_system_v(kind, id));
                }
                Kind::Thread | Kind::Descriptor | Kind::Mapping => {}
            }
        }
    }

    /// Orphans included: the process adopts them.
    fn add_children(&mut self) {
        for child in proc::children(process::id()) {
            let part = format!("{} {}", child.name, child.is_zombie());
            self.add_part(Kind::Child, child.pid, part, child.to_string());
        }
    }

    fn add_threads(&mut self) {
        for thread in proc::numbers("/proc/self/task") {
            let name = fs::read_to_string(format!("/proc/self/task/{thread}/comm"));
            // Without a name it is gone.
            if let Ok(name) = name {
                self.add(Kind::Thread, thread, format!("thread {thread} `{}`", name.trim_end()));
            }
        }
    }

    fn add_descriptors(&mut self) {
        for fd in proc::numbers("/proc/self/fd") {
            // The descriptor of the directory that is being listed is gone by now.
            if let Ok(target) = fs::read_link(format!("/proc/self/fd/{fd}")) {
                let target = target.display().to_string();
                // A socket is `socket:[INODE]`.
                let part = target.split(":[").next().unwrap_or_default().to_owned();
                self.add_part(
                    Kind::Descriptor,
                    format!("{fd} {target}"),
                    part,
                    format!("descriptor {fd} of {target}"),
                );
            }
        }
    }

    /// Shared mappings by file, since their addresses mean nothing.
    fn add_mappings(&mut self) {
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        for line in maps.lines() {
            let mut fields = line.split_ascii_whitespace();
            let permissions = fields.nth(1).unwrap_or_default();
            if permissions.ends_with('s') {
                let file: Vec<_> = fields.skip(1).collect();
                let file = file.join(" ");
                self.add(
                    Kind::Mapping,
                    &file,
                    format!("shared mapping of {file} (device, inode, name)"),
                );
            }
        }
    }

    /// Named POSIX semaphores among them.
    fn add_shared_memory_files(&mut self, ours: &Ours) {
        for name in file_names("/dev/shm") {
            if ours.has_shm_alone || ours.name(&name) {
                self.add(Kind::SharedMemoryFile, &name, format!("/dev/shm/{name}"));
            }
        }
    }

    /// POSIX ones. Where their file system is not mounted it is mounted for the moment; who may not do that can still ask
    /// for the names that were made for the test.
    fn add_message_queues(&mut self, ours: &Ours) {
        let names = match sys::message_queues() {
            Ok(directory) => file_names(&format!("/proc/self/fd/{}", directory.as_raw_fd())),
            Err(_) => {
                let mut names = file_names("/dev/mqueue");
                names.extend(names::made().into_iter().filter(|name| sys::is_message_queue(name)));
                names
            }
        };
        for name in names {
            if ours.has_ipc_alone || ours.name(&name) {
                self.add(Kind::MessageQueue, &name, format!("message queue /{name}"));
            }
        }
    }

    fn add_system_v(&mut self, ours: &Ours) {
        for (kind, id, processes) in [
            ("shm", "shmid", ["cpid", "lpid"].as_slice()),
            ("msg", "msqid", &["lspid", "lrpid"]),
            ("sem", "semid", &[]),
        ] {
            for row in table(&format!("/proc/sysvipc/{kind}")) {
                let by = |column: &&str| row.get(*column).is_some_and(|pid| ours.process(pid));
                if ours.has_ipc_alone || processes.iter().any(by) {
                    let (id, key) = (&row[id], &row["key"]);
                    let description = format!("System V {kind} {id} with key {key}");
                    self.add(Kind::SystemV, format!("{kind} {id}"), description);
                }
            }
        }
    }
}

fn file_names(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The rows of a table with a head, by column.
fn table(path: &str) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines();
    let columns: Vec<_> = lines.next().unwrap_or_default().split_ascii_whitespace().collect();
    lines
        .map(|line| {
            let cells = line.split_ascii_whitespace().map(str::to_owned);
            columns.iter().map(|&column| column.to_owned()).zip(cells).collect()
        })
        .collect()
}

/// What makes an object this test's own.
struct Ours {
    mark: String,
    processes: BTreeSet<u32>,
    /// Nobody else's objects are in the IPC namespace,
    has_ipc_alone: bool,
    /// or in `/dev/shm`.
    has_shm_alone: bool,
}

impl Ours {
    fn now() -> Self {
        let me = process::id();
        let mut processes: BTreeSet<_> =
            proc::descendants(me).into_iter().map(|process| process.pid).collect();
        processes.insert(me);
        let harness = format!("/proc/{}", parent_id());
        let differs = |ours: io::Result<_>, theirs: io::Result<_>| {
            ours.is_ok_and(|ours: u64| theirs.is_ok_and(|theirs| ours != theirs))
        };
        let device = |of: &str| fs::metadata(format!("{of}/dev/shm")).map(|file| file.dev());
        Self {
            mark: isolated::mark().unwrap_or_default(),
            processes,
            has_ipc_alone: limits::has_own_ipc(),
            has_shm_alone: differs(device(""), device(&format!("{harness}/root"))),
        }
    }

    fn process(&self, pid: &str) -> bool {
        pid.parse().is_ok_and(|pid| self.processes.contains(&pid))
    }

    /// Whether a name holds the mark, or the number of one of our processes among its numbers.
    fn name(&self, name: &str) -> bool {
        has_mark(name, &self.mark)
            || name
                .split(|letter: char| !letter.is_ascii_digit())
                .any(|number| self.process(number))
    }
}
