//! What stands at the top level, and what no file may contain.

use std::collections::BTreeSet;

use crate::assert_none;
use crate::repository::{self, File};

/// What a newcomer sees first, and nothing else. Names that start with a dot are free.
const TOP_LEVEL: [&str; 10] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "crates",
    "deny.toml",
    "docs",
    "examples",
    "xtask",
];

/// What code hosts show to contributors and reporters, and the directories in which they look for it. They also look at
/// the top level, which is for newcomers.
const COMMUNITY_FILES: [&str; 2] = ["CONTRIBUTING.md", "SECURITY.md"];
const COMMUNITY_DIRECTORIES: [&str; 2] = [".github", "docs"];

/// Marks of unfinished work, written in two parts so that this file does not hold them.
const MARKS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

fn strangers_at_the_top(paths: &[String]) -> Vec<String> {
    let names: BTreeSet<_> = paths.iter().filter_map(|path| path.split('/').next()).collect();
    let strange = |name: &&&str| !name.starts_with('.') && !TOP_LEVEL.contains(name);
    names.iter().filter(strange).map(|name| format!("{name} does not belong at the top level")).collect()
}

/// Hosts show the first that they find, so there is one of each.
fn community_problems(paths: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    for name in COMMUNITY_FILES {
        let places = COMMUNITY_DIRECTORIES.map(|directory| format!("{directory}/{name}"));
        match paths.iter().filter(|path| places.contains(path)).count() {
            1 => {}
            0 => problems.push(format!("there is no {name}: it belongs at {}", places.join(" or "))),
            _ => problems.push(format!("there is more than one {name}: {}", places.join(" and "))),
        }
    }
    problems
}

fn text_problems(file: &File) -> Vec<String> {
    let mut problems = Vec::new();
    let mut report = |line: usize, what: &str| problems.push(format!("{}:{line}: {what}", file.path));
    let lines: Vec<_> = file.text.split('\n').collect();
    for (index, line) in lines.iter().enumerate() {
        if line.ends_with(char::is_whitespace) {
            report(index + 1, "white space at the end of the line");
        }
        if file.is_rust() && line.contains('\t') {
            report(index + 1, "a tab");
        }
        let mut words = line.split(|char: char| !char.is_alphanumeric() && char != '_');
        if file.is_rust() && words.any(|word| MARKS.contains(&word)) {
            report(index + 1, "a mark of unfinished work");
        }
    }
    match lines.as_slice() {
        [] | [""] => {}
        [.., "", ""] => report(lines.len() - 1, "empty lines at the end"),
        [.., ""] => {}
        _ => report(lines.len(), "no newline at the end of the file"),
    }
    problems
}

/// Rustdoc leaves out lines of Rust that begin with `# `, but a code host shows them to whoever reads the document.
fn hidden_lines(document: &File) -> Vec<String> {
    let (mut problems, mut is_rust) = (Vec::new(), false);
    for (index, line) in document.text.lines().enumerate() {
        if let Some(language) = line.strip_prefix("```") {
            is_rust = language.starts_with("rust");
        } else if is_rust && (line.trim_start().starts_with("# ") || line.trim() == "#") {
            problems.push(format!("{}:{}: a line that only rustdoc hides", document.path, index + 1));
        }
    }
    problems
}

/// A module says what it is for before anything else; a crate may say it with its README.
fn lacks_module_docs(file: &File) -> bool {
    let first = file.text.lines().next().unwrap_or_default();
    !first.starts_with("//! ") && !first.starts_with("#![doc = include_str!(")
}

/// Whether the path is a module of a package: `crates/*/src/**.rs` and its like.
fn is_module(path: &str) -> bool {
    let parts: Vec<_> = path.split('/').collect();
    path.ends_with(".rs")
        && matches!(parts.as_slice(), ["crates" | "examples", _, "src", ..] | ["xtask", "src", ..])
}

#[test]
fn the_top_level_holds_only_what_belongs_there() {
    assert_none(&strangers_at_the_top(&repository::paths()));
}

#[test]
fn contributors_and_reporters_find_their_page() {
    assert_none(&community_problems(&repository::paths()));
}

#[test]
fn text_is_clean() {
    let problems: Vec<_> = repository::files().iter().flat_map(text_problems).collect();
    assert_none(&problems);
}

#[test]
fn documents_hide_no_lines_of_code() {
    let files = repository::files();
    let documents = files.iter().filter(|file| file.path.ends_with(".md"));
    assert_none(&documents.flat_map(hidden_lines).collect::<Vec<_>>());
}

#[test]
fn modules_say_what_they_are_for() {
    let files = repository::files();
    let without = files.iter().filter(|file| is_module(&file.path) && lacks_module_docs(file));
    let problems: Vec<_> =
        without.map(|file| format!("{}: the first line is not `//! ...`", file.path)).collect();
    assert_none(&problems);
}

fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

#[test]
fn a_stranger_at_the_top_is_found() {
    let mut paths = [".ci/run", "Cargo.toml", "crates/synckit/src/lib.rs"].map(str::to_owned).to_vec();
    assert_none(&strangers_at_the_top(&paths));
    paths.push("justfile".to_owned());
    paths.push("notes/plan.md".to_owned());
    assert_eq!(strangers_at_the_top(&paths).len(), 2);
}

#[test]
fn a_page_for_contributors_at_the_wrong_place_is_found() {
    let paths = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_none(&community_problems(&paths(&[".github/CONTRIBUTING.md", "docs/SECURITY.md"])));
    let twice = paths(&[".github/CONTRIBUTING.md", "docs/CONTRIBUTING.md", ".github/SECURITY.md"]);
    assert_eq!(community_problems(&twice).len(), 1);
    let at_the_top = paths(&["CONTRIBUTING.md", ".github/SECURITY.md"]);
    assert_eq!(community_problems(&at_the_top).len(), 1);
    assert_eq!(strangers_at_the_top(&at_the_top).len(), 1);
}

#[test]
fn unclean_text_is_found() {
    let mark = MARKS[0];
    let bad = ["a \nb\n", "a\r\n", "a", "\ta\n", "a\n\n", &format!("// {mark}: later\n")];
    for text in bad {
        assert_eq!(text_problems(&file("a.rs", text)).len(), 1, "{text:?}");
    }
    for text in ["", "a\nb\n", "a\n\nb\n", &format!("let {mark}_LIST = 1;\n")] {
        assert_none(&text_problems(&file("a.rs", text)));
    }
    assert_none(&text_problems(&file("a.md", "\ta\n")));
}

#[test]
fn a_hidden_line_is_found() {
    let page =
        "# A title\n\n```rust,no_run\n# fn main() {\n#[test]\n# }\n```\n# Another\n```sh\n# a comment\n```\n";
    assert_eq!(hidden_lines(&file("a.md", page)).len(), 2);
}

#[test]
fn a_module_without_docs_is_found() {
    assert!(lacks_module_docs(&file("a.rs", "use std::fmt;\n")));
    assert!(lacks_module_docs(&file("a.rs", "\n//! Late.\n")));
    assert!(!lacks_module_docs(&file("a.rs", "//! What it is for.\n")));
    assert!(!lacks_module_docs(&file("a.rs", "#![doc = include_str!(\"../README.md\")]\n")));
    assert!(is_module("crates/synckit-core/src/event/id.rs"));
    assert!(is_module("xtask/src/main.rs"));
    assert!(!is_module("crates/synckit-core/tests/events.rs"));
}
