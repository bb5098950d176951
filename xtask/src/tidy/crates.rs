//! Rules about packages: who may depend on whom, and what each must have.

use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata};

use super::finding::Finding;

/// The floor of every package that may be depended upon. A package depends only on lower floors.
const FLOORS: &[(&str, u8)] = &[
    ("mp-os", 0),
    ("mp-pipe", 1),
    ("mp-signal", 1),
    ("mp-mqueue", 1),
    ("mp-shm", 1),
    ("mp-sem", 1),
    ("mp-mmap", 1),
    ("mp-flock", 1),
    ("mp-socket", 1),
    ("mp-testkit", 1),
    ("mp-process", 2),
    ("mp-sync", 2),
    ("mp-channel", 2),
    ("mp-core", 3),
    ("mp-examples", 4),
    ("mp-benches", 4),
    ("xtask", 4),
];

/// Packages of one floor of which one knows the other.
const SIBLINGS: &[(&str, &str)] = &[("mp-shm", "mp-mmap"), ("mp-channel", "mp-sync")];

/// Never part of the product.
const TESTKIT: &str = "mp-testkit";

fn floor(package: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == package).map(|&(_, floor)| floor)
}

pub(crate) fn dependencies(metadata: &Metadata) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let manifest = package.manifest_path.strip_prefix(&metadata.workspace_root);
        let manifest = manifest.unwrap_or(&package.manifest_path).as_str();
        let name = package.name.as_str();
        if floor(name).is_none() {
            let advice = format!("give `{name}` a floor in FLOORS of xtask/src/tidy/crates.rs");
            findings.push(Finding::new(manifest, "a package has a floor", advice));
        }
        let members = package.dependencies.iter().filter(|dependency| dependency.path.is_some());
        for dependency in members {
            let is_dev = dependency.kind == DependencyKind::Development;
            if let Some(advice) = forbidden(name, &dependency.name, is_dev) {
                findings.push(Finding::new(manifest, "dependencies go down", advice));
            }
        }
    }
    findings
}

/// Why `package` must not depend on `other`, if it must not.
fn forbidden(package: &str, other: &str, is_dev: bool) -> Option<String> {
    let (Some(own), Some(lower)) = (floor(package), floor(other)) else {
        return Some(format!("`{other}` has no floor"));
    };
    if other == TESTKIT {
        // mp-os is what it stands on itself.
        let fix = "make it a dev-dependency, and of another package than mp-os";
        return (!is_dev || package == "mp-os").then(|| format!("`{other}`: {fix}"));
    }
    (lower >= own && !SIBLINGS.contains(&(package, other))).then(|| {
        format!(
            "`{other}` is on floor {lower}, `{package}` on {own}: move what both need down a floor"
        )
    })
}

pub(crate) fn licences(metadata: &Metadata, root: &Path) -> Vec<Finding> {
    let rule = "every package has the licence of the workspace";
    let mut findings = Vec::new();
    for package in &metadata.packages {
        if package.license.as_deref() != Some("MIT OR Apache-2.0") {
            let advice = "write `license.workspace = true`";
            findings.push(Finding::new(package.manifest_path.as_str(), rule, advice));
        }
    }
    for file in ["LICENSE-MIT", "LICENSE-APACHE"] {
        if !root.join(file).is_file() {
            findings.push(Finding::new(file, rule, "add its text"));
        }
    }
    findings
}

pub(crate) fn readme(root: &Path, directory: &Path) -> Option<Finding> {
    let path = directory.join("README.md");
    let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
    let advice = "say in a few lines what the package is and who wants it";
    (!path.is_file()).then(|| Finding::new(&shown, "every package has a README.md", advice))
}

/// The changes of the version that the workspace has, under a heading with its number.
pub(crate) fn changelog(version: &str, text: &str) -> Option<Finding> {
    let is_heading = |line: &str| line.starts_with("## ") && line.contains(version);
    let advice = format!("add a heading for {version}");
    let rule = "the changelog tells of the current version";
    (!text.lines().any(is_heading)).then(|| Finding::new("CHANGELOG.md", rule, advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_go_down() {
        assert_eq!(forbidden("mp-pipe", "mp-os", false), None);
        assert_eq!(forbidden("mp-core", "mp-channel", false), None);
        assert_eq!(forbidden("mp-channel", "mp-sync", false), None);
        for (package, other) in [
            ("mp-os", "mp-pipe"),
            ("mp-pipe", "mp-shm"),
            ("mp-mmap", "mp-shm"),
            ("mp-sync", "mp-core"),
        ] {
            assert!(forbidden(package, other, false).is_some(), "{package} -> {other}");
            assert!(forbidden(package, other, true).is_some(), "{package} -> {other}");
        }
        assert!(forbidden("mp-core", "mp-new", false).unwrap().contains("has no floor"));
    }

    #[test]
    fn the_test_kit_is_for_tests() {
        assert_eq!(forbidden("mp-pipe", TESTKIT, true), None);
        assert!(forbidden("mp-pipe", TESTKIT, false).is_some());
        assert!(forbidden("mp-os", TESTKIT, true).is_some());
    }

    #[test]
    fn a_package_without_a_readme() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(readme(root, root), None);
        let found = readme(root, &root.join("src")).unwrap().to_string();
        assert!(found.starts_with("src/README.md:1: every package has a README.md: "), "{found}");
    }

    #[test]
    fn manifests_of_a_bad_workspace() {
        let text = r#"{
            "packages": [{
                "name": "mp-pipe", "version": "3.2.1", "id": "mp-pipe", "manifest_path": "/w/crates/mp-pipe/Cargo.toml",
                "license": "Zlib", "targets": [], "features": {}, "dependencies": [
                    {"name": "mp-shm", "req": "*", "path": "/w/crates/mp-shm", "optional": false,
                     "uses_default_features": true, "features": [], "kind": null},
                    {"name": "nix", "req": "*", "optional": false,
                     "uses_default_features": true, "features": [], "kind": null}
                ]
            }],
            "workspace_members": [], "workspace_default_members": [], "version": 1,
            "target_directory": "/w/target", "workspace_root": "/w"
        }"#;
        let metadata = cargo_metadata::MetadataCommand::parse(text).unwrap();
        let found: Vec<_> = dependencies(&metadata).iter().map(ToString::to_string).collect();
        let expected = "crates/mp-pipe/Cargo.toml:1: dependencies go down: `mp-shm`";
        assert!(found[0].starts_with(expected), "{found:?}");
        assert_eq!(found.len(), 1);
        // One package and two files.
        assert_eq!(licences(&metadata, Path::new("/nowhere")).len(), 3);
    }

    #[test]
    fn a_changelog_that_is_behind() {
        assert_eq!(changelog("3.2.1", "# Changes\n\n## 3.2.1 (today)\n"), None);
        assert!(changelog("3.2.1", "# Changes\n\n## 3.2.0\n").is_some());
    }
}
