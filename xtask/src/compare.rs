//! The comparison of all primitives: runs the benches in rounds, and writes `docs/latency.md` with its charts.

mod chart;
mod criterion;
mod figure;
mod limit;
mod machine;
mod measure;
mod picture;
mod report;
mod short;
mod subject;
mod suite;
mod text;

use std::{
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use cargo_metadata::MetadataCommand;
use clap::Args;

use self::{figure::Figures, measure::Method, report::Run};

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// All sizes of messages, up to 64 MiB: half an hour
    #[arg(long)]
    full: bool,
    /// How often each bench is run [default: 5]
    #[arg(long)]
    rounds: Option<usize>,
    /// Write the documents from the last run, measure nothing
    #[arg(long)]
    render: bool,
    /// Only the groups with this in their name; the documents in docs/ stay as they are
    #[arg(default_value = "")]
    filter: String,
}

impl Arguments {
    /// What a person types for the same.
    fn command(&self) -> String {
        let full = if self.full { " --full" } else { "" };
        let rounds = self.rounds.map_or(String::new(), |rounds| format!(" --rounds {rounds}"));
        let filter =
            if self.filter.is_empty() { String::new() } else { format!(" {}", self.filter) };
        format!("cargo xtask compare{full}{rounds}{filter}")
    }

    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(5).max(1)
    }
}

/// Where things lie.
struct Place {
    root: PathBuf,
    /// What is measured, a folder for each round.
    home: PathBuf,
    /// The document and its charts.
    report: PathBuf,
}

impl Place {
    /// Parts are written beside what they are parts of.
    fn of(arguments: &Arguments) -> Result<Self, Box<dyn Error>> {
        let metadata = MetadataCommand::new().no_deps().exec()?;
        let (root, target) =
            (metadata.workspace_root.into_std_path_buf(), metadata.target_directory);
        let (home, report) = if arguments.filter.is_empty() {
            (target.join("compare").into_std_path_buf(), root.join("docs"))
        } else {
            let home = target.join("compare-filtered").into_std_path_buf();
            (home.clone(), home.join("docs"))
        };
        Ok(Self { root, home, report })
    }
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match compare(arguments) {
        Ok(failures) if failures.is_empty() => ExitCode::SUCCESS,
        Ok(failures) => {
            failures.iter().for_each(|failure| eprintln!("failed: {failure}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What went wrong with single benches.
fn compare(arguments: &Arguments) -> Result<Vec<String>, Box<dyn Error>> {
    let place = Place::of(arguments)?;
    if !arguments.render {
        measure(arguments, &place)?;
    }
    render(arguments, &place)
}

/// Where the run is told, beside its figures.
const RUN: &str = "run.json";

fn measure(arguments: &Arguments, place: &Place) -> Result<(), Box<dyn Error>> {
    let (programs, missing) = suite::build(&place.root)?;
    let units = suite::Units::list(&programs, arguments.full, &arguments.filter)?;
    match fs::remove_dir_all(&place.home) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(&place.home)?,
    }
    let method = Method {
        full: arguments.full,
        rounds: arguments.rounds(),
        priority: measure::may_have_priority(),
    };
    let (start, busy) = (Instant::now(), machine::busy_cores());
    let mut failures = measure::run(&place.home, &units, &method)?;
    failures.extend(missing);
    let mut machine = machine::describe();
    machine.push((
        "measured for".to_owned(),
        format!("{} minutes", measure::minutes(start.elapsed())),
    ));
    let mut versions = suite::versions(&place.root);
    versions.extend(
        machine::output("python3", &["--version"])
            .map(|python| ("CPython".to_owned(), python.replace("Python ", ""))),
    );
    let run = Run {
        command: arguments.command(),
        rounds: method.rounds,
        priority: method.priority,
        busy: (busy, machine::busy_cores()),
        machine,
        versions,
        failures,
    };
    fs::write(place.home.join(RUN), serde_json::to_string_pretty(&run)?)?;
    Ok(())
}

fn render(arguments: &Arguments, place: &Place) -> Result<Vec<String>, Box<dyn Error>> {
    let run = fs::read_to_string(place.home.join(RUN)).map_err(|error| {
        format!("there is no finished run in {}: {error}", place.home.display())
    })?;
    let run: Run = serde_json::from_str(&run)?;
    let rounds =
        (1..=run.rounds).map(|round| criterion::read(&measure::folder(&place.home, round)));
    let figures = Figures::of(rounds.collect::<io::Result<Vec<_>>>()?);
    write(&place.report, &report::render(&run, &figures))?;
    if arguments.filter.is_empty() {
        let path = place.report.join("choosing.md");
        let document = short::fill(&fs::read_to_string(&path)?, &figures);
        fs::write(path, document.ok_or("choosing.md has no place for the short table")?)?;
    }
    println!("{}", place.report.join("latency.md").display());
    println!("{}", measure::folder(&place.home, run.rounds).join("report/index.html").display());
    Ok(run.failures)
}

/// Replaces the document and all charts.
fn write(folder: &Path, files: &report::Files) -> io::Result<()> {
    let charts = folder.join(report::CHARTS);
    match fs::remove_dir_all(&charts) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir_all(&charts)?,
    }
    files.iter().try_for_each(|(path, text)| fs::write(folder.join(path), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_says_how_to_repeat_it() {
        let arguments =
            Arguments { full: true, rounds: Some(7), render: false, filter: "one-way".to_owned() };
        assert_eq!(arguments.command(), "cargo xtask compare --full --rounds 7 one-way");
        assert_eq!(arguments.rounds(), 7);
        let arguments =
            Arguments { full: false, rounds: None, render: true, filter: String::new() };
        assert_eq!(arguments.command(), "cargo xtask compare");
        assert_eq!(arguments.rounds(), 5);
    }
}
