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

use super::suite::Unit;

/// How the rounds are measured.
#[derive(Clone, Debug)]
pub(crate) struct Method {
    pub(crate) full: bool,
    pub(crate) rounds: usize,
    /// Whether the programs go before all others, by `chrt`.
    pub(crate) priority: bool,
}

impl Method {
    /// What criterion is told. Rounds differ more than the samples of one, so many short ones tell more than few long ones.
    fn arguments(&self) -> &[&str] {
        if self.full {
            &["--warm-up-time", "0.3", "--measurement-time", "1"]
        } else {
            &["--warm-up-time", "0.03", "--measurement-time", "0.1", "--nresamples", "1000"]
        }
    }

    /// After this a program that measures so many functions hangs.
    fn limit(&self, functions: usize) -> Duration {
        let each = if self.full { 60 } else { 20 };
        Duration::from_secs(60 + each * functions as u64)
    }
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
pub(crate) fn run(home: &Path, units: &[Unit], method: &Method) -> io::Result<Vec<String>> {
    let all = method.rounds * units.iter().map(|unit| unit.functions).sum::<usize>();
    let (start, mut done) = (Instant::now(), 0);
    let mut failures = Vec::new();
    for round in 1..=method.rounds {
        fs::create_dir_all(folder(home, round))?;
        for (index, unit) in units.iter().enumerate() {
            let progress = Progress { elapsed: start.elapsed(), done, all };
            eprintln!(
                "round {round} of {}, bench {} of {}: {} ({}); {progress}",
                method.rounds,
                index + 1,
                units.len(),
                unit.group,
                unit.functions
            );
            if let Err(error) = run_one(home, round, unit, method) {
                eprintln!("  {error}");
                failures.push(format!("`{}` in round {round}: {error}", unit.group));
            }
            done += unit.functions;
        }
    }
    Ok(failures)
}

fn run_one(home: &Path, round: usize, unit: &Unit, method: &Method) -> io::Result<()> {
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
    environment(&mut command, method.full)
        .env("CRITERION_HOME", &folder)
        .args(["--bench", &format!("^{}/", unit.group)])
        .args(method.arguments())
        .args(pictures)
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file);
    wait(command, method.limit(unit.functions))
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
    elapsed: Duration,
    done: usize,
    all: usize,
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} elapsed", minutes(self.elapsed))?;
        if self.done > 0 {
            let left = self.elapsed.mul_f64((self.all - self.done) as f64 / self.done as f64);
            write!(f, ", about {} left", minutes(left))?;
        }
        Ok(())
    }
}

pub(crate) fn minutes(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_by_functions() {
        let progress =
            |done| Progress { elapsed: Duration::from_secs(75), done, all: 40 }.to_string();
        assert_eq!(progress(0), "1:15 elapsed");
        assert_eq!(progress(10), "1:15 elapsed, about 3:45 left");
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
