//! From the tree to rules. Reading continues after a mistake, so that all of them are reported at once.
//!
//! - this file: [`RuleReader`], files and rules
//! - `condition.rs`: conditions
//! - `resolver.rs`: resolvers

mod condition;
mod resolver;

use std::collections::BTreeMap;
use std::path::Path;

use synckit::{
    ConflictResolver, FieldMerge, FirstWriteWins, KeepAll, LastWriteWins, ManualReview, Rules,
    conflict::{Condition, Rule, SharedResolver},
};
use synckit_core::{Error, ErrorKind};

use crate::mistake::{Mistake, Mistakes, Place};
use crate::tree::{At, Key, Node, Value};
use crate::{json, toml, yaml};

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// TOML 1.0.
    Toml,
    /// YAML 1.2, one document without aliases.
    Yaml,
    /// JSON.
    Json,
}

impl Format {
    /// Returns the format for the extension of a file: `.toml`, `.yaml` or `.yml`, `.json`.
    ///
    /// # Errors
    /// `Invalid` for any other extension.
    pub fn of(path: &Path) -> Result<Self, Error> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("toml") => Ok(Format::Toml),
            Some("yaml" | "yml") => Ok(Format::Yaml),
            Some("json") => Ok(Format::Json),
            _ => Err(Error::invalid("the name of a file of rules ends with .toml, .yaml, .yml or .json")
                .with("file", path.display())),
        }
    }
}

/// A reader of rules that knows the resolvers they may name.
#[derive(Clone, Debug)]
pub struct RuleReader {
    resolvers: BTreeMap<String, SharedResolver>,
}

impl Default for RuleReader {
    fn default() -> Self {
        RuleReader::new()
    }
}

impl RuleReader {
    /// The maximum size of a file, in bytes.
    pub const MAX_BYTES: u64 = 1 << 20;

    /// Creates a reader that knows the built-in resolvers.
    pub fn new() -> Self {
        RuleReader { resolvers: BTreeMap::new() }
            .with_resolver(LastWriteWins)
            .with_resolver(FirstWriteWins)
            .with_resolver(KeepAll)
            .with_resolver(FieldMerge::new())
            .with_resolver(ManualReview)
    }

    /// Adds a resolver that rules may name, under its own name. It replaces another of that name.
    pub fn with_resolver(mut self, resolver: impl ConflictResolver + 'static) -> Self {
        self.resolvers.insert(resolver.name().to_owned(), SharedResolver::new(resolver));
        self
    }

    /// Reads rules from text.
    ///
    /// # Errors
    /// All mistakes, with their places. If the syntax is wrong, only syntax mistakes.
    pub fn read(&self, text: &str, format: Format) -> Result<Rules, Mistakes> {
        if text.len() as u64 > Self::MAX_BYTES {
            let message = format!("the file has {} bytes; at most {} are read", text.len(), Self::MAX_BYTES);
            return Err(Mistakes::new(vec![Mistake { place: Place { line: 1, column: 1 }, message }]));
        }
        let root = match format {
            Format::Toml => toml::parse(text),
            Format::Yaml => yaml::parse(text),
            Format::Json => json::parse(text),
        };
        let mut reading = Reading { text, resolvers: &self.resolvers, mistakes: Vec::new(), placeholders: 0 };
        let rules = reading.file(&root.map_err(Mistakes::new)?);
        match rules {
            Some(rules) if reading.mistakes.is_empty() => Ok(rules),
            _ => Err(Mistakes::new(reading.mistakes)),
        }
    }

    /// Reads rules from a file, in the format given by its extension. Blocks while it reads the file: call it off the
    /// runtime where that matters.
    ///
    /// # Errors
    /// `Invalid` with all mistakes, `NotFound` when there is no such file, `TooLarge` above 1 MiB.
    pub fn read_file(&self, path: impl AsRef<Path>) -> Result<Rules, Error> {
        let path = path.as_ref();
        let format = Format::of(path)?;
        let failed = |error: std::io::Error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::NotFound,
                _ => ErrorKind::Invalid,
            };
            Error::new(kind, "the file of rules cannot be read")
                .with("file", path.display())
                .with_source(error)
        };
        if std::fs::metadata(path).map_err(failed)?.len() > Self::MAX_BYTES {
            return Err(Error::too_large("a file of rules has at most 1 MiB").with("file", path.display()));
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        self.read(&text, format).map_err(|mistakes| Error::from(mistakes).with("file", path.display()))
    }
}

/// The maximum number of mistakes that are reported.
const MAX_MISTAKES: usize = 1_000;

/// A reading in progress.
struct Reading<'a> {
    text: &'a str,
    resolvers: &'a BTreeMap<String, SharedResolver>,
    mistakes: Vec<Mistake>,
    placeholders: usize,
}

/// Where the rules of a list are, so that mistakes found later can be placed.
struct Places(Vec<(At, Places)>);

