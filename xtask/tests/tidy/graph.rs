//! The crate graph: contracts below, adapters beside each other, the engine above.
//!
//! Dependencies of tests are free: an adapter runs the suites of `synckit-testkit`.

use crate::assert_none;
use crate::repository::{self, Package};

/// What a package is, by its `[package.metadata.synckit]`: a `part` of the house, or an adapter, which names its `store`
/// or its `transport`.
fn part(package: &Package) -> Option<&str> {
    let says = |key: &str| package.metadata.get("synckit")?.get(key)?.as_str();
    match (says("store"), says("transport")) {
        (Some(_), _) => Some("store"),
        (_, Some(_)) => Some("transport"),
        _ => says("part"),
    }
}

/// The parts that a part may import; `None` for a part that does not exist. A program may import any.
fn may(part: &str) -> Option<&'static [&'static str]> {
    Some(match part {
        "contracts" => &[],
        "planning" | "stores" | "messages" | "tcp" => &["contracts"],
        "transports" => &["contracts", "messages", "tcp"],
        "store" => &["contracts", "stores"],
        "transport" => &["contracts", "messages", "tcp", "transports"],
        "engine" => &["contracts", "planning"],
        "rules" => &["contracts", "planning", "engine"],
        // They are answered in the service of one transport.
        "old-clients" => &["contracts", "planning", "messages", "tcp", "transports", "transport"],
        // The simulator and the suite of transports need a store to stand on.
        "tests" => &["contracts", "planning", "engine", "messages", "tcp", "transports", "store"],
        "program" => &[
            "contracts",
            "planning",
            "engine",
            "rules",
            "stores",
            "messages",
            "tcp",
            "transports",
            "store",
            "transport",
            "old-clients",
            "tests",
        ],
        _ => return None,
    })
}

fn wrong_imports(packages: &[Package]) -> Vec<String> {
    let mut problems = Vec::new();
    for package in packages.iter().filter(|package| package.directory.starts_with("crates/")) {
        let name = &package.name;
        let Some(allowed) = part(package).and_then(may) else {
            problems.push(format!("{name} does not say which part it is, in `[package.metadata.synckit]`"));
            continue;
        };
        let imports = packages.iter().filter(|other| package.imports.contains(&other.name));
        for import in imports.filter(|import| !part(import).is_some_and(|part| allowed.contains(&part))) {
            problems.push(format!("{name} may not import {}, only {allowed:?}", import.name));
        }
    }
    problems
}

/// Runtimes, sockets, databases, and sources of randomness: the core is given time and randomness
/// by its callers.
const NOT_IN_CORE: [&str; 24] = [
    "async-executor",
    "async-io",
    "async-std",
    "fastrand",
    "getrandom",
    "hyper",
    "hyper-util",
    "libsqlite3-sys",
    "mio",
    "polling",
    "rand",
    "rand_core",
    "redb",
    "redis",
    "reqwest",
    "rusqlite",
    "rustls",
    "smol",
    "socket2",
    "sqlx",
    "sqlx-core",
    "tokio",
    "tonic",
    "tracing-subscriber",
];

/// Messages know nothing of databases.
const NOT_IN_WIRE: [&str; 6] = ["libsqlite3-sys", "redb", "redis", "rusqlite", "sqlx", "sqlx-core"];

/// An embedded store and gRPC, without what the other store and the other wire need.
const NOT_IN_REDB_OVER_GRPC: [&str; 6] =
    ["libsqlite3-sys", "rusqlite", "sqlx", "sqlx-core", "sqlx-sqlite", "synckit-http"];

fn pulled_in(package: &str, tree: &[String], forbidden: &[&str]) -> Vec<String> {
    let found = forbidden.iter().filter(|name| tree.iter().any(|pulled| pulled == *name));
    found.map(|name| format!("{package} pulls in {name}: see cargo tree -p {package} -i {name}")).collect()
}

#[test]
fn packages_import_only_what_lies_below_them() {
    assert_none(&wrong_imports(&repository::packages()));
}

