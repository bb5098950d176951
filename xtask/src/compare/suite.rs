//! The programs to run: they are built, found, and asked what they can measure.

use std::{
    error::Error,
    io::{self, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use cargo_metadata::{Message, MetadataCommand, camino::Utf8Path};

use super::{criterion, measure};

/// A group of one program: what is run at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) program: PathBuf,
    pub(crate) group: String,
    pub(crate) functions: usize,
}

/// What is run in each round.
#[derive(Clone, Debug)]
pub(crate) struct Units {
    pub(crate) short: Vec<Unit>,
    pub(crate) full: Vec<Unit>,
}

impl Units {
    /// What the programs can measure; `full` of them may be nothing else than `short`.
    pub(crate) fn list(programs: &[PathBuf], full: bool, filter: &str) -> io::Result<Self> {
        Ok(Self { short: units(programs, false, filter)?, full: units(programs, full, filter)? })
    }

    pub(crate) fn of(&self, full: bool) -> &[Unit] {
        if full { &self.full } else { &self.short }
    }
}

/// Ours, and others' outside of the workspace.
const PACKAGES: [&str; 2] = ["benches", "contenders"];

/// The programs of both packages. Where the contenders do not build, ours are compared with nobody, and the error is told.
pub(crate) fn build(root: &Path) -> Result<(Vec<PathBuf>, Option<String>), Box<dyn Error>> {
    let [ours, others] = PACKAGES.map(|folder| root.join(folder).join("Cargo.toml"));
    let mut programs = executables(&ours)?;
    if !others.is_file() {
        return Ok((programs, Some("there are no contenders".to_owned())));
    }
    match executables(&others) {
        Ok(others) => programs.extend(others),
        Err(error) => return Ok((programs, Some(format!("the contenders do not build: {error}")))),
    }
    Ok((programs, None))
}

/// Builds the benches of a package.
fn executables(manifest: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut cargo = Command::new(env!("CARGO"))
        .args([
            "bench",
            "--benches",
            "--no-run",
            "--message-format=json-render-diagnostics",
            "--manifest-path",
        ])
        .arg(manifest)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = cargo.stdout.take().ok_or("cargo has no output")?;
    let mut programs = Vec::new();
    for message in Message::parse_stream(BufReader::new(output)) {
        if let Message::CompilerArtifact(artifact) = message?
            && artifact.target.is_bench()
        {
            programs.extend(artifact.executable.map(|path| path.into_std_path_buf()));
        }
    }
    let status = cargo.wait()?;
    if !status.success() {
        return Err(format!("cargo: {status}").into());
    }
    programs.sort();
    Ok(programs)
}

/// What the programs can measure, group by group, so that those who answer one question do it one after another.
fn units(programs: &[PathBuf], full: bool, filter: &str) -> io::Result<Vec<Unit>> {
    let mut units: Vec<Unit> = Vec::new();
    for program in programs {
        let output = measure::environment(&mut Command::new(program), full)
            .args(["--bench", "--list"])
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(io::Error::other(format!("{}: {}", program.display(), output.status)));
        }
        for (group, functions) in criterion::listed(&String::from_utf8_lossy(&output.stdout)) {
            units.push(Unit { program: program.clone(), group, functions });
        }
    }
    // A ratio needs its limit.
    units.retain(|unit| unit.group.contains(filter) || unit.group == "limits");
    Ok(in_groups(units))
}

/// Groups in the order in which they are first named.
fn in_groups(units: Vec<Unit>) -> Vec<Unit> {
    let mut groups: Vec<String> = Vec::new();
    for unit in &units {
        if !groups.contains(&unit.group) {
            groups.push(unit.group.clone());
        }
    }
    let of = |group: String| {
        let units = &units;
        units.iter().filter(move |unit| unit.group == group).cloned()
    };
    groups.into_iter().flat_map(of).collect()
}

/// Name and version of each crate that the contenders name, from their lock file.
pub(crate) fn versions(root: &Path) -> Vec<(String, String)> {
    let manifest = root.join(PACKAGES[1]).join("Cargo.toml");
    let options = ["--locked".to_owned()];
    let Ok(metadata) =
        MetadataCommand::new().manifest_path(&manifest).other_options(options).exec()
    else {
        return Vec::new();
    };
    let is_it = |path: &Utf8Path| path.as_std_path() == manifest;
    let Some(package) = metadata.packages.iter().find(|package| is_it(&package.manifest_path))
    else {
        return Vec::new();
    };
    let is_named =
        |name: &str| package.dependencies.iter().any(|dependency| dependency.name == name);
    let others =
        metadata.packages.iter().filter(|other| other.source.is_some() && is_named(&other.name));
    others.map(|other| (other.name.to_string(), other.version.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_by_all_at_a_time() {
        let unit = |program: &str, group: &str| Unit {
            program: program.into(),
            group: group.to_owned(),
            functions: 1,
        };
        let units = vec![
            unit("a", "one-way"),
            unit("a", "start"),
            unit("b", "start"),
            unit("b", "one-way"),
        ];
        let expected =
            [unit("a", "one-way"), unit("b", "one-way"), unit("a", "start"), unit("b", "start")];
        assert_eq!(in_groups(units), expected);
    }
}
