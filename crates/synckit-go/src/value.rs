//! JSON as a program reads it that takes numbers as doubles, as Go does.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The deepest nesting that is read. Events nest at most 100 levels.
const DEPTH: usize = 128;

/// A JSON value. Two values are equal if such a program cannot tell them apart.
#[derive(Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// The double that is nearest to the number, as `strconv.ParseFloat` finds it. `serde_json` alone may find one of its
    /// neighbours.
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Fields(BTreeMap<String, Value>),
}

impl Value {
    /// Reads a text. Returns `None` if such a program cannot: the text is not JSON, or a number is beyond all doubles.
    pub(super) fn read(text: &str) -> Option<Value> {
        let text: &RawValue = serde_json::from_str(text).ok()?;
        Value::within(text, DEPTH)
    }

    fn within(raw: &RawValue, depth: usize) -> Option<Value> {
        let (text, depth) = (raw.get(), depth.checked_sub(1)?);
        Some(match text.as_bytes().first()? {
            b'n' => Value::Null,
            b't' => Value::Bool(true),
            b'f' => Value::Bool(false),
            b'"' => Value::Text(serde_json::from_str(text).ok()?),
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                let items = items.into_iter().map(|item| Value::within(item, depth));
                Value::List(items.collect::<Option<_>>()?)
            }
            b'{' => {
                let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
                let fields =
                    fields.into_iter().map(|(name, field)| Some((name, Value::within(field, depth)?)));
                Value::Fields(fields.collect::<Option<_>>()?)
            }
            _ => Value::Number(text.parse().ok().filter(|number: &f64| number.is_finite())?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_nearest_doubles() {
        for (long, short) in [
            ("9.3123119522727791", "9.312311952272779"),
            ("0.1000000000000000055511151231257827", "0.1"),
            ("9007199254740993", "9007199254740992"),
            ("-0", "0"),
        ] {
            assert_eq!(Value::read(long), Value::read(short), "{long} {short}");
        }
        assert_ne!(Value::read("9.312311952272779"), Value::read("9.312311952272777"));
    }

    #[test]
    fn what_go_cannot_read_is_not_read() {
        for text in ["1e400", "[1e400]", r#"{"a":-1e400}"#, r#""\ud800""#, "", "inf", "1 2", "[1"] {
            assert_eq!(Value::read(text), None, "{text}");
        }
        assert_eq!(Value::read(&"[".repeat(100_000)), None);
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(Value::read(&deep(100)).is_some() && Value::read(&deep(100_000)).is_none());
        assert_eq!(Value::read("1e-400"), Some(Value::Number(0.0)));
    }
}
