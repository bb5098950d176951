//! What the workspace consists of, for scripts.

use std::process::ExitCode;

use cargo_metadata::{Metadata, MetadataCommand};

/// Prints what `select` finds, a line each.
pub(crate) fn run(select: fn(&Metadata) -> Vec<String>) -> ExitCode {
    match MetadataCommand::new().no_deps().exec() {
        Ok(metadata) => {
            select(&metadata).iter().for_each(|line| println!("{line}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn packages(metadata: &Metadata) -> Vec<String> {
    metadata.packages.iter().map(|package| package.name.to_string()).collect()
}

pub(crate) fn examples(metadata: &Metadata) -> Vec<String> {
    let folder = metadata.target_directory.join("debug").join("examples");
    let targets = metadata.packages.iter().flat_map(|package| &package.targets);
    targets
        .filter(|target| target.is_example())
        .map(|target| folder.join(&target.name).into_string())
        .collect()
}
