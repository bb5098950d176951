//! What was measured: a question, who answers it, and how long that takes.

use std::{cmp::Ordering, collections::BTreeMap};

/// One answer to one question: criterion's group, function and value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) group: String,
    pub(crate) function: String,
    /// What the question varies, such as the size of a message; empty where nothing is varied.
    pub(crate) value: String,
}

/// What is done in one iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Once,
    /// So many bytes are moved.
    Bytes(u64),
    /// So many tasks or items; the figure is the time for each.
    Items(u64),
}

/// What one round says: nanoseconds for each message, task or whatever the question counts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) id: Id,
    pub(crate) work: Work,
    pub(crate) nanos: f64,
}

/// What all rounds say together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) id: Id,
    pub(crate) work: Work,
    /// The median of the rounds' medians, in nanoseconds.
    pub(crate) nanos: f64,
    /// The fastest and the slowest round, of those that [count](counted).
    pub(crate) range: (f64, f64),
}

/// Beyond this the rounds do not agree.
const WIDE: f64 = 0.2;

impl Figure {
    /// How far the rounds are apart, as a part of the median.
    pub(crate) fn spread(&self) -> f64 {
        (self.range.1 - self.range.0) / self.nanos
    }

    pub(crate) fn is_noisy(&self) -> bool {
        self.spread() > WIDE
    }

    /// The length of a message, where the question varies it. There and back moves twice as much.
    pub(crate) fn bytes(&self) -> Option<u64> {
        match self.work {
            Work::Bytes(_) => self.id.value.parse().ok(),
            Work::Once | Work::Items(_) => None,
        }
    }

    /// By what the question varies, as a number where it is one, and the fastest first.
    pub(crate) fn before(&self, other: &Self) -> Ordering {
        let value = |figure: &Self| (figure.id.value.parse::<u64>().ok(), figure.id.value.clone());
        value(self).cmp(&value(other)).then(self.nanos.total_cmp(&other.nanos))
    }

    /// Bytes a second.
    pub(crate) fn throughput(&self) -> Option<f64> {
        match self.work {
            Work::Bytes(bytes) => Some(bytes as f64 * 1e9 / self.nanos),
            Work::Once | Work::Items(_) => None,
        }
    }
}

/// All figures of a run.
#[derive(Debug, Default)]
pub(crate) struct Figures(BTreeMap<Id, Figure>);

impl Figures {
    /// Puts the samples of all rounds together.
    pub(crate) fn of(rounds: impl IntoIterator<Item = Vec<Sample>>) -> Self {
        let mut all: BTreeMap<Id, (Work, Vec<f64>)> = BTreeMap::new();
        for sample in rounds.into_iter().flatten() {
            all.entry(sample.id).or_insert((sample.work, Vec::new())).1.push(sample.nanos);
        }
        let figure = |(id, (work, mut nanos)): (Id, (Work, Vec<f64>))| {
            nanos.sort_by(f64::total_cmp);
            let counted = counted(&nanos);
            let range = (counted[0], counted[counted.len() - 1]);
            (id.clone(), Figure { id, work, nanos: median(&nanos), range })
        };
        Self(all.into_iter().map(figure).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Figure> {
        self.0.values()
    }

    pub(crate) fn get(&self, group: &str, function: &str, value: &str) -> Option<&Figure> {
        let [group, function, value] = [group, function, value].map(str::to_owned);
        self.0.get(&Id { group, function, value })
    }

    pub(crate) fn group(&self, group: &str) -> impl Iterator<Item = &Figure> {
        self.iter().filter(move |figure| figure.id.group == group)
    }

    /// Each group once.
    pub(crate) fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<_> = self.iter().map(|figure| figure.id.group.as_str()).collect();
        groups.dedup();
        groups
    }
}

/// Without a fifth at either end: of five rounds, one in which the machine did something else does not count.
fn counted(sorted: &[f64]) -> &[f64] {
    let beyond = sorted.len() / 5;
    &sorted[beyond..sorted.len() - beyond]
}

/// The one in the middle of sorted numbers, or the mean of the two there.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn id(group: &str, function: &str, value: &str) -> Id {
        let [group, function, value] = [group, function, value].map(str::to_owned);
        Id { group, function, value }
    }

    /// Figures of groups, functions and values, each of three rounds that differ by a hundredth.
    pub(crate) fn figures(of: &[(&str, &str, &str, Work, f64)]) -> Figures {
        Figures::of([1.0, 0.99, 1.01].map(|factor| {
            let sample = |&(group, function, value, work, nanos): &(_, _, _, _, f64)| Sample {
                id: id(group, function, value),
                work,
                nanos: nanos * factor,
            };
            of.iter().map(sample).collect()
        }))
    }

    #[test]
    fn rounds_become_a_median_and_a_spread() {
        let round =
            |nanos| vec![Sample { id: id("one-way", "pipe", "8"), work: Work::Bytes(8), nanos }];
        let figures = Figures::of([round(110.0), round(90.0), round(100.0)]);
        let pipe = figures.get("one-way", "pipe", "8").unwrap();
        assert_eq!((pipe.nanos, pipe.range), (100.0, (90.0, 110.0)));
        assert!((pipe.spread() - 0.2).abs() < 1e-9);
        assert_eq!(pipe.throughput(), Some(8e7));
        let figures = Figures::of([1000.0, 90.0, 100.0, 1.0, 105.0].map(round));
        assert_eq!(figures.get("one-way", "pipe", "8").unwrap().range, (90.0, 105.0));
        let figures = Figures::of([round(130.0), round(100.0)]);
        let pipe = figures.get("one-way", "pipe", "8").unwrap();
        assert_eq!(pipe.nanos, 115.0);
        assert!(pipe.is_noisy());
    }

    #[test]
    fn groups_are_found() {
        let figures = figures(&[
            ("start", "fork", "", Work::Once, 1.0),
            ("one-way", "pipe", "8", Work::Bytes(8), 2.0),
            ("one-way", "pipe", "64", Work::Bytes(64), 3.0),
        ]);
        assert_eq!(figures.groups(), ["one-way", "start"]);
        assert_eq!(figures.group("one-way").count(), 2);
        assert!(!figures.get("start", "fork", "").unwrap().is_noisy());
    }
}
