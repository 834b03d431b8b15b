//! Which stores and transports there are: the packages that say so in their manifests.
//!
//! ```toml
//! [package.metadata.synckit]
//! store = "postgres"             # or: transport = "nats"
//! service = { name = "postgres", env = "SYNCKIT_POSTGRES_URL" }   # only where one is needed
//! ```

use std::path::PathBuf;

use cargo_metadata::{Dependency, DependencyKind, Metadata, Package};
use serde::Deserialize;

/// Where an adapter keeps its fixture, relative to its manifest.
const FIXTURE: &str = "tests/fixture/mod.rs";

/// Calls go straight to the hub: no package brings this transport.
pub(super) const IN_PROCESS: &str = "in-process";

/// What an adapter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Store,
    Transport,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Store => "store",
            Kind::Transport => "transport",
        }
    }
}

/// What has to run elsewhere for an adapter to work.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    pub(super) name: String,
    /// The environment variable that says where it is.
    pub(super) env: String,
}

/// A package with a store or a transport in it, and a fixture.
#[derive(Clone, Debug)]
pub(super) struct Adapter {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) service: Option<Service>,
    pub(super) package: String,
    pub(super) directory: PathBuf,
    pub(super) fixture: PathBuf,
    /// What the fixture may use: everything that the tests of its package may.
    pub(super) dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declaration {
    store: Option<String>,
    transport: Option<String>,
    service: Option<Service>,
    /// What a package is that is no adapter.
    part: Option<String>,
}

/// All adapters, stores first, by name.
pub(super) fn all(metadata: &Metadata) -> Result<Vec<Adapter>, String> {
    let mut adapters = Vec::new();
    for package in metadata.workspace_packages() {
        if let Some(declared) = package.metadata.get("synckit") {
            adapters.extend(adapter(package, declared)?);
        }
    }
    adapters.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    let twin = |pair: &&[Adapter]| pair[0].kind == pair[1].kind && pair[0].name == pair[1].name;
    if let Some([one, other]) = adapters.windows(2).find(twin) {
        let kind = one.kind.name();
        return Err(format!("{} and {} both are the {kind} `{}`", one.package, other.package, one.name));
    }
    Ok(adapters)
}

