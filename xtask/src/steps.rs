//! What `cargo xtask ci` runs: the steps, found in the manifests of the workspace.
//!
//! A package is checked in every shape in which somebody may depend on it, because a feature
//! switched on for one package of a build is switched on for all: [`clippy`] takes each package
//! alone with its tests, [`features`] without them and with each feature alone.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, Metadata, Package};
use clap::ValueEnum;

use crate::cargo::Cargo;

/// The groups of steps, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Group {
    /// Formatting
    Fmt,
    /// Lints, each package alone with its tests and examples
    Clippy,
    /// Lints, each package alone without its tests: plain, and with each feature alone
    Features,
    /// All tests, and the examples in the documentation
    Test,
    /// The documentation, with no broken link
    Doc,
    /// The programs under `examples/`; each must end by itself
    Examples,
    /// The quick start and the adapter guide, as they are written, in a crate outside the workspace
    Guide,
    /// Every store with every store over every transport, as far as no service is needed
    Matrix,
    /// Licenses, banned crates and sources of dependencies; needs cargo-deny
    Deny,
    /// Known vulnerabilities of dependencies; needs cargo-deny and its database from the network
    Advisories,
    /// Changes of the public API that its version does not announce; needs cargo-semver-checks and a release
    Semver,
}

impl Group {
    /// The name under which `--step` knows it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Features => "features",
            Self::Test => "test",
            Self::Doc => "doc",
            Self::Examples => "examples",
            Self::Guide => "guide",
            Self::Matrix => "matrix",
            Self::Deny => "deny",
            Self::Advisories => "advisories",
            Self::Semver => "semver",
        }
    }
}

/// One command of a group.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) group: Group,
    pub(crate) cargo: Cargo,
}

/// A release, with which the public API is compared.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    /// Its tag.
    pub(crate) tag: String,
    /// The manifests in it, relative to the root.
    pub(crate) manifests: BTreeSet<String>,
}

/// All steps for these packages, in order. Without a release, the step that compares with it is there, and has nothing to
/// compare with.
pub(crate) fn all(metadata: &Metadata, release: Option<&Release>) -> Vec<Step> {
    let mut packages = metadata.workspace_packages();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    let examples = metadata.workspace_root.join("examples");

    let mut lines: Vec<(Group, String)> = vec![(Group::Fmt, "fmt --all -- --check".into())];
    lines.extend(packages.iter().map(|package| (Group::Clippy, clippy(package))));
    for package in &packages {
        lines.extend(features(package).into_iter().map(|line| (Group::Features, line)));
    }
    lines.push((Group::Test, "test --workspace --all-targets".into()));
    lines.push((Group::Test, "test --workspace --doc".into()));
    lines.push((Group::Doc, "doc --workspace --no-deps".into()));
    for package in packages.iter().filter(|package| package.manifest_path.starts_with(&examples)) {
        lines.extend(programs(package).into_iter().map(|line| (Group::Examples, line)));
    }
    lines.push((Group::Guide, "xtask guide".into()));
    lines.push((Group::Matrix, "xtask matrix".into()));
    lines.push((Group::Deny, "deny check bans licenses sources".into()));
    lines.push((Group::Advisories, "deny check advisories".into()));
    lines.push((Group::Semver, semver(metadata, &packages, release)));
    lines.into_iter().map(|(group, line)| step(group, &line)).collect()
}

fn step(group: Group, line: &str) -> Step {
    let cargo = Cargo::new(line);
    let cargo = match group {
        Group::Doc => cargo.with_env("RUSTDOCFLAGS", "-D warnings"),
        _ => cargo,
    };
    Step { group, cargo }
}

/// Names the published libraries that the release has: cargo-semver-checks fails for a package that it does not have.
fn semver(metadata: &Metadata, packages: &[&Package], release: Option<&Release>) -> String {
    let mut line = "semver-checks".to_owned();
    let Some(release) = release else { return line };
    for package in packages {
        let manifest = package.manifest_path.strip_prefix(&metadata.workspace_root);
        let path = manifest.map_or_else(|_| String::new(), |path| path.as_str().replace('\\', "/"));
        let is_library = package.targets.iter().any(|target| target.is_lib());
        if package.publish.is_none() && is_library && release.manifests.contains(&path) {
            line += &format!(" -p {}", package.name);
        }
    }
    format!("{line} --baseline-rev {}", release.tag)
}

/// Not with `--no-deps`: cargo would keep the result of a package that was built as a dependency,
/// unlinted, and show no warning when its own turn comes.
fn clippy(package: &Package) -> String {
    format!("clippy -p {} --all-targets -- -D warnings", package.name)
}

/// The library and the programs without the tests, because the dependencies of tests may switch on
/// what is missing. A set of features that an earlier line has covered is not checked again.
fn features(package: &Package) -> Vec<String> {
    let standard = enabled(package, "default");
    let mut covered = BTreeSet::new();
    if !package.dependencies.iter().any(|on| on.kind == DependencyKind::Development) {
        covered.insert(standard.clone());
    }
    let mut shapes = vec![(String::new(), standard), (" --no-default-features".to_owned(), BTreeSet::new())];
    for feature in package.features.keys().filter(|feature| *feature != "default") {
        let flags = format!(" --no-default-features --features {feature}");
        shapes.push((flags, enabled(package, feature)));
    }
    shapes.retain(|(_, enabled)| covered.insert(enabled.clone()));
    let name = &package.name;
    shapes.iter().map(|(flags, _)| format!("clippy -p {name}{flags} -- -D warnings")).collect()
}

