//! From TOML to the tree.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::mistake::{Mistake, Place};
use crate::tree::{At, Key, MAX_DEPTH, Node, Parsed, Value, too_deep};

pub(crate) fn parse(text: &str) -> Parsed {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let mistake = |error: toml::de::Error| {
            let place = Place::of(text, error.span().map_or(0, |span| span.start));
            Mistake { place, message: error.message().to_owned() }
        };
        return Err(errors.into_iter().map(mistake).collect());
    }
    let at = table.span().start;
    node(text, at, &DeValue::Table(table.into_inner()), 0)
}

fn node(text: &str, at: usize, value: &DeValue<'_>, depth: usize) -> Parsed {
    if depth > MAX_DEPTH {
        return Err(too_deep(Place::of(text, at)));
    }
    let below = |value: &Spanned<DeValue<'_>>| node(text, value.span().start, value.get_ref(), depth + 1);
    let value = match value {
        DeValue::String(content) => Value::Text(content.to_string()),
        DeValue::Integer(number) => Value::Plain(number.as_str().to_owned()),
        DeValue::Float(number) => Value::Plain(number.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(time) => Value::Plain(time.to_string()),
        DeValue::Array(items) => Value::List(items.iter().map(below).collect::<Result<_, _>>()?),
        DeValue::Table(table) => {
            let mut entries = Vec::with_capacity(table.len());
            for (name, value) in table {
                let key = Key { at: At::Byte(name.span().start), name: name.get_ref().to_string() };
                entries.push((key, below(value)?));
            }
            Value::Table(entries)
        }
    };
    Ok(Node { at: At::Byte(at), value })
}
