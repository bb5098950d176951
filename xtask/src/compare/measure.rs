//! Runs the programs, round by round.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use mp_os::{Deadline, PidFd};
use nix::sys::signal::Signal;

use super::suite::{Unit, Units};

/// How the rounds are measured.
#[derive(Clone, Debug)]
pub(crate) struct Method {
    pub(crate) full: bool,
    pub(crate) rounds: usize,
    /// Whether the programs go before all others, by `chrt`.
    pub(crate) priority: bool,
}

impl Method {
    /// Whether a round has all that a full run has: every other one, and the last, which is shown. The others are as
    /// those of a short run, which takes a third of the time and has most of the figures.
    fn is_full_in(&self, round: usize) -> bool {
        self.full && (self.rounds - round).is_multiple_of(2)
    }

    /// All runs of units, in their order: by round, what the programs measure in such a round.
    fn plan<'a>(&self, units: &'a Units) -> Vec<Run<'a>> {
        let of = |round| {
            let full = self.is_full_in(round);
            units.of(full).iter().map(move |unit| Run { round, full, unit })
        };
        (1..=self.rounds).flat_map(of).collect()
    }
}

/// What criterion is told. Rounds differ more than the samples of one, so many short ones tell more than few long ones.
const SHORT: [&str; 6] =
    ["--warm-up-time", "0.03", "--measurement-time", "0.1", "--nresamples", "1000"];

/// After this a program that measures so many functions hangs.
fn limit(functions: usize) -> Duration {
    Duration::from_secs(60 + 60 * functions as u64)
}

/// One program measures one group, once.
#[derive(Clone, Copy, Debug)]
struct Run<'a> {
    round: usize,
    full: bool,
    unit: &'a Unit,
}

/// What `chrt` is told: before all ordinary processes, in turn with others of this kind. First in, first out would let two that look
/// all the time keep a third for ever from the core that it is bound to.
pub(crate) const PRIORITY: [&str; 2] = ["-r", "1"];

/// Whether this process may give its children a priority before all ordinary ones.
pub(crate) fn may_have_priority() -> bool {
    let status = Command::new("chrt")
        .args([&PRIORITY[..], &["true"]].concat())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// The folder of a round, counted from one.
pub(crate) fn folder(home: &Path, round: usize) -> PathBuf {
    home.join(format!("round-{round}"))
}

pub(crate) fn environment(command: &mut Command, full: bool) -> &mut Command {
    if full { command.env("MP_BENCH_FULL", "1") } else { command.env_remove("MP_BENCH_FULL") }
}

/// Runs every unit once in each round, and tells which of them failed, and how.
pub(crate) fn run(home: &Path, units: &Units, method: &Method) -> io::Result<Vec<String>> {
    let plan = method.plan(units);
    let mut progress = Progress::of(&plan);
    let mut failures = Vec::new();
    for run in &plan {
        let Run { round, unit, .. } = run;
        fs::create_dir_all(folder(home, *round))?;
        eprintln!(
            "{progress}: round {round} of {}, {} ({})",
            method.rounds, unit.group, unit.functions
        );
        let start = Instant::now();
        if let Err(error) = run_one(home, run, method) {
            eprintln!("  {error}");
            failures.push(format!("`{}` in round {round}: {error}", unit.group));
        }
        progress.add(&plan, start.elapsed());
    }
    Ok(failures)
}

fn run_one(home: &Path, &Run { round, full, unit }: &Run<'_>, method: &Method) -> io::Result<()> {
    let folder = folder(home, round);
    let program = unit.program.file_stem().unwrap_or_default().to_string_lossy();
    let log = folder.join(format!("{}-{program}.log", unit.group));
    let file = File::create(&log)?;
    let mut command = match method.priority {
        true => Command::new("chrt"),
        false => Command::new(&unit.program),
    };
    if method.priority {
        command.args(PRIORITY).arg(&unit.program);
    }
    // Pictures take longer than measurements, so there are those of the last round only.
    let pictures = if round == method.rounds { &[][..] } else { &["--noplot"][..] };
    environment(&mut command, full)
        .env("CRITERION_HOME", &folder)
        .args(["--bench", &format!("^{}/", unit.group)])
        .args(SHORT)
        .args(pictures)
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file);
    wait(command, limit(unit.functions))
        .map_err(|error| io::Error::other(format!("{error}, see {}", log.display())))
}

