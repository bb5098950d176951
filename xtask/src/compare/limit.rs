//! What the machine itself takes for the same, which nothing can beat.

use super::{
    figure::{Figure, Figures},
    subject,
};

/// What a figure is compared with, and how many nanoseconds that takes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limit {
    pub(crate) name: String,
    pub(crate) nanos: f64,
}

/// By the beginning of a group's name: how often each of these has to be done. The longest counts, so that a large message is
/// compared with its copies and a small one with its way. It is what the figure's own group
/// calls so, or else the group `limits`, unless another one is named.
#[rustfmt::skip]
const BY_GROUP: &[(&str, &[(&str, u32)])] = &[
    ("round-trip-spinning", &[("cache-line", 1), ("memcpy", 2)]),
    ("round-trip-awake", &[("cache-line", 1), ("memcpy", 2)]),
    ("round-trip-asleep", &[("futex", 1), ("memcpy", 2)]),
    ("round-trip-same-core", &[("futex-same-core", 1), ("memcpy", 2)]),
    ("one-way", &[("memcpy", 1)]),
    ("many", &[("cache-line", 1)]),
    ("start", &[("bare-fork", 1)]),
    ("lock-contended", &[("cache-line", 1)]),
    ("lock", &[("lock-uncontended/fetch_add", 1)]),
    ("pool-life", &[("fork", 2)]),
    ("pool-task", &[("sequential", 1)]),
    ("pool", &[("cache-line", 1)]),
];

/// What each message through the kernel costs besides: a call on either side, at the same time.
const KERNEL: (&str, u32) = ("syscall", 1);

/// The limit of a figure, if one was measured that belongs to it.
pub(crate) fn of(figure: &Figure, figures: &Figures) -> Option<Limit> {
    let group = &figure.id.group;
    let (_, needed) = BY_GROUP.iter().find(|(start, _)| group.starts_with(start))?;
    let is_of_kernel = group == "one-way" && subject::is_of_kernel(&figure.id.function);
    let limits =
        needed.iter().chain(is_of_kernel.then_some(&KERNEL)).filter_map(|&(path, count)| {
            let (groups, name) = match path.split_once('/') {
                Some((group, name)) => ([group, group], name),
                None => ([group.as_str(), "limits"], path),
            };
            let found =
                groups.iter().find_map(|group| find(figures, group, name, &figure.id.value));
            Some(Limit { name: times(name, count), nanos: found?.nanos * f64::from(count) })
        });
    limits.max_by(|one, other| one.nanos.total_cmp(&other.nanos))
}

/// Copies go by size, the others do not.
fn find<'a>(figures: &'a Figures, group: &str, name: &str, value: &str) -> Option<&'a Figure> {
    figures.get(group, name, value).or_else(|| figures.get(group, name, ""))
}

fn times(name: &str, count: u32) -> String {
    if count == 1 { name.to_owned() } else { format!("{count} {name}") }
}

/// The table above, for readers.
pub(crate) fn explained() -> String {
    let limit = |&(path, count): &(&str, u32)| {
        let name = path.rsplit('/').next().unwrap_or(path);
        format!("`{}`", times(name, count))
    };
    let line = |(group, limits): &(&str, &[(&str, u32)])| {
        let limits: Vec<_> = limits.iter().map(limit).collect();
        let kernel = if *group == "one-way" {
            format!("; {} through the kernel", limit(&KERNEL))
        } else {
            String::new()
        };
        format!("| `{group}` | {}{kernel} |\n", limits.join(", "))
    };
    let rows = BY_GROUP.iter().map(line).collect::<String>();
    format!("| question | limit: the longest of |\n| --- | --- |\n{rows}")
}

#[cfg(test)]
mod tests {
    use super::{
        super::figure::{Work, tests::figures},
        *,
    };

    #[test]
    fn each_figure_has_the_limit_of_its_question() {
        let small = Work::Bytes(8);
        let large = Work::Bytes(1 << 20);
        let figures = figures(&[
            ("limits", "cache-line", "", Work::Once, 100.0),
            ("limits", "futex", "", Work::Once, 50_000.0),
            ("limits", "syscall", "", Work::Once, 40.0),
            ("limits", "memcpy", "8", small, 1.0),
            ("limits", "memcpy", "1048576", large, 20_000.0),
            ("round-trip-awake", "ring", "8", small, 150.0),
            ("round-trip-awake", "ring", "1048576", large, 80_000.0),
            ("round-trip-asleep", "pipe", "8", small, 60_000.0),
            ("one-way", "ring", "8", small, 10.0),
            ("one-way", "pipe", "8", small, 200.0),
            ("one-way", "std-pipe", "8", small, 200.0),
            ("one-way", "pipe", "1048576", large, 60_000.0),
            ("start", "forkserver", "", Work::Once, 1.0),
            ("start-from-1-GiB", "forkserver", "", Work::Once, 300.0),
            ("start-from-1-GiB", "bare-fork", "", Work::Once, 9000.0),
            ("lock-uncontended", "fetch_add", "", Work::Once, 5.0),
            ("lock-monitors", "event", "", Work::Once, 50.0),
            ("something-else", "ring", "", Work::Once, 1.0),
        ]);
        let limit = |group, function, value| {
            let limit = of(figures.get(group, function, value).unwrap(), &figures)?;
            Some((limit.name, limit.nanos))
        };
        let name = |name: &str, nanos| Some((name.to_owned(), nanos));
        assert_eq!(limit("round-trip-awake", "ring", "8"), name("cache-line", 100.0));
        assert_eq!(limit("round-trip-awake", "ring", "1048576"), name("2 memcpy", 40_000.0));
        assert_eq!(limit("round-trip-asleep", "pipe", "8"), name("futex", 50_000.0));
        assert_eq!(limit("one-way", "ring", "8"), name("memcpy", 1.0));
        assert_eq!(limit("one-way", "pipe", "8"), name("syscall", 40.0));
        assert_eq!(limit("one-way", "std-pipe", "8"), name("syscall", 40.0));
        assert_eq!(limit("one-way", "pipe", "1048576"), name("memcpy", 20_000.0));
        assert_eq!(limit("start", "forkserver", ""), None, "a fork was not measured");
        assert_eq!(limit("start-from-1-GiB", "forkserver", ""), name("bare-fork", 9000.0));
        assert_eq!(limit("lock-monitors", "event", ""), name("fetch_add", 5.0));
        assert_eq!(limit("something-else", "ring", ""), None);
    }
}
