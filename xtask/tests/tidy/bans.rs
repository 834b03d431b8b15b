//! No banned crate enters the lock file, also where cargo-deny is not installed.

use std::fs;

use crate::assert_none;
use crate::repository;

/// The names that `deny.toml` bans, one a line: `{ crate = "name" },`.
fn banned(deny: &str) -> Vec<&str> {
    let lines = deny.lines().filter_map(|line| line.trim().strip_prefix("{ crate = \""));
    lines.filter_map(|rest| rest.split('"').next()).collect()
}

fn locked_though_banned(lock: &str, banned: &[&str]) -> Vec<String> {
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let found = names.filter(|name| banned.contains(name));
    found.map(|name| format!("Cargo.lock holds {name}, which deny.toml bans")).collect()
}

#[test]
fn nothing_banned_is_locked() {
    let read = |name: &str| fs::read_to_string(repository::root().join(name)).unwrap();
    let deny = read("deny.toml");
    let banned = banned(&deny);
    assert!(banned.contains(&"openssl-sys"), "the bans in deny.toml are not found: {banned:?}");
    assert_none(&locked_though_banned(&read("Cargo.lock"), &banned));
}

#[test]
fn a_banned_name_in_a_lock_file_is_found() {
    let banned = banned("deny = [\n    { crate = \"paste\" },\n]\n");
    assert_eq!(banned, ["paste"]);
    assert_none(&locked_though_banned("name = \"pastel\"\n", &banned));
    assert_eq!(locked_though_banned("name = \"paste\"\nversion = \"1.0.0\"\n", &banned).len(), 1);
}
