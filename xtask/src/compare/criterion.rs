//! What criterion has written, and what its programs say that they can measure.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::figure::{Id, Sample, Work};

/// `new/benchmark.json`.
#[derive(Deserialize)]
struct Benchmark {
    group_id: String,
    function_id: Option<String>,
    value_str: Option<String>,
    throughput: Option<Throughput>,
}

#[derive(Deserialize)]
enum Throughput {
    Bits(u64),
    Bytes(u64),
    BytesDecimal(u64),
    Elements(u64),
    ElementsAndBytes { elements: u64 },
}

/// `new/estimates.json`, in nanoseconds for an iteration.
#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

/// All that was measured into `home`, which is `CRITERION_HOME`.
pub(crate) fn read(home: &Path) -> io::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for folder in measured(home)? {
        let benchmark = fs::read_to_string(folder.join("benchmark.json"))?;
        let estimates = fs::read_to_string(folder.join("estimates.json"))?;
        let sample = parse(&benchmark, &estimates)
            .map_err(|error| io::Error::other(format!("{}: {error}", folder.display())))?;
        samples.push(sample);
    }
    Ok(samples)
}

/// The folders `new`, of the latest measurement, at whatever depth.
fn measured(home: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![home.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                continue;
            }
            let path = entry.path();
            if entry.file_name() == "new" && path.join("benchmark.json").is_file() {
                found.push(path);
            } else {
                folders.push(path);
            }
        }
    }
    Ok(found)
}

fn parse(benchmark: &str, estimates: &str) -> serde_json::Result<Sample> {
    let benchmark: Benchmark = serde_json::from_str(benchmark)?;
    let estimates: Estimates = serde_json::from_str(estimates)?;
    let work = match benchmark.throughput {
        None => Work::Once,
        Some(Throughput::Bits(bits)) => Work::Bytes(bits / 8),
        Some(Throughput::Bytes(bytes) | Throughput::BytesDecimal(bytes)) => Work::Bytes(bytes),
        Some(Throughput::Elements(items) | Throughput::ElementsAndBytes { elements: items }) => {
            Work::Items(items)
        }
    };
    let items = if let Work::Items(items) = work { items as f64 } else { 1.0 };
    let value = benchmark.value_str.unwrap_or_default();
    // Whoever names a parameter only means somebody who answers.
    let (function, value) = match benchmark.function_id.filter(|function| !function.is_empty()) {
        Some(function) => (function, value),
        None => (value, String::new()),
    };
    let id = Id { group: benchmark.group_id, function, value };
    Ok(Sample { id, work, nanos: estimates.median.point_estimate / items })
}

/// The groups in what a program prints for `--list`, with the number of their functions, in its order.
pub(crate) fn listed(text: &str) -> Vec<(String, usize)> {
    let mut groups: Vec<(String, usize)> = Vec::new();
    let names = text.lines().filter_map(|line| line.strip_suffix(": benchmark"));
    for name in names {
        let group = name.split('/').next().unwrap_or(name);
        match groups.iter_mut().find(|(known, _)| known == group) {
            Some((_, count)) => *count += 1,
            None => groups.push((group.to_owned(), 1)),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A few functions of a real run.
    const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixture/criterion");

    #[test]
    fn a_real_run_is_read() {
        let mut samples = read(Path::new(FIXTURE)).unwrap();
        samples.sort_by(|one, other| one.id.cmp(&other.id));
        let found: Vec<_> = samples
            .iter()
            .map(|Sample { id, work, nanos }| {
                (id.group.as_str(), id.function.as_str(), *work, nanos.round())
            })
            .collect();
        let expected = [
            ("lock-uncontended", "fetch_add", Work::Once, 6.0),
            ("one-way-4-KiB", "pipe", Work::Bytes(4096), 383.0),
            // The time for each of the tasks.
            ("pool-map", "ours-2", Work::Items(1_000_000), 43.0),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn tasks_are_counted_one_by_one() {
        let benchmark = r#"{"group_id":"pool-map","function_id":"ours-2","value_str":null,
            "throughput":{"ElementsAndBytes":{"elements":1000,"bytes":8000}},"full_id":"","title":""}"#;
        let estimates = r#"{"mean":{"point_estimate":7.0},"median":{"point_estimate":5000.0}}"#;
        let sample = parse(benchmark, estimates).unwrap();
        assert_eq!((sample.work, sample.nanos), (Work::Items(1000), 5.0));
        assert!(parse(benchmark, "{}").is_err());
        let benchmark =
            r#"{"group_id":"limits","function_id":"","value_str":"futex","throughput":null}"#;
        let id = parse(benchmark, estimates).unwrap().id;
        assert_eq!((id.function.as_str(), id.value.as_str()), ("futex", ""));
    }

    #[test]
    fn a_list_is_of_groups() {
        let text =
            "one-way/pipe/8: benchmark\none-way/pipe/64: benchmark\nnoise\nstart/fork: benchmark\n";
        assert_eq!(listed(text), [("one-way".to_owned(), 2), ("start".to_owned(), 1)]);
    }
}
