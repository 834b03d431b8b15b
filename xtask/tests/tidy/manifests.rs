//! What every package must declare: a description, a README, the lints of the workspace, and the workspace's version of
//! each dependency; and what a published package must say to be found and read.

use std::collections::BTreeMap;
use std::fs;

use crate::assert_none;
use crate::repository::{self, Package};

/// The categories of crates.io that packages here may be in. A registry drops a category that it does not know.
const CATEGORIES: [&str; 20] = [
    "algorithms",
    "asynchronous",
    "authentication",
    "caching",
    "command-line-utilities",
    "config",
    "cryptography",
    "data-structures",
    "database",
    "database-implementations",
    "development-tools",
    "development-tools::profiling",
    "development-tools::testing",
    "encoding",
    "network-programming",
    "parser-implementations",
    "simulation",
    "web-programming",
    "web-programming::http-client",
    "web-programming::http-server",
];

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

/// What a registry and docs.rs need to know of a published package. The limits are those of crates.io.
fn publication_problems(package: &Package) -> Vec<String> {
    let mut problems = Vec::new();
    let mut report = |what: String| problems.push(format!("{}/Cargo.toml: {what}", package.directory));
    let Package { keywords, categories, .. } = package;
    let is_keyword = |word: &&String| {
        let begins = word.starts_with(|char: char| char.is_ascii_alphanumeric());
        begins
            && word.len() <= 20
            && word.chars().all(|char| char.is_ascii_alphanumeric() || "_-+".contains(char))
    };
    if !(1..=5).contains(&keywords.len()) {
        report(format!("{} keywords, not 1 to 5", keywords.len()));
    }
    for word in keywords.iter().filter(|word| !is_keyword(word)) {
        report(format!("`{word}` is not a keyword that crates.io takes"));
    }
    if !(1..=5).contains(&categories.len()) {
        report(format!("{} categories, not 1 to 5", categories.len()));
    }
    for category in categories.iter().filter(|category| !CATEGORIES.contains(&category.as_str())) {
        report(format!("`{category}` is not in the list of categories"));
    }
    if !package.has_readme {
        report("no `readme`".to_owned());
    }
    let docs = &package.metadata["docs"]["rs"];
    if docs["all-features"] != true {
        report("[package.metadata.docs.rs] does not say `all-features = true`".to_owned());
    }
    if docs["rustdoc-args"] != serde_json::json!(["--cfg", "docsrs"]) {
        report("[package.metadata.docs.rs] does not say `rustdoc-args = [\"--cfg\", \"docsrs\"]`".to_owned());
    }
    problems
}

/// What is missing where a package has features: that docs.rs marks what they add, and a table of them.
fn feature_problems(package: &Package, library: &str, readme: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let features: Vec<_> = package.features.iter().filter(|feature| *feature != "default").collect();
    if !features.is_empty() && !library.contains("#![cfg_attr(docsrs, feature(doc_cfg))]") {
        let path = format!("{}/src/lib.rs", package.directory);
        problems.push(format!("{path}: has features but not `#![cfg_attr(docsrs, feature(doc_cfg))]`"));
    }
    for feature in features.iter().filter(|feature| !readme.contains(&format!("| `{feature}` |"))) {
        let path = format!("{}/README.md", package.directory);
        problems.push(format!("{path}: the feature `{feature}` is in no table"));
    }
    problems
}

#[test]
fn published_packages_can_be_found_and_read() {
    let mut problems = Vec::new();
    for package in repository::packages().iter().filter(|package| package.is_published) {
        let read = |path: &str| {
            let path = repository::root().join(&package.directory).join(path);
            fs::read_to_string(path).unwrap_or_default()
        };
        problems.extend(publication_problems(package));
        problems.extend(feature_problems(package, &read("src/lib.rs"), &read("README.md")));
    }
    assert_none(&problems);
}

#[test]
fn what_a_published_package_lacks_is_found() {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let metadata =
        serde_json::json!({"docs": {"rs": {"all-features": true, "rustdoc-args": ["--cfg", "docsrs"]}}});
    let good = Package {
        directory: "crates/p".to_owned(),
        keywords: words(&["sync", "event-store"]),
        categories: words(&["database"]),
        has_readme: true,
        metadata,
        ..Package::default()
    };
    assert_none(&publication_problems(&good));
    let bad = [
        Package { keywords: Vec::new(), ..good.clone() },
        Package { keywords: words(&["a", "b", "c", "d", "e", "f"]), ..good.clone() },
        Package { keywords: words(&["two words"]), ..good.clone() },
        Package { keywords: words(&["a-keyword-that-is-too-long"]), ..good.clone() },
        Package { categories: Vec::new(), ..good.clone() },
        Package { categories: words(&["databases"]), ..good.clone() },
        Package { has_readme: false, ..good.clone() },
        Package { metadata: serde_json::json!({"docs": {"rs": {"all-features": true}}}), ..good.clone() },
        Package {
            metadata: serde_json::json!({"docs": {"rs": {"rustdoc-args": ["--cfg", "docsrs"]}}}),
            ..good.clone()
        },
    ];
    for package in bad {
        assert_eq!(publication_problems(&package).len(), 1, "{package:?}");
    }
}

#[test]
fn a_feature_that_is_not_documented_is_found() {
    let package = Package { features: vec!["default".to_owned(), "tls".to_owned()], ..Package::default() };
    let (library, readme) = ("#![cfg_attr(docsrs, feature(doc_cfg))]\n", "| `tls` | yes | TLS |\n");
    assert_none(&feature_problems(&package, library, readme));
    assert_eq!(feature_problems(&package, "", readme).len(), 1);
    assert_eq!(feature_problems(&package, library, "`tls` is on by default\n").len(), 1);
    assert_none(&feature_problems(&Package::default(), "", ""));
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
