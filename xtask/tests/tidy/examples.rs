//! Examples: every public trait has one, and every constructor is used in one of its package.
//!
//! An example is a block of code in the documentation of an item or in the README of its package. The tests of the
//! documentation compile it. What a macro writes is left to its author.

use std::collections::BTreeMap;

use crate::assert_none;
use crate::repository::{self, File};

/// The names of constructors.
const CONSTRUCTORS: [&str; 5] = ["new", "builder", "open", "connect", "bind"];

const FENCE: &str = "```";

/// The code in the documentation of a file.
fn examples(file: &File) -> String {
    let mut inside = false;
    let mut code = String::new();
    for line in file.text.lines().map(str::trim) {
        let line = match file.is_rust() {
            false => Some(line),
            true => line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).map(str::trim),
        };
        match line {
            Some(line) if line.starts_with(FENCE) => inside = !inside,
            Some(line) if inside => code.extend([line, "\n"]),
            _ => {}
        }
    }
    code
}

/// The name of the type that this line implements something for.
fn implements(line: &str) -> Option<&str> {
    let mut rest = line.strip_prefix("impl")?;
    if rest.starts_with('<') {
        let mut depth = 0;
        let end = rest.find(|char| {
            depth += i32::from(char == '<') - i32::from(char == '>');
            depth == 0
        })?;
        rest = &rest[end + 1..];
    }
    let of = rest.split_once(" for ").map_or(rest, |(_, of)| of).trim_start();
    of.split(|char: char| !char.is_alphanumeric() && char != '_').next()
}

/// The constructor that is declared here, if one is: a function without `self`.
fn constructor(text: &str) -> Option<&'static str> {
    let declared = text.trim_start().strip_prefix("pub ")?;
    let declared = declared.strip_prefix("const ").unwrap_or(declared);
    let declared = declared.strip_prefix("async ").unwrap_or(declared).strip_prefix("fn ")?;
    let takes = &declared[..declared.find(')')?];
    let is_this = |name: &&str| takes.strip_prefix(*name).is_some_and(|rest| rest.starts_with(['(', '<']));
    CONSTRUCTORS.into_iter().find(is_this).filter(|_| !takes.contains("self"))
}

fn uses(examples: &str, of: &str, constructor: &str) -> bool {
    let called = format!("::{constructor}(");
    let mut places = examples.match_indices(&called).map(|(place, _)| &examples[..place]);
    places.any(|before| {
        let before = match before.ends_with('>') {
            true => before.rfind("::<").map_or(before, |start| &before[..start]),
            false => before,
        };
        before.strip_suffix(of).is_some_and(|rest| !rest.ends_with(|char: char| char.is_alphanumeric()))
    })
}

/// What lacks an example in these files of one package.
fn problems(files: &[&File]) -> Vec<String> {
    let code: String = files.iter().map(|file| examples(file)).collect();
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let (mut shown, mut of, mut start) = (false, None, 0);
        for (index, line) in file.text.lines().enumerate() {
            let text = &file.text[start..];
            start += line.len() + 1;
            if line == "#[cfg(test)]" {
                break;
            }
            let mut lacks = |what: String| problems.push(format!("{}:{}: {what}", file.path, index + 1));
            if line.starts_with("pub trait ") && !shown {
                lacks("a public trait without an example".to_owned());
            }
            if line.starts_with("impl") {
                of = implements(line);
            }
            if let (Some(of), Some(constructor)) = (of, constructor(text))
                && !uses(&code, of, constructor)
            {
                lacks(format!("no example of this package uses `{of}::{constructor}`"));
            }
            match line.trim() {
                line if line.starts_with("///") => shown |= line.contains(FENCE),
                line => shown &= line.starts_with("#["),
            }
            if line == "}" {
                of = None;
            }
        }
    }
    problems
}

#[test]
fn traits_and_constructors_have_examples() {
    let files = repository::files();
    let mut of_packages: BTreeMap<String, Vec<&File>> = BTreeMap::new();
    for package in repository::packages().into_iter().filter(|package| package.is_published) {
        if package.metadata["synckit"]["part"] == "tests" {
            continue;
        }
        let (source, readme) =
            (format!("{}/src/", package.directory), format!("{}/README.md", package.directory));
        let of = files.iter().filter(|file| file.path.starts_with(&source) || file.path == readme);
        of_packages.insert(package.name, of.collect());
    }
    let problems: Vec<_> = of_packages.values().flat_map(|files| problems(files)).collect();
    assert_none(&problems);
}

fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

#[test]
fn a_trait_without_an_example_is_found() {
    let bad = file("a.rs", "/// Reads.\n#[derive(Clone)]\npub trait Read {}\n");
    assert_eq!(problems(&[&bad]), ["a.rs:3: a public trait without an example"]);
    let other = file("a.rs", "/// ```\n/// ```\nstruct A;\n\n/// Reads.\npub trait Read {}\n");
    assert_eq!(problems(&[&other]).len(), 1);
    let good = file("a.rs", "/// Reads.\n///\n/// ```\n/// use a::Read;\n/// ```\n#[a]\npub trait Read {}\n");
    assert_none(&problems(&[&good]));
}

#[test]
fn a_constructor_that_no_example_uses_is_found() {
    let declared =
        "impl<T: Into<A>> Log<T> {\n    pub async fn open(\n        a: A,\n    ) -> Self {\n    }\n}\n";
    let bad = file("a.rs", declared);
    assert_eq!(problems(&[&bad]), ["a.rs:2: no example of this package uses `Log::open`"]);
    for code in ["Log::open(a)", "Log::<u8>::open(a)", "b::Log::open(a)"] {
        let readme = file("README.md", &format!("```rust\n{code};\n```\n"));
        assert_none(&problems(&[&bad, &readme]));
        let documented = file("b.rs", &format!("/// ```\n/// {code};\n/// ```\nfn b() {{}}\n"));
        assert_none(&problems(&[&bad, &documented]));
    }
    for code in ["```rust\nCatalog::open(a);\nOther::open(a);\n```\n", "Log::open(a)\n"] {
        assert_eq!(problems(&[&bad, &file("README.md", code)]).len(), 1, "{code}");
    }
}

#[test]
fn methods_and_macros_are_not_constructors() {
    let texts = [
        "impl Log {\n    pub fn open(&self) {}\n}\n",
        "impl Log {\n    fn open() {}\n}\n",
        "impl Log {\n    pub fn opening() {}\n}\n",
        "macro_rules! log {\n    () => {\n        impl Log {\n            pub fn new() {}\n        }\n    }\n}\n",
    ];
    for text in texts {
        assert_none(&problems(&[&file("a.rs", text)]));
    }
}
