//! The files and packages of this repository, as the rules see them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// A package of the workspace, and what its manifest says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its directory, relative to the root: `crates/synckit-core`.
    pub(crate) directory: String,
    pub(crate) description: Option<String>,
    /// Whether it may be published to a registry.
    pub(crate) is_published: bool,
    pub(crate) keywords: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) has_readme: bool,
    pub(crate) features: Vec<String>,
    /// What its manifest says in `[package.metadata]`.
    pub(crate) metadata: serde_json::Value,
    /// The packages it needs when it is built or used, not those of its tests.
    pub(crate) imports: Vec<String>,
}

/// A file with its path relative to the root, separated by `/`.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether a tool wrote it; nobody edits such a file to please a rule.
    pub(crate) fn is_generated(&self) -> bool {
        self.text.lines().next().is_some_and(|line| line.contains("@generated"))
    }
}

pub(crate) fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().expect("the parent of this package exists")
}

pub(crate) fn packages() -> Vec<Package> {
    let metadata = MetadataCommand::new().current_dir(root()).no_deps().exec();
    let metadata = metadata.expect("the manifests of the workspace are valid");
    let package = |package: &&cargo_metadata::Package| {
        let needed = package.dependencies.iter().filter(|on| on.kind != DependencyKind::Development);
        let directory = package.manifest_path.parent().expect("a manifest is in a directory");
        let directory = directory.strip_prefix(&metadata.workspace_root).unwrap_or(directory);
        Package {
            name: package.name.to_string(),
            directory: directory.as_str().replace('\\', "/"),
            description: package.description.clone(),
            is_published: package.publish.is_none(),
            keywords: package.keywords.clone(),
            categories: package.categories.clone(),
            has_readme: package.readme.is_some(),
            features: package.features.keys().cloned().collect(),
            metadata: package.metadata.clone(),
            imports: needed.map(|on| on.name.clone()).collect(),
        }
    };
    metadata.workspace_packages().iter().map(package).collect()
}

/// The names of all packages that `package` pulls in when it is used, on any platform and with all
/// features. Cargo resolves it alone, so features that others switch on do not count.
pub(crate) fn tree(package: &str) -> Vec<String> {
    let arguments = "tree --all-features --edges normal --target all --prefix none -p";
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(arguments.split(' ')).arg(package);
    let output = cargo.output().expect("cargo can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree -p {package}: {errors}");
    let lines = String::from_utf8_lossy(&output.stdout);
    lines.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// The paths git tracks, and those it would track with the next commit. Where there is no git,
/// every path except what a build leaves behind.
pub(crate) fn paths() -> Vec<String> {
    let root = root();
    let mut git = Command::new("git");
    git.current_dir(&root).arg("-c").arg(format!("safe.directory={}", root.display()));
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let mut paths = match git.output() {
        Ok(output) if output.status.success() => {
            let names = String::from_utf8_lossy(&output.stdout).into_owned();
            names.split_terminator('\0').map(str::to_owned).collect()
        }
        _ => walk(&root, ""),
    };
    paths.retain(|path| root.join(path).is_file());
    paths.sort();
    paths.dedup();
    paths
}

fn walk(root: &Path, below: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let entries = fs::read_dir(root.join(below)).expect("a directory of the repository is readable");
    for entry in entries {
        let entry = entry.expect("a directory of the repository is readable");
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == ".git" || name == "target" {
            continue;
        }
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.path().is_dir() {
            paths.extend(walk(root, &path));
        } else {
            paths.push(path);
        }
    }
    paths
}

/// The text files people write by hand, told by their names.
pub(crate) fn files() -> Vec<File> {
    const ENDINGS: [&str; 8] = ["rs", "toml", "md", "proto", "sql", "sh", "yml", "yaml"];
    let root = root();
    let by_hand = |path: &String| {
        let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
        ENDINGS.contains(&ending) || path.starts_with(".ci/")
    };
    let read = |path: String| {
        let text = fs::read_to_string(root.join(&path));
        File { text: text.unwrap_or_else(|error| panic!("{path}: {error}")), path }
    };
    paths().into_iter().filter(by_hand).map(read).filter(|file| !file.is_generated()).collect()
}

#[test]
fn without_git_the_same_files_are_found() {
    let walked = walk(&root(), "xtask");
    let listed = paths().into_iter().filter(|path| path.starts_with("xtask/"));
    let missing: Vec<_> = listed.filter(|path| !walked.contains(path)).collect();
    assert!(missing.is_empty(), "not found: {missing:?}");
}