/// Runs a program that has to end in time.
fn wait(mut command: Command, limit: Duration) -> io::Result<()> {
    let mut child = command.spawn()?;
    let process = PidFd::open(child.id()).map_err(io::Error::other)?;
    let in_time = process.wait_exit(Deadline::after(limit))?;
    if !in_time {
        process.send_signal(Signal::SIGKILL as i32)?;
    }
    let status = child.wait()?;
    match (in_time, status.success()) {
        (true, true) => Ok(()),
        (true, false) => Err(io::Error::other(status.to_string())),
        (false, _) => Err(io::Error::other(format!("it did not end within {} s", limit.as_secs()))),
    }
}

/// How far it is.
struct Progress {
    /// What each run has taken so far, in the order of the plan.
    taken: Vec<Duration>,
    left: Duration,
}

/// What a function takes, as long as none has told.
const GUESS: Duration = Duration::from_millis(200);

/// How long the rest of a plan takes: as long as the same took before, and what is new as long as all others on the average.
fn expected(plan: &[Run<'_>], taken: &[Duration]) -> Duration {
    let (past, future) = plan.split_at(taken.len());
    let functions: usize = past.iter().map(|run| run.unit.functions).sum();
    let each = match functions {
        0 => GUESS,
        _ => taken.iter().sum::<Duration>().div_f64(functions as f64),
    };
    let of_run = |run: &Run<'_>| {
        let before = past.iter().rposition(|other| other.unit == run.unit);
        before.map_or(each.mul_f64(run.unit.functions as f64), |index| taken[index])
    };
    future.iter().map(of_run).sum()
}

impl Progress {
    fn of(plan: &[Run<'_>]) -> Self {
        Self { taken: Vec::new(), left: expected(plan, &[]) }
    }

    fn add(&mut self, plan: &[Run<'_>], time: Duration) {
        self.taken.push(time);
        self.left = expected(plan, &self.taken);
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let elapsed = self.taken.iter().sum();
        write!(f, "{} elapsed, about {} left", minutes(elapsed), minutes(self.left))
    }
}

pub(crate) fn minutes(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units() -> Units {
        let unit = |group: &str, functions| Unit {
            program: "program".into(),
            group: group.to_owned(),
            functions,
        };
        Units {
            short: vec![unit("one-way", 10), unit("start", 5)],
            full: vec![unit("one-way", 20), unit("start", 5)],
        }
    }

    #[test]
    fn every_other_round_of_a_full_run_is_full_and_the_last_one_is() {
        let units = units();
        let full = |full, rounds| {
            let plan = Method { full, rounds, priority: false }.plan(&units);
            assert_eq!(plan.len(), 2 * rounds);
            let first = plan.iter().filter(|run| run.unit.group == "one-way");
            first.map(|run| (run.round, run.full, run.unit.functions)).collect::<Vec<_>>()
        };
        assert_eq!(full(true, 3), [(1, true, 20), (2, false, 10), (3, true, 20)]);
        assert_eq!(full(true, 2), [(1, false, 10), (2, true, 20)]);
        assert_eq!(full(false, 2), [(1, false, 10), (2, false, 10)]);
    }

    #[test]
    fn what_is_left_is_known_from_the_rounds_before() {
        let units = units();
        let plan = Method { full: true, rounds: 3, priority: false }.plan(&units);
        let mut progress = Progress::of(&plan);
        // At first five functions a second.
        assert_eq!(progress.to_string(), "0:00 elapsed, about 0:13 left");
        let mut add = |seconds| {
            progress.add(&plan, Duration::from_secs(seconds));
            progress.to_string()
        };
        // 2 s a function: 5 in each round, 10 in the second; and as long as now for the same in the third.
        assert_eq!(add(40), "0:40 elapsed, about 1:30 left");
        assert_eq!(add(60), "1:40 elapsed, about 3:20 left");
        assert_eq!([30, 60, 50, 60].map(add)[3], "5:00 elapsed, about 0:00 left");
    }

    #[test]
    fn a_program_that_fails_or_hangs_is_told() {
        let shell = |script: &str, limit| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            wait(command, limit).map_err(|error| error.to_string())
        };
        let long = Duration::from_secs(100);
        assert_eq!(shell("true", long), Ok(()));
        assert_eq!(shell("exit 3", long), Err("exit status: 3".to_owned()));
        // A stopped process ends by nothing but the limit.
        let error = shell("kill -STOP $$", Duration::from_millis(100)).unwrap_err();
        assert!(error.contains("did not end"), "{error}");
    }
}