impl Reading<'_> {
    fn wrong(&mut self, at: At, message: impl Into<String>) {
        if self.mistakes.len() < MAX_MISTAKES {
            self.mistakes.push(Mistake { place: at.place(self.text), message: message.into() });
        }
    }

    /// Returns a name that no file can contain, for one that could not be read.
    fn placeholder(&mut self) -> String {
        self.placeholders += 1;
        format!("\0{}", self.placeholders)
    }

    fn file(&mut self, root: &Node) -> Option<Rules> {
        let entries = self.table(root, "a file of rules", &["fallback", "rules"])?;
        let fallback = match find(&entries, "fallback") {
            Some((_, node)) => self.resolver(node),
            None => {
                self.wrong(At::START, "`fallback` is missing: the resolver for what no rule matches");
                SharedResolver::new(LastWriteWins)
            }
        };
        let (rules, places) = match find(&entries, "rules") {
            Some((_, node)) => self.rules(node),
            None => (Vec::new(), Places(Vec::new())),
        };
        let rules = rules.into_iter().fold(Rules::new(fallback), Rules::with_rule);
        for mistake in rules.mistakes() {
            let mut place = root.at;
            let mut within = &places;
            for index in &mistake.at {
                let Some((at, inner)) = within.0.get(*index) else { break };
                (place, within) = (*at, inner);
            }
            self.wrong(place, format!("rule `{}`: {}", mistake.rule, mistake.message));
        }
        Some(rules)
    }

    fn rules(&mut self, node: &Node) -> (Vec<Rule>, Places) {
        let Value::List(items) = &node.value else {
            self.wrong(node.at, format!("`rules` is a list of rules, not {}", node.value.kind()));
            return (Vec::new(), Places(Vec::new()));
        };
        let (mut rules, mut places) = (Vec::new(), Vec::new());
        for item in items {
            let (rule, at, within) = self.rule(item);
            rules.push(rule);
            places.push((at, within));
        }
        (rules, Places(places))
    }

    fn rule(&mut self, node: &Node) -> (Rule, At, Places) {
        let nothing = Places(Vec::new());
        let Some(entries) = self.table(node, "a rule", &["name", "when", "resolve", "rules"]) else {
            let placeholder = Rule::new(self.placeholder(), self.unknown_condition(), LastWriteWins);
            return (placeholder, node.at, nothing);
        };
        let (name, at) = match find(&entries, "name") {
            Some((_, node)) => match self.text(node, "a name") {
                Some(name) if !name.is_empty() => (name, node.at),
                Some(_) => {
                    self.wrong(node.at, "a rule needs a name, and this one is empty");
                    (self.placeholder(), node.at)
                }
                None => (self.placeholder(), node.at),
            },
            None => {
                self.wrong(node.at, "`name` is missing: decisions name the rule they were taken by");
                (self.placeholder(), node.at)
            }
        };
        let when = match find(&entries, "when") {
            Some((_, node)) => self.condition(node),
            None => Condition::Always,
        };
        match (find(&entries, "resolve"), find(&entries, "rules")) {
            (Some((_, resolver)), None) => (Rule::new(name, when, self.resolver(resolver)), at, nothing),
            (None, Some((_, rules))) => {
                let (rules, places) = self.rules(rules);
                (Rule::group(name, when, rules), at, places)
            }
            (Some(_), Some((key, _))) => {
                self.wrong(key.at, "a rule has `resolve` or, as a group, `rules`; not both");
                (Rule::new(name, when, LastWriteWins), at, nothing)
            }
            (None, None) => {
                self.wrong(node.at, "`resolve` is missing, or `rules` for a group");
                (Rule::new(name, when, LastWriteWins), at, nothing)
            }
        }
    }

    /// Returns the entries of a table that may have these keys, each at most once.
    fn table<'n>(&mut self, node: &'n Node, what: &str, known: &[&str]) -> Option<Vec<(&'n Key, &'n Node)>> {
        let Value::Table(entries) = &node.value else {
            self.wrong(node.at, format!("{what} is a table, not {}", node.value.kind()));
            return None;
        };
        let mut read: Vec<(&Key, &Node)> = Vec::new();
        for (key, value) in entries {
            if read.iter().any(|(other, _)| other.name == key.name) {
                self.wrong(key.at, format!("`{}` stands here twice", key.name));
            } else if known.is_empty() || known.contains(&key.name.as_str()) {
                read.push((key, value));
            } else {
                let message = format!("{what} has no `{}`; it may have {}", key.name, known.join(", "));
                self.wrong(key.at, message);
            }
        }
        Some(read)
    }

    fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            other => {
                self.wrong(node.at, format!("{what} is text, not {}", other.kind()));
                None
            }
        }
    }
}

fn find<'n>(entries: &[(&'n Key, &'n Node)], name: &str) -> Option<(&'n Key, &'n Node)> {
    entries.iter().find(|(key, _)| key.name == name).copied()
}
