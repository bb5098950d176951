//! Tasks of this workspace: `cargo xtask --help`.

#![deny(unsafe_code)]

mod compare;
mod deny_syscalls;
mod list;
mod storm;
mod sys;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about, bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Check the rules that the compiler does not: floors, unsafe, lengths, what every crate must have
    Tidy,
    /// Print the name of every package
    Packages,
    /// Print the path of every example, as `cargo build --examples` makes it
    Examples,
    /// Measure all primitives and what they are compared with, and write docs/latency.md with its charts
    Compare(compare::Arguments),
    /// Kill producers and consumers of a ring, and account for every record
    Storm(storm::Arguments),
    /// Run a command whose system calls are denied, as a container's seccomp profile denies them
    DenySyscalls(deny_syscalls::Arguments),
}

fn main() -> ExitCode {
    match Arguments::parse().task {
        Task::Tidy => tidy::run(),
        Task::Packages => list::run(list::packages),
        Task::Examples => list::run(list::examples),
        Task::Compare(arguments) => compare::run(&arguments),
        Task::Storm(arguments) => storm::run(&arguments),
        Task::DenySyscalls(arguments) => {
            // On success the command has replaced this process.
            let error = deny_syscalls::run(&arguments);
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
