//! Conditions.

use synckit::conflict::{Condition, Relation};

use crate::reader::Reading;
use crate::tree::{Key, Node, Value};

const KEYS: [&str; 12] = [
    "event_type",
    "aggregate",
    "aggregate_prefix",
    "field_changed",
    "field_clashes",
    "metadata",
    "origin",
    "versions",
    "all",
    "any",
    "not",
    "always",
];

impl Reading<'_> {
    /// Returns a condition that implies nothing and is implied by nothing, in place of one that could not be read.
    pub(super) fn unknown_condition(&mut self) -> Condition {
        Condition::Metadata { field: self.placeholder(), equals: String::new() }
    }

    pub(super) fn condition(&mut self, node: &Node) -> Condition {
        let before = self.mistakes.len();
        let Some(entries) = self.table(node, "a condition", &KEYS) else { return self.unknown_condition() };
        let mut all: Vec<Condition> =
            entries.iter().filter_map(|(key, value)| self.one(key, value)).collect();
        if self.mistakes.len() > before {
            return self.unknown_condition();
        }
        match all.len() {
            0 => {
                self.wrong(
                    node.at,
                    "the condition is empty; for a rule that always matches leave `when` out",
                );
                self.unknown_condition()
            }
            1 => all.remove(0),
            _ => Condition::All(all),
        }
    }

    fn one(&mut self, key: &Key, node: &Node) -> Option<Condition> {
        match key.name.as_str() {
            "event_type" => self.any_of(key, node, |text| text.parse().map(Condition::EventType)),
            "aggregate" => self.any_of(key, node, |text| text.parse().map(Condition::Aggregate)),
            "aggregate_prefix" => {
                self.any_of(key, node, |text| Ok(Condition::AggregatePrefix(text.to_owned())))
            }
            "field_changed" => self.any_of(key, node, |text| text.parse().map(Condition::FieldChanged)),
            "field_clashes" => self.any_of(key, node, |text| text.parse().map(Condition::FieldClashes)),
            "origin" => self.any_of(key, node, |text| text.parse().map(Condition::Origin)),
            "versions" => self.any_of(key, node, |text| {
                let relation = Relation::ALL.into_iter().find(|relation| relation.name() == text);
                relation.map(Condition::Relation).ok_or_else(|| {
                    let names: Vec<&str> = Relation::ALL.iter().map(|relation| relation.name()).collect();
                    synckit_core::Error::invalid(format!("`{text}` is none of {}", names.join(", ")))
                })
            }),
            "metadata" => self.metadata(node),
            "all" => self.list(key, node).map(Condition::All),
            "any" => self.list(key, node).map(Condition::Any),
            "not" => Some(Condition::Not(Box::new(self.condition(node)))),
            _ => match node.value {
                Value::Bool(true) => Some(Condition::Always),
                _ => {
                    self.wrong(node.at, "`always` is true; leave it out otherwise");
                    None
                }
            },
        }
    }

    /// Reads a condition on a text, or on one of several.
    fn any_of(
        &mut self,
        key: &Key,
        node: &Node,
        read: impl Fn(&str) -> synckit_core::Result<Condition>,
    ) -> Option<Condition> {
        let single = std::slice::from_ref(node);
        let (items, listed) = match &node.value {
            Value::List(items) => (items.as_slice(), true),
            _ => (single, false),
        };
        if items.is_empty() {
            self.wrong(node.at, format!("`{}` needs at least one text", key.name));
        }
        let mut any = Vec::with_capacity(items.len());
        for item in items {
            let text = self.text(item, &format!("`{}`", key.name))?;
            match read(&text) {
                Ok(condition) => any.push(condition),
                Err(error) => self.wrong(item.at, format!("`{}`: {}", key.name, error.message())),
            }
        }
        match (listed && any.len() != 1, any.len()) {
            (_, 0) => None,
            (true, _) => Some(Condition::Any(any)),
            (false, _) => any.pop(),
        }
    }

    fn list(&mut self, key: &Key, node: &Node) -> Option<Vec<Condition>> {
        let Value::List(items) = &node.value else {
            self.wrong(node.at, format!("`{}` is a list of conditions, not {}", key.name, node.value.kind()));
            return None;
        };
        if items.is_empty() {
            self.wrong(node.at, format!("`{}` needs at least one condition", key.name));
            return None;
        }
        Some(items.iter().map(|item| self.condition(item)).collect())
    }

    fn metadata(&mut self, node: &Node) -> Option<Condition> {
        let entries = self.table(node, "`metadata`", &[])?;
        if entries.is_empty() {
            self.wrong(node.at, "`metadata` needs at least one field");
            return None;
        }
        let mut all = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let equals = match &value.value {
                Value::Text(text) | Value::Plain(text) => text.clone(),
                Value::Bool(value) => value.to_string(),
                Value::Null => "null".to_owned(),
                other => {
                    let kind = other.kind();
                    self.wrong(
                        value.at,
                        format!("metadata is compared with text, a number or true or false, not {kind}"),
                    );
                    continue;
                }
            };
            all.push(Condition::Metadata { field: key.name.clone(), equals });
        }
        match all.len() {
            1 => all.pop(),
            _ => Some(Condition::All(all)),
        }
    }
}
