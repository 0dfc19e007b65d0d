//! What this program is made of: floors below which known holes lie, and the gates that look for new ones.
//!
//! `cargo deny` knows the advisories, but needs their database, which not every machine reaches. What is known
//! to matter most is therefore written down here, and holds wherever the tests run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The first version without the holes that were known when this was written: the release notes of 48.0.1 to
/// 48.0.8 list 36 advisories, sandbox escapes among them.
const WASMTIME: Version = Version(48, 0, 8);

/// Before it, dropping a channel could free memory twice (RUSTSEC-2025-0024).
const CROSSBEAM_CHANNEL: Version = Version(0, 5, 15);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u64, u64, u64);

impl Version {
    fn of(text: &str) -> Self {
        let numbers: Vec<u64> = text
            .split(['.', '-', '+'])
            .map_while(|number| number.parse().ok())
            .collect();
        match numbers[..] {
            [major, minor, patch, ..] => Self(major, minor, patch),
            _ => panic!("{text:?} is no version"),
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names and versions of all that may become part of this program, from `Cargo.lock`.
fn locked() -> Vec<(String, Version)> {
    let text = read("Cargo.lock");
    let field = |package: &str, name: &str| {
        let mut lines = package.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""));
        let value = value.and_then(|rest| rest.strip_suffix('"'));
        value
            .expect("every package has a name and a version")
            .to_owned()
    };
    text.split("[[package]]")
        .skip(1)
        .map(|package| {
            let version = Version::of(&field(package, "version"));
            (field(package, "name"), version)
        })
        .collect()
}

fn locked_versions(name: &str) -> Vec<Version> {
    let packages = locked().into_iter();
    packages
        .filter(|(found, _)| found == name)
        .map(|(_, version)| version)
        .collect()
}

/// The versions of a package that `Cargo.toml` of a folder asks for at least.
fn asked_for(folder: &str, name: &str) -> Version {
    let text = read(&format!("{folder}/Cargo.toml"));
    let start = format!("{name} = ");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    let quoted = line.and_then(|line| line.split('"').nth(1));
    Version::of(quoted.unwrap_or_else(|| panic!("{folder} does not depend on {name}")))
}

#[test]
fn wasmtime_is_never_older_than_the_fix_of_the_last_known_hole() {
    let wasmtime = locked_versions("wasmtime");
    assert_eq!(wasmtime.len(), 1, "{wasmtime:?}");
    assert!(wasmtime[0] >= WASMTIME, "{wasmtime:?}");
    // Whoever depends on the library has a lock file of his own.
    for folder in ["host", "benches"] {
        assert!(asked_for(folder, "wasmtime") >= WASMTIME, "{folder}");
    }
}

#[test]
fn the_parts_of_wasmtime_are_of_one_release() {
    let wasmtime = locked_versions("wasmtime");
    let packages = locked().into_iter();
    let parts: Vec<_> = packages
        .filter(|(name, _)| name.starts_with("wasmtime-internal-"))
        .collect();
    assert!(parts.len() > 3, "{parts:?}");
    for (name, version) in parts {
        assert_eq!(version, wasmtime[0], "{name}");
    }
}

#[test]
fn crossbeam_channel_is_never_older_than_the_fix_of_its_double_free() {
    let versions = locked_versions("crossbeam-channel");
    assert!(!versions.is_empty());
    for version in versions {
        assert!(version >= CROSSBEAM_CHANNEL, "{version:?}");
    }
    for folder in ["host", "benches"] {
        assert!(asked_for(folder, "crossbeam-channel") >= CROSSBEAM_CHANNEL);
    }
}

/// Name and version of each package that is really built, tests and benches included. `Cargo.lock` also lists
/// what no chosen feature wants.
fn built() -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--workspace",
            "--locked",
            "--offline",
            "--edges",
            "all",
        ])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(root())
        .output()
        .expect("cargo can be run");
    let error = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "{error}");
    let text = String::from_utf8(tree.stdout).expect("names are text");
    // A line of features has no version.
    let packages = text.lines().filter(|line| line.contains(" v")).map(|line| {
        let mut words = line.split(' ');
        let (name, version) = (words.next(), words.next());
        format!(
            "{} {}",
            name.unwrap_or_default(),
            version.unwrap_or_default()
        )
    });
    packages.collect()
}

#[test]
fn one_parser_says_what_a_valid_module_is() {
    let built = built();
    assert!(built.len() > 100, "{built:?}");
    let parsers: Vec<_> = built
        .iter()
        .filter(|package| package.starts_with("wasmparser "))
        .collect();
    assert_eq!(parsers.len(), 1, "{parsers:?}");
}

#[test]
fn cargo_deny_gates_advisories_without_an_exception() {
    let rules = read("deny.toml");
    let (_, advisories) = rules
        .split_once("[advisories]")
        .expect("deny.toml has rules about advisories");
    let advisories = advisories.split("\n[").next().unwrap_or_default();
    assert!(advisories.contains("yanked = \"deny\""), "{advisories}");
    // What is ignored is not gated. Whoever has to ignore one says here why.
    for word in ["ignore", "\"allow\"", "\"warn\""] {
        assert!(!advisories.contains(word), "{word}: {advisories}");
    }
    let steps = read(".ci/run");
    let gates: Vec<_> = steps.lines().map(str::trim).collect();
    assert!(gates.contains(&"cargo deny check bans licenses sources"));
    assert!(gates.contains(&"cargo deny check advisories"));
}

#[test]
fn versions_are_compared_as_numbers() {
    assert!(Version::of("48.0.10") > Version::of("48.0.9"));
    assert!(Version::of("0.5.15") < Version::of("0.6.0"));
    assert_eq!(Version::of("1.2.3-rc.1+x"), Version(1, 2, 3));
}