/// Everything that a feature switches on, itself included; `default` is only a name for the others.
fn enabled(package: &Package, feature: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![feature.to_owned()];
    while let Some(name) = open.pop() {
        if found.insert(name.clone()) {
            open.extend(package.features.get(&name).into_iter().flatten().cloned());
        }
    }
    found.remove("default");
    found
}

/// One run for each program of an example package.
fn programs(package: &Package) -> Vec<String> {
    let name = &package.name;
    let mut programs: Vec<_> = package.targets.iter().filter(|target| target.is_bin()).collect();
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    match programs.as_slice() {
        [_] => vec![format!("run --quiet -p {name}")],
        several => {
            several.iter().map(|program| format!("run --quiet -p {name} --bin {}", program.name)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `cargo metadata` says of one package, in which only features and dependencies vary.
    fn workspace(path: &str, features: &str, dev: bool) -> Metadata {
        let dependency = r#"{"name": "d", "source": null, "req": "*", "kind": "dev", "rename": null,
            "optional": false, "uses_default_features": true, "features": [], "target": null,
            "registry": null}"#;
        let dependencies = if dev { dependency } else { "" };
        let json = format!(
            r#"{{"version": 1, "workspace_root": "/w", "target_directory": "/w/target",
            "resolve": null, "workspace_members": ["p"], "workspace_default_members": ["p"],
            "packages": [{{"name": "p", "version": "0.1.0", "id": "p",
                "manifest_path": "/w/{path}/p/Cargo.toml", "dependencies": [{dependencies}],
                "features": {features}, "targets": [{{"name": "p", "kind": ["bin"],
                "crate_types": ["bin"], "src_path": "/w/{path}/p/src/main.rs",
                "edition": "2024"}}]}}]}}"#
        );
        cargo_metadata::MetadataCommand::parse(json).unwrap()
    }

    fn lines(metadata: &Metadata, group: Group) -> Vec<String> {
        let steps = all(metadata, None).into_iter().filter(|step| step.group == group);
        steps.map(|step| step.cargo.to_string()).collect()
    }

    #[test]
    fn groups_run_in_the_order_of_their_names() {
        let groups: Vec<_> = all(&workspace("examples", "{}", true), None).iter().map(|s| s.group).collect();
        assert!(groups.is_sorted());
        assert_eq!(groups.iter().collect::<BTreeSet<_>>().len(), Group::value_variants().len());
    }

    #[test]
    fn a_package_without_features_or_tests_of_its_own_needs_clippy_once() {
        let metadata = workspace("crates", "{}", false);
        let clippy = ["cargo clippy -p p --all-targets -- -D warnings"];
        assert_eq!(lines(&metadata, Group::Clippy), clippy);
        assert!(lines(&metadata, Group::Features).is_empty());
    }

    #[test]
    fn dependencies_of_tests_make_the_plain_library_a_shape_of_its_own() {
        let metadata = workspace("crates", "{}", true);
        assert_eq!(lines(&metadata, Group::Features), ["cargo clippy -p p -- -D warnings"]);
    }

    #[test]
    fn each_feature_is_checked_alone_unless_it_repeats_an_earlier_line() {
        let features = r#"{"default": ["a"], "a": ["b"], "b": [], "c": ["dep:x"]}"#;
        let flags = ["", " --features b", " --features c"];
        let expected = flags.map(|f| format!("cargo clippy -p p --no-default-features{f} -- -D warnings"));
        let metadata = workspace("crates", features, false);
        assert_eq!(lines(&metadata, Group::Features), expected);
    }

    #[test]
    fn only_libraries_that_the_release_has_are_compared_with_it() {
        let library = |json: &str| json.replace(r#"["bin"]"#, r#"["lib"]"#);
        let text = serde_json::to_string(&workspace("crates", "{}", false)).unwrap();
        let program = workspace("crates", "{}", false);
        let library = cargo_metadata::MetadataCommand::parse(library(&text)).unwrap();
        let release = |manifests: &[&str]| Release {
            tag: "v0.1.0".to_owned(),
            manifests: manifests.iter().map(|path| (*path).to_owned()).collect(),
        };
        let line = |metadata: &Metadata, release: Option<&Release>| {
            let steps = all(metadata, release);
            steps.last().unwrap().cargo.to_string()
        };
        let (old, new) = (release(&["crates/p/Cargo.toml"]), release(&["crates/q/Cargo.toml"]));
        assert_eq!(line(&library, Some(&old)), "cargo semver-checks -p p --baseline-rev v0.1.0");
        assert_eq!(line(&library, Some(&new)), "cargo semver-checks --baseline-rev v0.1.0");
        assert_eq!(line(&program, Some(&old)), "cargo semver-checks --baseline-rev v0.1.0");
        assert_eq!(line(&library, None), "cargo semver-checks");
    }

    #[test]
    fn only_packages_under_examples_are_run() {
        let run = ["cargo run --quiet -p p"];
        assert_eq!(lines(&workspace("examples", "{}", false), Group::Examples), run);
        assert!(lines(&workspace("crates", "{}", false), Group::Examples).is_empty());
    }
}
