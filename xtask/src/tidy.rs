//! The rules of this workspace that the compiler does not check.
//!
//! Each rule takes what it looks at and returns findings, so that its test can show it a small bad sample.

mod crates;
mod finding;
mod promises;
mod rust;
mod source;
mod text;

use std::{error::Error, fs, io, path::Path, process::ExitCode};

use cargo_metadata::{Metadata, MetadataCommand};

use self::{finding::Finding, source::Source};

/// Names a test for each promise.
const PROMISES: &str = "docs/crash-safety.md";

/// Prints every finding; the task fails if there is one.
pub(crate) fn run() -> ExitCode {
    match check() {
        Ok((files, findings)) if findings.is_empty() => {
            println!("tidy: {files} files, nothing to complain about");
            ExitCode::SUCCESS
        }
        Ok((_, findings)) => {
            findings.iter().for_each(|finding| eprintln!("{finding}"));
            eprintln!("tidy: {} findings", findings.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("tidy: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The number of files looked at, and what is wrong with them.
fn check() -> Result<(usize, Vec<Finding>), Box<dyn Error>> {
    let metadata = MetadataCommand::new().no_deps().exec()?;
    let root = metadata.workspace_root.as_std_path();
    let mut findings = check_crates(&metadata, root);
    let paths = files(root)?;
    let mut tests = promises::Tests::new();
    for path in &paths {
        // What is not text is not ours to judge.
        let Ok(text) = fs::read_to_string(root.join(path)) else { continue };
        findings.extend(text::check(path, &text));
        if path.ends_with(".rs") {
            match Source::parse(path, &text) {
                Ok(source) => {
                    findings.extend(rust::check(&source));
                    tests.extend(promises::tests(&source));
                }
                Err(error) => findings.push(Finding::new(path, "it must parse", error.to_string())),
            }
        }
    }
    let promises = fs::read_to_string(root.join(PROMISES))?;
    findings.extend(promises::check(PROMISES, &promises, &tests));
    findings.sort();
    Ok((paths.len(), findings))
}

fn check_crates(metadata: &Metadata, root: &Path) -> Vec<Finding> {
    let mut findings = crates::dependencies(metadata);
    findings.extend(crates::licences(metadata, root));
    for package in &metadata.packages {
        let directory = package.manifest_path.parent().map_or(root, |path| path.as_std_path());
        findings.extend(crates::readme(root, directory));
    }
    let changes = fs::read_to_string(root.join("CHANGELOG.md")).unwrap_or_default();
    // All packages have the version of the workspace, this task included.
    findings.extend(crates::changelog(env!("CARGO_PKG_VERSION"), &changes));
    findings
}

/// All files but those of cargo and git, relative to the root. Git is not asked: a released archive has none.
fn files(root: &Path) -> io::Result<Vec<String>> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() && ![".git", "target"].iter().any(|name| entry.file_name() == *name) {
                folders.push(entry.path());
            } else if kind.is_file() && entry.file_name() != ".git" {
                let path = entry.path();
                found.push(path.strip_prefix(root).unwrap_or(&path).display().to_string());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_cargo_and_git_are_not_ours() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let found = files(root).unwrap();
        assert!(found.iter().any(|path| path == "src/tidy.rs"), "{found:?}");
        let found = files(root.parent().unwrap()).unwrap();
        assert!(!found.iter().any(|path| path.starts_with("target/") || path.starts_with(".git/")));
    }
}
