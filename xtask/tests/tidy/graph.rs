//! The crate graph: contracts below, adapters beside each other, the engine above.
//!
//! Dependencies of tests are free: an adapter runs the suites of `synckit-testkit`.

use crate::assert_none;
use crate::repository::{self, Package};

/// What a package may import of the workspace.
enum May {
    ImportAny,
    Import(&'static [&'static str]),
}

/// The table of crates. A crate it does not name is taken for a new transport.
fn may(package: &Package) -> May {
    if package.directory.starts_with("examples/") {
        return May::ImportAny;
    }
    May::Import(match package.name.as_str() {
        "synckit-cli" | "synckit-bench" => return May::ImportAny,
        "synckit-core" | "xtask" => &[],
        "synckit-plan" | "synckit-store" | "synckit-wire" | "synckit-net" => &["synckit-core"],
        "synckit" => &["synckit-core", "synckit-plan"],
        "synckit-memory" | "synckit-sqlite" | "synckit-redb" | "synckit-postgres" | "synckit-redis" => {
            &["synckit-core", "synckit-store"]
        }
        // The simulator and the suite of transports need a store to stand on.
        "synckit-testkit" => &[
            "synckit-core",
            "synckit-plan",
            "synckit",
            "synckit-memory",
            "synckit-wire",
            "synckit-net",
            "synckit-remote",
        ],
        "synckit-rules" => &["synckit-core", "synckit-plan", "synckit"],
        "synckit-remote" => &["synckit-core", "synckit-wire", "synckit-net"],
        "synckit-go" => &["synckit-core", "synckit-plan", "synckit-net", "synckit-remote", "synckit-http"],
        _ => &["synckit-core", "synckit-wire", "synckit-net", "synckit-remote"],
    })
}

fn wrong_imports(packages: &[Package]) -> Vec<String> {
    let mut problems = Vec::new();
    for package in packages {
        let May::Import(allowed) = may(package) else {
            continue;
        };
        for import in &package.imports {
            let in_workspace = packages.iter().any(|other| other.name == *import);
            if in_workspace && !allowed.contains(&import.as_str()) {
                let name = &package.name;
                problems.push(format!("{name} may not import {import}, only {allowed:?}"));
            }
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

fn package(directory: &str, imports: &[&str]) -> Package {
    Package {
        name: directory.rsplit('/').next().unwrap_or_default().to_owned(),
        directory: directory.to_owned(),
        imports: imports.iter().map(|name| (*name).to_owned()).collect(),
        ..Package::default()
    }
}

#[test]
fn a_wrong_import_is_found() {
    let mut packages = vec![
        package("crates/synckit-core", &["serde"]),
        package("crates/synckit-wire", &["synckit-core"]),
        package("crates/synckit-net", &["synckit-core", "rustls", "tokio"]),
        package("crates/synckit", &["synckit-core", "tokio"]),
        package("crates/synckit-memory", &["synckit-core"]),
        package("crates/synckit-remote", &["synckit-core", "synckit-wire", "synckit-net", "tokio"]),
        package("crates/synckit-quic", &["synckit-core", "synckit-wire", "synckit-remote", "quinn"]),
        package("crates/synckit-go", &["synckit-core", "synckit-http", "synckit-remote"]),
        package("crates/synckit-cli", &["synckit", "synckit-memory", "synckit-quic"]),
        package("examples/notes", &["synckit", "synckit-memory"]),
    ];
    assert_none(&wrong_imports(&packages));
    packages.push(package("crates/synckit-sqlite", &["synckit-core", "synckit"]));
    packages.push(package("crates/synckit-http", &["synckit-wire", "synckit-memory"]));
    packages.push(package("crates/synckit-grpc", &["synckit-remote", "synckit-http"]));
    packages[0].imports.push("synckit-wire".to_owned());
    packages[2].imports.push("synckit-wire".to_owned());
    let problems = wrong_imports(&packages);
    assert_eq!(problems.len(), 5, "{problems:?}");
    assert!(problems[0].starts_with("synckit-core may not import synckit-wire"));
    assert!(problems[1].starts_with("synckit-net may not import synckit-wire"));
    assert!(problems[2].starts_with("synckit-sqlite may not import synckit,"));
    assert!(problems[3].starts_with("synckit-http may not import synckit-memory"));
    assert!(problems[4].starts_with("synckit-grpc may not import synckit-http"));
}

#[test]
fn a_runtime_in_a_tree_is_found() {
    let tree = ["synckit-core", "serde", "tokio"].map(str::to_owned);
    assert_eq!(pulled_in("synckit-core", &tree, &NOT_IN_CORE).len(), 1);
    assert_none(&pulled_in("synckit-core", &tree[..2], &NOT_IN_CORE));
}
