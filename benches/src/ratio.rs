use std::{
    env, fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde_json::Value;

/// What one figure is compared with: names of two functions of a group as criterion knows them, with their values: `pipe/4096`.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    group: &'static str,
    ours: &'static str,
    other: &'static str,
}

impl Ratio {
    /// How much longer `ours` takes than `other`.
    pub const fn new(group: &'static str, ours: &'static str, other: &'static str) -> Self {
        Self { group, ours, other }
    }

    /// `group: ours / other = 1.03x (10.3 ns / 10.0 ns)`, from the medians that criterion has estimated since `start`.
    ///
    /// `None` where one of them was not measured: it was filtered out, or skipped, or this was only a test.
    pub(crate) fn line(&self, start: SystemTime) -> Option<String> {
        let Self { group, ours, other } = self;
        let (mine, theirs) = (median(group, ours, start)?, median(group, other, start)?);
        let ratio = mine / theirs;
        Some(format!("{group}: {ours} / {other} = {ratio:.2}x ({} / {})", time(mine), time(theirs)))
    }
}

/// Three digits or more, in the unit that criterion would choose.
fn time(nanos: f64) -> String {
    match nanos {
        ..1e3 => format!("{nanos:.1} ns"),
        ..1e6 => format!("{:.1} us", nanos / 1e3),
        _ => format!("{:.1} ms", nanos / 1e6),
    }
}

/// The median time of a function in nanoseconds, if it was measured after `start`.
fn median(group: &str, function: &str, start: SystemTime) -> Option<f64> {
    let path = output().join(group).join(function).join("new/estimates.json");
    let measured = fs::metadata(&path).and_then(|file| file.modified()).ok()?;
    if measured < start {
        return None;
    }
    let estimates: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    estimates.get("median")?.get("point_estimate")?.as_f64()
}

/// Where criterion writes: beside the program, wherever it was started from; where a copy of one has no such place, where
/// criterion itself would.
pub(crate) fn output() -> PathBuf {
    let of_target = || {
        // A bench is `TARGET/PROFILE/deps/NAME`.
        let program = env::current_exe().unwrap_or_default();
        program.ancestors().nth(3).unwrap_or(Path::new("target")).join("criterion")
    };
    env::var_os("CRITERION_HOME").map_or_else(of_target, PathBuf::from)
}
