//! What a test left behind.
//!
//! Two snapshots of all that the process and its descendants hold, before and after the test. Objects with names are
//! visible to the whole machine, where other tests run at the same time; so only those count that tell whose they are:
//! by a name that holds the test's mark or process, or by the process that the kernel recorded as their creator.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, process,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use mp_os::Deadline;

use crate::{isolated, proc, sys};

/// How long to look again for what the kernel or another thread is still cleaning up.
const SETTLE: Duration = Duration::from_secs(1);

static BASELINE: Mutex<Option<Snapshot>> = Mutex::new(None);

/// From now on, what exists at this moment is no leak.
pub(crate) fn begin() {
    *BASELINE.lock().unwrap_or_else(PoisonError::into_inner) = Some(Snapshot::take());
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
        let now = Snapshot::take();
        let leaks = now.beyond(baseline);
        if leaks.is_empty() || deadline.is_past() {
            now.remove_beyond(baseline);
            return leaks;
        }
        std::thread::yield_now();
    }
}

/// Things by kind and key; the value is their description.
#[derive(Debug, Default)]
struct Snapshot(BTreeMap<(Kind, String), String>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Child,
    Thread,
    Descriptor,
    Mapping,
    SharedMemoryFile,
    SystemV,
}

impl Snapshot {
    fn take() -> Self {
        let mut snapshot = Self::default();
        snapshot.add_children();
        snapshot.add_threads();
        snapshot.add_descriptors();
        snapshot.add_mappings();
        snapshot.add_shared_memory_files();
        snapshot.add_system_v();
        snapshot
    }

    fn add(&mut self, kind: Kind, key: impl ToString, description: String) {
        self.0.insert((kind, key.to_string()), description);
    }

    fn beyond(&self, baseline: &Self) -> Vec<String> {
        let new = self.0.iter().filter(|(thing, _)| !baseline.0.contains_key(thing));
        let gone = baseline
            .0
            .iter()
            .filter(|(thing, _)| thing.0 == Kind::Descriptor && !self.0.contains_key(thing))
            .map(|(_, description)| {
                format!("a descriptor of somebody else was closed: {description}")
            });
        new.map(|(_, description)| description.clone()).chain(gone).collect()
    }

    /// Removes what would outlive the process; the other things end with it.
    fn remove_beyond(&self, baseline: &Self) {
        for (kind, key) in self.0.keys().filter(|thing| !baseline.0.contains_key(thing)) {
            match kind {
                Kind::Child => key.parse().iter().for_each(|&pid| sys::kill(pid)),
                Kind::SharedMemoryFile => drop(fs::remove_file(format!("/dev/shm/{key}"))),
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
            self.add(Kind::Child, child.pid, child.to_string());
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
                let target = target.display();
                self.add(
                    Kind::Descriptor,
                    format!("{fd} {target}"),
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

    fn add_shared_memory_files(&mut self) {
        let ours = Ours::now();
        for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if ours.name(&name) {
                self.add(Kind::SharedMemoryFile, &name, format!("/dev/shm/{name}"));
            }
        }
    }

    /// The kernel records who created a segment, and who last used a queue; of a set of semaphores it tells nobody.
    fn add_system_v(&mut self) {
        let ours = Ours::now();
        for (file, processes) in [("shm", ["cpid", "lpid"]), ("msg", ["lspid", "lrpid"])] {
            for row in table(&format!("/proc/sysvipc/{file}")) {
                let by = |column: &&str| row.get(*column).is_some_and(|pid| ours.process(pid));
                if processes.iter().any(by) {
                    let id = row.get(&format!("{file}id")).cloned().unwrap_or_default();
                    let key = format!("{file} {id}");
                    let description = format!("System V {file} {id} with key {}", row["key"]);
                    self.add(Kind::SystemV, key, description);
                }
            }
        }
    }
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
}

impl Ours {
    fn now() -> Self {
        let me = process::id();
        let mut processes: BTreeSet<_> =
            proc::descendants(me).into_iter().map(|process| process.pid).collect();
        processes.insert(me);
        Self { mark: isolated::mark().unwrap_or_default(), processes }
    }

    fn process(&self, pid: &str) -> bool {
        pid.parse().is_ok_and(|pid| self.processes.contains(&pid))
    }

    /// Whether a name holds the mark, or the number of one of our processes among its numbers.
    fn name(&self, name: &str) -> bool {
        (!self.mark.is_empty() && name.split('-').any(|part| part == self.mark))
            || name
                .split(|letter: char| !letter.is_ascii_digit())
                .any(|number| self.process(number))
    }
}
