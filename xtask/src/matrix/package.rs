//! The package that links all adapters into one program: written below the target directory and built there.
//!
//! It is a workspace of its own, with the versions of this one's lock file, its profiles and its target directory,
//! so that nothing is fetched again and little is built twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{Dependency, Metadata};

use super::adapters::{Adapter, Kind};
use crate::cargo::Cargo;

/// The name of the package and its program.
const NAME: &str = "synckit-matrix-cells";

/// Writes the package, builds it, and answers where its program is.
pub(super) fn build(metadata: &Metadata, adapters: &[Adapter]) -> Result<PathBuf, String> {
    if let Some(without) = adapters.iter().find(|adapter| !adapter.fixture.is_file()) {
        let (package, path) = (&without.package, without.fixture.display());
        return Err(format!(
            "{package} says it is an adapter, but has no fixture at {path}; see docs/matrix.md"
        ));
    }
    let (root, target) = (metadata.workspace_root.as_std_path(), metadata.target_directory.as_std_path());
    let read = |name: &str| {
        fs::read_to_string(root.join(name)).map_err(|error| format!("cannot read {name}: {error}"))
    };
    let directory = target.join("matrix");
    let testkit = root.join("crates/synckit-testkit");
    put(&directory.join("Cargo.toml"), &manifest(adapters, &testkit, &profiles(&read("Cargo.toml")?)))?;
    put(&directory.join("Cargo.lock"), &read("Cargo.lock")?)?;
    put(&directory.join("src/main.rs"), &program(adapters))?;
    let cargo = Cargo::new("build --quiet")
        .with_path("--manifest-path", &directory.join("Cargo.toml"))
        .with_path("--target-dir", target);
    eprintln!("building every adapter into one program; the first time takes a minute or two");
    match cargo.run()? {
        0 => Ok(target.join("debug").join(format!("{NAME}{}", std::env::consts::EXE_SUFFIX))),
        _ => Err(format!("the program of the matrix cannot be built; to repeat: {cargo}")),
    }
}

/// Writes a file unless it says this already: a file that is written again is built again.
fn put(path: &Path, text: &str) -> Result<(), String> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let directory = path.parent().unwrap_or(path);
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// What a dependency says in a manifest.
#[derive(Debug, Default)]
struct Wanted {
    /// `path = …` or `version = …`.
    source: String,
    features: BTreeSet<String>,
    default_features: bool,
}

fn manifest(adapters: &[Adapter], testkit: &Path, profiles: &str) -> String {
    let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
    for adapter in adapters {
        for on in &adapter.dependencies {
            let entry = wanted.entry(on.rename.clone().unwrap_or_else(|| on.name.clone())).or_default();
            entry.source = source(on);
            entry.features.extend(on.features.iter().cloned());
            entry.default_features |= on.uses_default_features;
        }
    }
    let local = |path: &Path| Wanted {
        source: format!("path = {}", quoted(&path.display().to_string())),
        default_features: true,
        ..Wanted::default()
    };
    let of_fixtures = wanted.remove("synckit-testkit").unwrap_or_default().features;
    wanted.insert("synckit-testkit".to_owned(), Wanted { features: of_fixtures, ..local(testkit) });
    for adapter in adapters {
        wanted.insert(adapter.package.clone(), local(&adapter.directory));
    }
    let mut text = format!(
        "# Written by `cargo xtask matrix`.\n\n[package]\nname = \"{NAME}\"\nversion = \"0.0.0\"\n\
         edition = \"2024\"\npublish = false\n\n[workspace]\n\n[dependencies]\n"
    );
    for (name, Wanted { source, features, default_features }) in &wanted {
        let features: Vec<String> = features.iter().map(|feature| quoted(feature)).collect();
        let features = features.join(", ");
        let _infallible = writeln!(
            text,
            "{name} = {{ {source}, default-features = {default_features}, features = [{features}] }}"
        );
    }
    format!("{text}\n{profiles}")
}

fn source(on: &Dependency) -> String {
    let renamed = on.rename.as_ref().map(|_| format!("package = {}, ", quoted(&on.name))).unwrap_or_default();
    let place = match &on.path {
        Some(path) => format!("path = {}", quoted(path.as_str())),
        None => format!("version = {}", quoted(&on.req.to_string())),
    };
    renamed + &place
}

/// A string as TOML and Rust both read it.
fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// The sections of a manifest that say how things are built.
fn profiles(manifest: &str) -> String {
    let mut taking = false;
    let mut lines = String::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            taking = line.starts_with("[profile");
        }
        if taking && !line.starts_with('#') {
            lines += line;
            lines.push('\n');
        }
    }
    lines
}

fn program(adapters: &[Adapter]) -> String {
    let mut modules = String::new();
    let mut calls = String::new();
    for adapter in adapters {
        let kind = adapter.kind.name();
        let module = format!("{kind}_{}", adapter.name.replace('-', "_"));
        let path = quoted(&adapter.fixture.display().to_string());
        let _infallible = write!(modules, "#[path = {path}]\nmod {module};\n\n");
        let with = match adapter.kind {
            Kind::Store => "with_store",
            Kind::Transport => "with_transport",
        };
        let _infallible = writeln!(calls, "        .{with}({}, {module}::fixture)", quoted(&adapter.name));
    }
    format!(
        "//! Written by `cargo xtask matrix`.\n\n{modules}\
         fn main() -> std::process::ExitCode {{\n    synckit_testkit::matrix::Matrix::new()\n{calls}        .main()\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::adapters::tests::some;

    #[test]
    fn the_manifest_has_what_the_fixtures_use() {
        let text = manifest(&some(), Path::new("/w/crates/synckit-testkit"), "[profile.dev]\nx = 1\n");
        for line in [
            r#"driver = { version = "^1.2", default-features = false, features = ["x"] }"#,
            r#"synckit-http = { path = "/w/crates/synckit-http", default-features = true, features = [] }"#,
            r#"synckit-testkit = { path = "/w/crates/synckit-testkit", default-features = true, features = ["x"] }"#,
            r#"tempfile = { version = "^1.2", default-features = false, features = ["x"] }"#,
            "[profile.dev]",
        ] {
            assert_eq!(text.lines().filter(|there| *there == line).count(), 1, "{line} in\n{text}");
        }
    }

    #[test]
    fn the_program_has_a_module_for_each_fixture() {
        let text = program(&some());
        assert!(
            text.contains(
                "#[path = \"/w/crates/synckit-postgres/tests/fixture/mod.rs\"]\nmod store_postgres;"
            )
        );
        assert!(text.contains(".with_store(\"memory\", store_memory::fixture)"), "{text}");
        assert!(text.contains(".with_transport(\"http\", transport_http::fixture)"), "{text}");
    }

    #[test]
    fn profiles_are_taken_over() {
        let manifest = "[workspace]\na = 1\n\n[profile.dev]\ndebug = 1\n# why\n[profile.dev.package]\n\
            redb = { opt-level = 2 }\n[lints]\nb = 1\n";
        let wanted = "[profile.dev]\ndebug = 1\n[profile.dev.package]\nredb = { opt-level = 2 }\n";
        assert_eq!(profiles(manifest), wanted);
    }

    #[test]
    fn an_adapter_without_a_fixture_is_named() {
        let metadata = crate::matrix::adapters::tests::workspace(&[]);
        let error = build(&metadata, &some()).unwrap_err();
        assert!(error.contains("synckit-memory") && error.contains("tests/fixture/mod.rs"), "{error}");
    }
}