#[test]
fn the_core_and_the_planning_have_no_runtime_and_no_io() {
    check_tree("synckit-core", &NOT_IN_CORE);
    check_tree("synckit-plan", &NOT_IN_CORE);
}

#[test]
fn the_core_pulls_in_little() {
    let tree: std::collections::BTreeSet<String> = repository::tree("synckit-core").into_iter().collect();
    assert!(tree.len() <= 26, "synckit-core pulls in {} crates, itself among them: {tree:?}", tree.len());
}

#[test]
fn the_messages_have_no_database() {
    check_tree("synckit-wire", &NOT_IN_WIRE);
}

#[test]
fn redb_over_grpc_needs_neither_sqlx_nor_http() {
    for package in ["synckit-core", "synckit-redb", "synckit-grpc"] {
        let tree = repository::tree(package);
        assert!(tree.iter().any(|pulled| pulled == package), "{package} is there");
        assert_none(&pulled_in(package, &tree, &NOT_IN_REDB_OVER_GRPC));
    }
}

fn check_tree(package: &str, forbidden: &[&str]) {
    if repository::packages().iter().any(|found| found.name == package) {
        assert_none(&pulled_in(package, &repository::tree(package), forbidden));
    }
}

fn package(name: &str, key: &str, value: &str, imports: &[&str]) -> Package {
    Package {
        name: name.to_owned(),
        directory: format!("crates/{name}"),
        metadata: serde_json::json!({ "synckit": { key: value } }),
        imports: imports.iter().map(|name| (*name).to_owned()).collect(),
        ..Package::default()
    }
}

#[test]
fn a_wrong_import_is_found() {
    let mut packages = vec![
        package("synckit-core", "part", "contracts", &["serde"]),
        package("synckit-wire", "part", "messages", &["synckit-core"]),
        package("synckit-net", "part", "tcp", &["synckit-core", "rustls", "tokio"]),
        package("synckit", "part", "engine", &["synckit-core", "tokio"]),
        package("synckit-memory", "store", "memory", &["synckit-core"]),
        package(
            "synckit-remote",
            "part",
            "transports",
            &["synckit-core", "synckit-wire", "synckit-net", "tokio"],
        ),
        package(
            "synckit-quic",
            "transport",
            "quic",
            &["synckit-core", "synckit-wire", "synckit-remote", "quinn"],
        ),
        package("synckit-go", "part", "old-clients", &["synckit-core", "synckit-http", "synckit-remote"]),
        package("synckit-cli", "part", "program", &["synckit", "synckit-memory", "synckit-quic"]),
    ];
    assert_none(&wrong_imports(&packages));
    packages.push(package("synckit-sqlite", "store", "sqlite", &["synckit-core", "synckit"]));
    packages.push(package("synckit-http", "transport", "http", &["synckit-wire", "synckit-memory"]));
    packages.push(package("synckit-grpc", "transport", "grpc", &["synckit-remote", "synckit-http"]));
    packages.push(package("synckit-new", "colour", "blue", &[]));
    packages[0].imports.push("synckit-wire".to_owned());
    packages[2].imports.push("synckit-wire".to_owned());
    let problems = wrong_imports(&packages);
    assert_eq!(problems.len(), 6, "{problems:?}");
    assert!(problems[0].starts_with("synckit-core may not import synckit-wire"));
    assert!(problems[1].starts_with("synckit-net may not import synckit-wire"));
    assert!(problems[2].starts_with("synckit-sqlite may not import synckit,"));
    assert!(problems[3].starts_with("synckit-http may not import synckit-memory"));
    assert!(problems[4].starts_with("synckit-grpc may not import synckit-http"));
    assert!(problems[5].starts_with("synckit-new does not say which part it is"));
}

#[test]
fn a_runtime_in_a_tree_is_found() {
    let tree = ["synckit-core", "serde", "tokio"].map(str::to_owned);
    assert_eq!(pulled_in("synckit-core", &tree, &NOT_IN_CORE).len(), 1);
    assert_none(&pulled_in("synckit-core", &tree[..2], &NOT_IN_CORE));
}
