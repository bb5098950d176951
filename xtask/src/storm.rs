//! The kill storm of mp-channel's tests, for as long as one likes.

use std::{
    io,
    process::{Command, ExitCode},
};

use clap::Args;

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// How many processes to kill
    #[arg(long, default_value_t = 1000)]
    kills: u32,
    /// What the choices follow from: whom to kill, and when
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs it with optimizations, and shows what it counted.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match command(arguments).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => {
            eprintln!("the storm with seed {} failed: {status}", arguments.seed);
            ExitCode::FAILURE
        }
        Err(error) => report(&error),
    }
}

fn command(arguments: &Arguments) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["test", "--quiet", "--release", "--package", "mp-channel", "--test", "it"])
        .args(["--", "storm::storm", "--exact", "--nocapture"])
        .env("MP_STORM_KILLS", arguments.kills.to_string())
        .env("MP_STORM_SEED", arguments.seed.to_string());
    command
}

fn report(error: &io::Error) -> ExitCode {
    eprintln!("failed to run cargo: {error}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_test_that_it_runs_is_there() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/mp-channel/tests/it/storm.rs");
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains("#[test]\nfn storm() {"));
        let command = command(&Arguments { kills: 7, seed: 3 });
        for (name, value) in command.get_envs() {
            let name = name.to_str().unwrap();
            assert!(text.contains(&format!("\"{name}\"")) && value.is_some(), "{name}");
        }
    }
}
