//! What every package must declare: a description, a README, the lints of the workspace, and the
//! workspace's version of each dependency.

use std::collections::BTreeMap;
use std::fs;

use crate::assert_none;
use crate::repository;

/// The values of a manifest under their full names: `dependencies.serde.workspace`.
///
/// It reads the TOML that manifests are written in: headers and single-line keys, and values that
/// may go on over several lines within brackets.
fn values(manifest: &str) -> Vec<(String, String)> {
    let mut values = Vec::new();
    let mut section = String::new();
    let mut lines = manifest.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line.starts_with('#') {
            continue;
        }
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = format!("{}.", header.trim_matches(['[', ']']));
        } else if let Some((key, value)) = line.split_once('=') {
            let mut value = value.trim().to_owned();
            while count(&value, "[{") > count(&value, "]}") {
                let Some(more) = lines.next() else { break };
                value.push_str(more);
            }
            values.push((format!("{section}{}", key.trim()), value));
        }
    }
    values
}

fn count(text: &str, brackets: &str) -> usize {
    text.chars().filter(|char| brackets.contains(*char)).count()
}

fn manifest_problems(path: &str, manifest: &str) -> Vec<String> {
    let values = values(manifest);
    let mut problems = Vec::new();
    if !values.iter().any(|(name, value)| name == "lints.workspace" && value == "true") {
        problems.push(format!("{path}: [lints] does not say `workspace = true`"));
    }
    let mut inherits = BTreeMap::new();
    for (name, value) in &values {
        let Some((table, entry)) = name.split_once("dependencies.") else {
            continue;
        };
        let (dependency, key) = entry.split_once('.').unwrap_or((entry, ""));
        let shared = match key {
            "workspace" => value == "true",
            "" => value.replace(' ', "").contains("workspace=true"),
            _ => false,
        };
        *inherits.entry((table, dependency)).or_insert(false) |= shared;
    }
    for ((table, dependency), _) in inherits.into_iter().filter(|(_, inherits)| !inherits) {
        let section = format!("[{table}dependencies]");
        problems.push(format!("{path}: {dependency} in {section} does not say `workspace = true`"));
    }
    problems
}

#[test]
fn manifests_inherit_lints_and_versions() {
    let mut problems = Vec::new();
    for package in repository::packages() {
        let path = format!("{}/Cargo.toml", package.directory);
        let manifest = fs::read_to_string(repository::root().join(&path)).unwrap();
        problems.extend(manifest_problems(&path, &manifest));
    }
    assert_none(&problems);
}

#[test]
fn packages_have_a_readme_and_a_description() {
    let mut problems = Vec::new();
    for package in repository::packages() {
        let directory = &package.directory;
        if !repository::root().join(directory).join("README.md").is_file() {
            problems.push(format!("{directory}: no README.md"));
        }
        if package.description.is_none_or(|text| text.trim().is_empty()) {
            problems.push(format!("{directory}: no description in Cargo.toml"));
        }
    }
    assert_none(&problems);
}

const GOOD: &str = r#"
[package]
name = "p"

[dependencies]
# serde = "1"
a.workspace = true
b = { workspace = true, features = [
    "x",
    "y",
] }
c.workspace = true
c.optional = true

[target.'cfg(unix)'.dependencies]
d = { workspace=true }

[dev-dependencies.e]
workspace = true
features = ["x"]

[lints]
workspace = true
"#;

#[test]
fn a_manifest_that_inherits_everything_passes() {
    assert_none(&manifest_problems("p", GOOD));
}

#[test]
fn versions_and_lints_of_a_package_of_its_own_are_found() {
    let cases = [
        ("a.workspace = true", "a = \"1\""),
        ("b = { workspace = true,", "b = { version = \"1\","),
        ("c.workspace = true", "c.version = \"1\""),
        ("d = { workspace=true }", "d = { path = \"../d\" }"),
        ("[dev-dependencies.e]\nworkspace = true", "[dev-dependencies.e]\nversion = \"1\""),
        ("[lints]\nworkspace = true", "[lints]"),
    ];
    for (good, bad) in cases {
        let manifest = GOOD.replace(good, bad);
        assert_ne!(manifest, GOOD, "{good}");
        assert_eq!(manifest_problems("p", &manifest).len(), 1, "{bad}");
    }
}
