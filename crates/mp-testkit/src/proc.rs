//! Processes as `/proc` shows them.

use std::{collections::BTreeMap, fmt, fs, path::Path};

/// One line of `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) name: String,
    pub(crate) state: char,
}

impl Process {
    pub(crate) fn is_zombie(&self) -> bool {
        self.state == 'Z'
    }

    /// The name may hold anything, parentheses included, so the fields after it are found from the end.
    pub(crate) fn parse(stat: &str) -> Option<Self> {
        let (pid, rest) = stat.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        Some(Self { pid: pid.parse().ok()?, parent, name: name.to_owned(), state })
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_zombie() { "zombie" } else { "process" };
        let Self { pid, name, state, .. } = self;
        write!(f, "{kind} {pid} `{name}` (state {state}): {}", command_line(*pid))
    }
}

/// Every process that is not hidden from us. One that ends meanwhile may or may not be among them.
pub(crate) fn all() -> Vec<Process> {
    numbers("/proc")
        .into_iter()
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok())
        .filter_map(|stat| Process::parse(&stat))
        .collect()
}

/// The children of `parent`, zombies included.
pub(crate) fn children(parent: u32) -> Vec<Process> {
    all().into_iter().filter(|process| process.parent == parent).collect()
}

/// The descendants of `root`, parents before their children, without `root` itself.
pub(crate) fn descendants(root: u32) -> Vec<Process> {
    let mut by_parent: BTreeMap<u32, Vec<Process>> = BTreeMap::new();
    for process in all() {
        by_parent.entry(process.parent).or_default().push(process);
    }
    let mut found = by_parent.remove(&root).unwrap_or_default();
    let mut next = 0;
    while let Some(process) = found.get(next) {
        let children = by_parent.remove(&process.pid).unwrap_or_default();
        found.extend(children);
        next += 1;
    }
    found
}

/// Processes whose environment, as of their last `exec`, has the line `variable`.
pub(crate) fn with_environment(variable: &str) -> Vec<Process> {
    let has = |process: &Process| {
        fs::read(format!("/proc/{}/environ", process.pid)).is_ok_and(|lines| {
            lines.split(|&byte| byte == 0).any(|line| line == variable.as_bytes())
        })
    };
    all().into_iter().filter(has).collect()
}

pub(crate) fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned()
}

/// The numeric names in a directory: processes, threads, descriptors.
pub(crate) fn numbers(directory: impl AsRef<Path>) -> Vec<u32> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_parentheses() {
        let process = Process::parse("12 (a) b (c) Z 7 1 1").unwrap();
        let expected = Process { pid: 12, parent: 7, name: "a) b (c".to_owned(), state: 'Z' };
        assert_eq!(process, expected);
        assert!(process.is_zombie());
    }

    #[test]
    fn we_descend_from_our_parent() {
        let parent = std::os::unix::process::parent_id();
        let me = std::process::id();
        assert!(children(parent).iter().any(|process| process.pid == me));
        assert!(descendants(parent).iter().any(|process| process.pid == me));
        assert!(command_line(me).contains("mp_testkit"));
    }
}
