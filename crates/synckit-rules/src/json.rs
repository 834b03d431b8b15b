//! From JSON to the tree. Strict JSON: no comments, no trailing commas.

use jsonc_parser::ast::Value as Json;
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use crate::mistake::{Mistake, Place};
use crate::tree::{At, Key, MAX_DEPTH, Node, Parsed, Value, too_deep};

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

pub(crate) fn parse(text: &str) -> Parsed {
    let parsed = parse_to_ast(text, &CollectOptions::default(), &STRICT).map_err(|error| {
        vec![Mistake { place: Place::of(text, error.range().start), message: error.kind().to_string() }]
    })?;
    match &parsed.value {
        Some(value) => node(text, value, 0),
        None => Ok(Node { at: At::START, value: Value::Null }),
    }
}

fn node(text: &str, value: &Json<'_>, depth: usize) -> Parsed {
    let at = value.range().start;
    if depth > MAX_DEPTH {
        return Err(too_deep(Place::of(text, at)));
    }
    let value = match value {
        Json::StringLit(literal) => Value::Text(literal.value.to_string()),
        Json::NumberLit(literal) => Value::Plain(literal.value.to_owned()),
        Json::BooleanLit(literal) => Value::Bool(literal.value),
        Json::NullKeyword(_) => Value::Null,
        Json::Array(array) => {
            let items = array.elements.iter().map(|item| node(text, item, depth + 1));
            Value::List(items.collect::<Result<_, _>>()?)
        }
        Json::Object(object) => {
            let mut entries = Vec::with_capacity(object.properties.len());
            for property in &object.properties {
                let at = At::Byte(property.range.start);
                let key = Key { at, name: property.name.as_str().to_owned() };
                entries.push((key, node(text, &property.value, depth + 1)?));
            }
            Value::Table(entries)
        }
    };
    Ok(Node { at: At::Byte(at), value })
}
