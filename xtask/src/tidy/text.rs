//! Rules about every file.

use super::finding::Finding;

/// Home and work directories of whoever wrote it. Written apart, or this file would break its own rule.
const MACHINE_PATHS: &[&str] =
    &[concat!("/", "home/"), concat!("/", "root/"), concat!("/", "Users/"), concat!("/", "work/")];

/// The one registry that everybody can reach.
const PUBLIC_REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(crate) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut report = |rule, advice: String| {
            findings.push(Finding::new(path, rule, advice).at(index + 1));
        };
        if let Some(found) = MACHINE_PATHS.iter().find(|found| names_path(line, found)) {
            report(
                "no path of one machine",
                format!("`{found}`: say it relative to the workspace"),
            );
        }
        if let Some(host) = hosts(line).find(|host| is_private(host)) {
            report("no host of one network", format!("`{host}`: name what everybody can reach"));
        }
        if names_registry(path, line) {
            let advice = "the lock file and the manifests name crates.io only".to_owned();
            report("no registry of one network", advice);
        }
    }
    findings
}

/// Whether an absolute path starts with `start`, not a relative one that happens to contain it.
fn names_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(index, _)| {
        let before = line[..index].chars().next_back();
        before.is_none_or(|letter| !letter.is_alphanumeric() && !"_-./}>$".contains(letter))
    })
}

/// The hosts of the addresses in a line.
fn hosts(line: &str) -> impl Iterator<Item = &str> {
    line.split("://").skip(1).filter_map(|rest| {
        let authority =
            rest.split(|c: char| !c.is_alphanumeric() && !"-.@:_".contains(c)).next()?;
        let host = authority.rsplit('@').next()?.split(':').next()?;
        (!host.is_empty()).then_some(host)
    })
}

fn is_private(host: &str) -> bool {
    let endings = [".internal", ".local", ".lan", ".corp", ".intranet", ".svc"];
    let words = ["artifactory", "nexus", "mirror", "registry", "proxy"];
    let is_loopback = host == "localhost" || host.starts_with("127.");
    let is_number =
        host.split('.').count() == 4 && host.split('.').all(|part| part.parse::<u8>().is_ok());
    let is_single = !host.contains('.') && !is_loopback && host.len() > 1;
    (is_number && !is_loopback)
        || is_single
        || endings.iter().any(|ending| host.ends_with(ending))
        || host.split('.').any(|part| words.contains(&part))
}

fn names_registry(path: &str, line: &str) -> bool {
    let line = line.trim();
    if path.ends_with("Cargo.lock") {
        return line
            .strip_prefix("source = ")
            .is_some_and(|source| source.trim_matches('"') != PUBLIC_REGISTRY);
    }
    path.ends_with(".toml")
        && (line.starts_with("[source.")
            || line.starts_with("[registries")
            || line.starts_with("registry ="))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(usize, &'static str)> {
        check(path, text).iter().map(Finding::place).collect()
    }

    #[test]
    fn public_addresses_and_relative_paths_are_fine() {
        let text = "see https://docs.rs/nix and http://localhost:8080/x\ncd fork/work/ && ls ../root/a /tmp/b\n";
        assert_eq!(rules("README.md", text), []);
    }

    #[test]
    fn paths_of_a_machine() {
        let text = format!("ok\ncd {}me/src\n", MACHINE_PATHS[0]);
        assert_eq!(rules("docs/a.md", &text), [(2, "no path of one machine")]);
        assert_eq!(rules("docs/a.md", &format!("(`{}`)", MACHINE_PATHS[1])).len(), 1);
    }

    #[test]
    fn hosts_of_a_network() {
        let rule = [(1, "no host of one network")];
        let join = |host: &str| format!("url = \"https{}{host}/x\"", "://");
        for host in ["10.1.2.3", "user:secret@crates.corp", "registry.company.com:443", "buildbox"]
        {
            assert_eq!(rules("docs/a.md", &join(host)), rule, "{host}");
        }
    }

    #[test]
    fn registries_of_a_network() {
        let rule = [(1, "no registry of one network")];
        assert_eq!(rules("Cargo.lock", "source = \"registry+https://example.com/index\"\n"), rule);
        assert_eq!(rules("Cargo.lock", &format!("source = \"{PUBLIC_REGISTRY}\"\n")), []);
        assert_eq!(rules(".cargo/config.toml", "[source.crates-io]\n"), rule);
    }
}