/// The adapter that a package declares; `None` for another part of the house.
fn adapter(package: &Package, declared: &serde_json::Value) -> Result<Option<Adapter>, String> {
    let wrong = |what: &str| format!("[package.metadata.synckit] of {}: {what}", package.name);
    let Declaration { store, transport, service, part } =
        Declaration::deserialize(declared).map_err(|error| wrong(&error.to_string()))?;
    let (kind, name) = match (store, transport, part) {
        (Some(name), None, None) => (Kind::Store, name),
        (None, Some(name), None) => (Kind::Transport, name),
        (None, None, Some(_)) if service.is_none() => return Ok(None),
        _ => return Err(wrong("say either `store = \"NAME\"` or `transport = \"NAME\"`")),
    };
    let plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
    if name.is_empty() || name == IN_PROCESS || !name.chars().all(plain) {
        return Err(wrong(&format!(
            "`{name}` is no name: lower-case letters, digits and `-`, not {IN_PROCESS}"
        )));
    }
    let directory = package.manifest_path.parent().unwrap_or(&package.manifest_path);
    let used = |on: &&Dependency| on.kind != DependencyKind::Build && !on.optional && on.target.is_none();
    Ok(Some(Adapter {
        kind,
        name,
        service,
        package: package.name.to_string(),
        fixture: directory.join(FIXTURE).into(),
        directory: directory.into(),
        dependencies: package.dependencies.iter().filter(used).cloned().collect(),
    }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A workspace whose packages have these names and this metadata.
    pub(in crate::matrix) fn workspace(packages: &[(&str, &str)]) -> Metadata {
        let dependency = |name: &str, kind: &str, rest: &str| {
            format!(
                r#"{{"name": "{name}", "source": null, "req": "^1.2", "kind": {kind}, "rename": null,
                "optional": false, "uses_default_features": false, "features": ["x"], "target": null,
                "registry": null{rest}}}"#
            )
        };
        let dependencies = [
            dependency("driver", "null", ""),
            dependency("tempfile", "\"dev\"", ""),
            dependency("cc", "\"build\"", ""),
            dependency("synckit-testkit", "\"dev\"", r#", "path": "/w/crates/synckit-testkit""#),
        ]
        .join(",");
        let described: Vec<String> = packages
            .iter()
            .map(|(name, metadata)| {
                format!(
                    r#"{{"name": "{name}", "version": "0.1.0", "id": "{name}", "metadata": {metadata},
                    "manifest_path": "/w/crates/{name}/Cargo.toml", "dependencies": [{dependencies}],
                    "features": {{}}, "targets": []}}"#
                )
            })
            .collect();
        let ids: Vec<String> = packages.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let ids = ids.join(",");
        cargo_metadata::MetadataCommand::parse(format!(
            r#"{{"version": 1, "workspace_root": "/w", "target_directory": "/w/target", "resolve": null,
            "workspace_members": [{ids}], "workspace_default_members": [{ids}],
            "packages": [{}]}}"#,
            described.join(",")
        ))
        .unwrap()
    }

    /// Two stores, one of which needs a service, and a transport.
    pub(in crate::matrix) fn some() -> Vec<Adapter> {
        let service =
            r#"{"synckit": {"store": "postgres", "service": {"name": "postgres", "env": "PG_URL"}}}"#;
        let metadata = workspace(&[
            ("synckit-http", r#"{"synckit": {"transport": "http"}}"#),
            ("synckit-postgres", service),
            ("synckit-core", r#"{"synckit": {"part": "contracts"}}"#),
            ("synckit-memory", r#"{"other": 1, "synckit": {"store": "memory"}}"#),
        ]);
        all(&metadata).unwrap()
    }

    #[test]
    fn a_package_takes_part_by_saying_so() {
        let found = some();
        let names: Vec<_> = found.iter().map(|adapter| (adapter.kind, adapter.name.as_str())).collect();
        assert_eq!(names, [(Kind::Store, "memory"), (Kind::Store, "postgres"), (Kind::Transport, "http")]);
        assert_eq!(found[1].service.as_ref().unwrap().env, "PG_URL");
        assert_eq!(found[0].fixture, PathBuf::from("/w/crates/synckit-memory/tests/fixture/mod.rs"));
        let used: Vec<_> = found[0].dependencies.iter().map(|on| on.name.as_str()).collect();
        assert_eq!(used, ["driver", "tempfile", "synckit-testkit"], "not what only its build script uses");
    }

    #[test]
    fn a_declaration_that_makes_no_sense_is_named() {
        for (declared, wanted) in [
            (r#"{"synckit": {}}"#, "either"),
            (r#"{"synckit": {"store": "a", "transport": "b"}}"#, "either"),
            (r#"{"synckit": {"store": "a", "part": "stores"}}"#, "either"),
            (r#"{"synckit": {"stor": "a"}}"#, "unknown field"),
            (r#"{"synckit": {"store": "In Process"}}"#, "is no name"),
            (r#"{"synckit": {"transport": "in-process"}}"#, "is no name"),
            (r#"{"synckit": {"store": "a", "service": {"name": "a"}}}"#, "missing field `env`"),
        ] {
            let error = all(&workspace(&[("synckit-x", declared)])).unwrap_err();
            assert!(error.contains("synckit-x") && error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn two_adapters_of_one_name_are_named() {
        let store = r#"{"synckit": {"store": "a"}}"#;
        let error = all(&workspace(&[("one", store), ("two", store)])).unwrap_err();
        assert!(error.contains("one and two") && error.contains("`a`"), "{error}");
    }
}
