//! How large the files and the core may be.

use crate::repository::{self, File};

/// The core is contracts, events and clocks. What does not fit leaves for a crate of its own; the number stays.
const CORE_LINES: usize = 2_200;

/// Lines of code: without blank lines, comments, and the tests at the end of a file.
fn code_lines(text: &str) -> usize {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let opens_tests = |(index, line): (usize, &&str)| {
        let mut below = lines[index..].iter().skip_while(|line| line.starts_with("#["));
        *line == "#[cfg(test)]"
            && below.next().is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
    };
    let end = lines.iter().enumerate().position(opens_tests).unwrap_or(lines.len());
    lines[..end].iter().filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

/// Whether the path belongs to the core's own code, not to its tests.
fn is_core(path: &str) -> bool {
    path.starts_with("crates/synckit-core/src/")
        && path.ends_with(".rs")
        && !path.ends_with("tests.rs")
        && !path.contains("/tests/")
}

fn median(mut numbers: Vec<usize>) -> usize {
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or(0)
}

#[test]
fn the_core_stays_small() {
    let files = repository::files();
    let core = files.iter().filter(|file| is_core(&file.path));
    let lines: usize = core.map(|file| code_lines(&file.text)).sum();
    println!("synckit-core: {lines} lines of code, at most {CORE_LINES}");
    assert!(lines <= CORE_LINES, "synckit-core has {lines} lines of code, more than {CORE_LINES}");
}

/// A measure, not a rule: it asks a question and leaves the answer to the reader.
#[test]
fn files_are_measured() {
    let files = repository::files();
    let sizes = files.iter().filter(|file| file.is_rust()).map(|file| file.text.lines().count());
    println!("the median file has {} lines; below 150 is good", median(sizes.collect()));
    let large = |file: &&File| file.is_rust() && file.text.lines().count() > 400;
    for file in files.iter().filter(large) {
        println!("{} has {} lines: why?", file.path, file.text.lines().count());
    }
}

#[test]
fn code_is_counted_without_comments_and_tests() {
    let text = "//! Docs.\n\nuse a::b;\n\n/// Docs.\nfn f() { // here\n}\n\n\
        #[cfg(test)]\nfn helper() {}\n\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n    use a;\n}\n";
    assert_eq!(code_lines(text), 5);
    assert_eq!(code_lines("#[cfg(test)]\nmod tests;\nfn f() {}\n"), 3);
}

#[test]
fn tests_of_the_core_are_not_its_code() {
    assert!(is_core("crates/synckit-core/src/clock/vector.rs"));
    assert!(!is_core("crates/synckit-core/src/clock/tests.rs"));
    assert!(!is_core("crates/synckit-core/tests/clocks.rs"));
    assert!(!is_core("crates/synckit/src/lib.rs"));
}

#[test]
fn the_median_is_the_middle() {
    assert_eq!(median(vec![9, 1, 5]), 5);
    assert_eq!(median(Vec::new()), 0);
}
