//! Plain English: phrases that no comment, document or message uses.
//!
//! The phrases are written in two parts, so that this file does not hold them. Text between backticks is free, so a
//! document can name a phrase.

use std::collections::BTreeSet;

use crate::assert_none;
use crate::repository::{self, File};

/// A phrase in lower case, and what to write instead.
const PHRASES: [(&str, &str); 7] = [
    (concat!("so ", "many"), "a number, or `at most limit`"),
    (concat!("begins ", "so"), "`has this prefix`"),
    (concat!("begin ", "so"), "`have this prefix`"),
    (concat!("the ", "own"), "`local`, or `its own`"),
    (concat!("told ", "of"), "`notified`, `knows`, or say who reports what"),
    (concat!("an", "ew"), "`again`"),
    (concat!("that is ", "none"), "`that is not one`"),
];

/// The verb that documentation uses in place of returning.
const RETURNING: &str = concat!("ans", "wers");

/// What a reader sees of the text as one line: without comment marks, line ends and code spans.
#[derive(Debug, Default)]
struct Running {
    text: String,
    /// Where each line begins in `text`, whether it is documentation of Rust, and its number.
    lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    start: usize,
    number: usize,
    documents: bool,
}

impl Running {
    fn of(file: &File) -> Running {
        let mut running = Running::default();
        for (index, line) in file.text.lines().enumerate() {
            let line = line.trim();
            let documents = file.is_rust() && (line.starts_with("///") || line.starts_with("//!"));
            running.lines.push(Line { start: running.text.len(), number: index + 1, documents });
            let line = if file.is_rust() { line.trim_start_matches(['/', '!']) } else { line };
            let spoken = without_code_spans(line.trim_end_matches('\\')).to_lowercase();
            for word in spoken.split_whitespace() {
                running.text.push_str(word);
                running.text.push(' ');
            }
        }
        running
    }

    fn line_at(&self, place: usize) -> Line {
        let before = self.lines.partition_point(|line| line.start <= place);
        self.lines[before - 1]
    }

    /// Where the phrase is, as whole words.
    fn find<'a>(&'a self, phrase: &'a str) -> impl Iterator<Item = usize> + 'a {
        let is_word = |char: Option<char>| char.is_some_and(|char| char.is_alphanumeric() || char == '_');
        self.text.match_indices(phrase).map(|(place, _)| place).filter(move |place| {
            let (before, after) = (&self.text[..*place], &self.text[place + phrase.len()..]);
            !is_word(before.chars().next_back()) && !is_word(after.chars().next())
        })
    }
}

/// The line without what is between two backticks.
fn without_code_spans(line: &str) -> String {
    let parts: Vec<_> = line.split('`').collect();
    let closed = parts.len() - (parts.len() + 1) % 2;
    let spoken = parts.iter().enumerate().filter(|(index, _)| index % 2 == 0 || *index >= closed);
    spoken.map(|(_, part)| *part).collect::<Vec<_>>().join("`")
}

fn phrase_problems(file: &File) -> Vec<String> {
    let running = Running::of(file);
    let mut found = BTreeSet::new();
    for (phrase, instead) in PHRASES {
        for place in running.find(phrase) {
            found.insert((running.line_at(place).number, format!("`{phrase}`: write {instead}")));
        }
    }
    for place in running.find(RETURNING) {
        let line = running.line_at(place);
        let before = running.text[..place].trim_end();
        let opens = line.start == place && !before.ends_with(|char: char| char.is_alphanumeric());
        if line.documents && (opens || before.ends_with([';', '.'])) {
            let problem = format!("`{RETURNING}` for what a function returns: write `returns`");
            found.insert((line.number, problem));
        }
    }
    let problem = |(line, what): (usize, String)| format!("{}:{line}: {what}", file.path);
    found.into_iter().map(problem).collect()
}

fn is_prose(file: &File) -> bool {
    file.is_rust() || file.path.ends_with(".md")
}

#[test]
fn text_is_plain_english() {
    let files = repository::files();
    let problems: Vec<String> =
        files.iter().filter(|file| is_prose(file)).flat_map(phrase_problems).collect();
    assert_none(&problems);
}

fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

#[test]
fn a_phrase_is_found_in_comments_strings_and_documents() {
    for (phrase, _) in PHRASES {
        let (first, rest) = phrase.split_once(' ').unwrap_or((phrase, ""));
        let texts = [
            format!("/// At most, {phrase}.\n"),
            format!("// It is {first}\n    // {rest} and more.\n"),
            format!("let text = \"{phrase}\";\n"),
            format!("let text = \"{first} \\\n    {rest}\";\n"),
        ];
        for text in texts {
            let problems = phrase_problems(&file("a.rs", &text));
            assert_eq!(problems.len(), 1, "{text}{problems:?}");
            assert!(problems[0].starts_with("a.rs:1: "), "{problems:?}");
        }
        assert_eq!(phrase_problems(&file("a.md", &format!("Text, {phrase}\n"))).len(), 1, "{phrase}");
        let free = [format!("Not `{phrase}`.\n"), format!("x{phrase}\n"), format!("{phrase}x\n")];
        for text in free {
            assert_none(&phrase_problems(&file("a.md", &text)));
        }
    }
}

#[test]
fn the_verb_for_returning_is_found_in_documentation_alone() {
    let capital = concat!("Ans", "wers");
    let bad = [
        format!("/// {capital} the page.\n"),
        format!("//! {capital} the page.\n"),
        format!("/// Reads the log; {RETURNING} the page.\n"),
        format!("/// Reads the log;\n/// {RETURNING} the page.\n"),
        format!("/// Reads the log. {capital} the page.\n"),
    ];
    for text in bad {
        assert_eq!(phrase_problems(&file("a.rs", &text)).len(), 1, "{text}");
    }
    let good = [
        format!("// {capital} come later.\n"),
        format!("/// Reads the\n/// {RETURNING} of the hub.\n"),
        format!("/// The hub {RETURNING} late.\n"),
        format!("let {RETURNING} = 1;\n"),
    ];
    for text in good {
        assert_none(&phrase_problems(&file("a.rs", &text)));
    }
    assert_none(&phrase_problems(&file("a.md", &format!("{capital} come later.\n"))));
}

#[test]
fn a_backtick_without_its_pair_hides_nothing() {
    assert_eq!(without_code_spans("a `b` c"), "a ` c");
    assert_eq!(without_code_spans("a `b` c `d"), "a ` c `d");
    assert_eq!(without_code_spans("a ` b"), "a ` b");
    assert_eq!(without_code_spans("plain"), "plain");
}
