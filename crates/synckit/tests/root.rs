//! What an application needs is at the root, and little else: a newcomer reads the root first.

/// The names and modules that the root exports.
fn exported(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    for item in source.split(';').flat_map(|part| part.split("\n\n")) {
        let item = item.trim_start_matches(|c: char| c.is_whitespace());
        let item: String = item.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let item = item.trim();
        if let Some(module) = item.strip_prefix("pub mod ") {
            names.extend(module.split_whitespace().next().map(str::to_owned));
        } else if let Some(path) = item.strip_prefix("pub use ") {
            let list = path.split_once('{').map_or_else(
                || path.rsplit("::").next().unwrap_or_default().to_owned(),
                |(_, list)| list.trim_end_matches('}').to_owned(),
            );
            names.extend(list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned));
        }
    }
    names
}

#[test]
fn the_root_has_at_most_sixty_names() {
    let names = exported(include_str!("../src/lib.rs").split("/// Conflicts:").next().expect("a root"));
    assert!(names.contains(&"Replica".to_owned()) && names.contains(&"SyncManager".to_owned()), "{names:?}");
    // The four modules come on top of what stands before them.
    assert!(names.len() + 4 <= 60, "{} names: {names:?}", names.len() + 4);
}
