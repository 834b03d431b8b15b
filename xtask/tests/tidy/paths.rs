//! Paths and links that documents name lead somewhere.
//!
//! A path in backticks counts from the root when it begins with a directory of the top level. A link counts from the
//! document that has it; its anchor is a heading of the page it leads to. Code blocks are free.

use std::collections::BTreeSet;

use crate::assert_none;
use crate::repository::{self, File};

/// Where a path in backticks begins, to be taken for one.
const ROOTS: [&str; 6] = ["crates/", "docs/", "examples/", "xtask/", ".ci/", ".github/"];

/// The lines outside of code blocks, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut within = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        within ^= fence;
        (!within && !fence).then_some((index + 1, line))
    })
}

/// What stands between backticks.
fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The targets of inline links: `[text](target)`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// The path that a code span names from the root, when it names one as a whole.
fn path_in(span: &str) -> Option<&str> {
    let path = span.split([' ', ':']).next().unwrap_or_default();
    let whole = !path.contains(['*', '<', '{', '…', '(']);
    (whole && ROOTS.iter().any(|root| path.starts_with(root))).then(|| path.trim_end_matches('/'))
}

/// Puts a relative link and the directory of its document together; `None` when it leads out of the repository.
fn resolve(document: &str, link: &str) -> Option<String> {
    let mut parts: Vec<_> = document.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The anchors of a page, as code hosts make them from its headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page).filter_map(|(_, line)| line.strip_prefix('#'));
    let anchor = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|char| char.is_alphanumeric() || "-_ ".contains(*char));
        kept.map(|char| if char == ' ' { '-' } else { char }).collect()
    };
    headings.map(anchor).collect()
}

/// `files` are all that may be named; a directory is named by what it holds.
fn path_problems(document: &File, files: &BTreeSet<String>, page: impl Fn(&str) -> String) -> Vec<String> {
    let exists = |path: &str| {
        let below = format!("{path}/");
        path.is_empty()
            || files.contains(path)
            || files.range(below.clone()..).next().is_some_and(|f| f.starts_with(&below))
    };
    let mut problems = Vec::new();
    for (number, line) in prose(&document.text) {
        let mut report = |what: String| problems.push(format!("{}:{number}: {what}", document.path));
        if line.matches('`').count() % 2 == 1 {
            report("a code span goes on in the next line, where no check finds it".to_owned());
        }
        for path in code_spans(line).filter_map(path_in).filter(|path| !exists(path)) {
            report(format!("`{path}` does not exist"));
        }
        for link in links(line).filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = match target {
                "" => Some(document.path.clone()),
                target => resolve(&document.path, target),
            };
            let Some(path) = path.filter(|path| exists(path)) else {
                report(format!("the link to {link} leads nowhere"));
                continue;
            };
            let is_page = path.ends_with(".md");
            if is_page && !anchor.is_empty() && !anchors(&page(&path)).contains(anchor) {
                report(format!("{path} has no heading for #{anchor}"));
            }
        }
    }
    problems
}

#[test]
fn documents_name_paths_that_exist() {
    let files: BTreeSet<_> = repository::paths().into_iter().collect();
    let documents = repository::files().into_iter().filter(|file| file.path.ends_with(".md"));
    let page = |path: &str| std::fs::read_to_string(repository::root().join(path)).unwrap();
    let problems: Vec<_> = documents.flat_map(|document| path_problems(&document, &files, page)).collect();
    assert_none(&problems);
}

#[test]
fn a_path_that_leads_nowhere_is_found() {
    let names = ["README.md", "crates/a/src/lib.rs", "docs/b.md", "docs/c.md"];
    let files: BTreeSet<_> = names.map(str::to_owned).into_iter().collect();
    let page = |path: &str| if path == "docs/b.md" { "# One: `two`\n".to_owned() } else { String::new() };
    let problems = |text: &str| {
        path_problems(&File { path: "docs/c.md".to_owned(), text: text.to_owned() }, &files, page)
    };
    let good = [
        "`crates/a`, `crates/a/`, `crates/a/src/lib.rs:7` and `crates/*/src` and `crates/<name>`",
        "[b](b.md), [b](./b.md#one-two), [lib](../crates/a/src/lib.rs), [root](..), [web](https://x.y/z)",
        "```text\n`crates/gone` [gone](gone.md)\n```",
        "`target/crates/gone` `store.rs`",
    ];
    for text in good {
        assert_none(&problems(text));
    }
    let bad = [
        "`crates/b`",
        "`docs/b.md.old`",
        "`crates/a/src/li`",
        "[b](docs/b.md)",
        "[up](../../b.md)",
        "[b](b.md#two)",
        "[here](#none)",
        "see [b](b.md) and [d](d.md)",
        "run `xtask/gone --flag`",
        "the text `of two",
    ];
    for text in bad {
        assert_eq!(problems(text).len(), 1, "{text}: {:?}", problems(text));
    }
}
