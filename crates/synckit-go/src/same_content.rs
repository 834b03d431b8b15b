//! Whether two contents are the same to a program that reads numbers as doubles.
//!
//! A client of go-sync-kit reads the data of an event into values and writes them again when it pushes it: keys in
//! another order, blanks gone, 1.0 as 1, integers above 2^53 rounded. Such a copy counts as the same content.

use serde_json::Value;
use synckit_core::{Event, NewEvent};

use crate::form::{sent, sent_text};

/// Returns whether a client that pulled the held event may push it again as the other.
pub(super) fn same_content(held: &Event, pushed: &NewEvent) -> bool {
    held.event_type == pushed.event_type
        && held.aggregate_id == pushed.aggregate_id
        && same_text(&sent(&held.data), &sent(&pushed.data))
        && same_text(&sent_text(held.metadata.as_json()), &sent_text(pushed.metadata.as_json()))
}

fn same_text(held: &str, pushed: &str) -> bool {
    held == pushed
        || match (serde_json::from_str(held), serde_json::from_str(pushed)) {
            (Ok(held), Ok(pushed)) => same(&held, &pushed),
            _ => false,
        }
}

fn same(held: &Value, pushed: &Value) -> bool {
    match (held, pushed) {
        (Value::Number(held), Value::Number(pushed)) => held.as_f64() == pushed.as_f64(),
        (Value::Array(held), Value::Array(pushed)) => {
            held.len() == pushed.len() && held.iter().zip(pushed).all(|(held, pushed)| same(held, pushed))
        }
        (Value::Object(held), Value::Object(pushed)) => {
            held.len() == pushed.len()
                && held.iter().all(|(key, held)| pushed.get(key).is_some_and(|pushed| same(held, pushed)))
        }
        (held, pushed) => held == pushed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_double_cannot_tell_apart_is_alike_and_nothing_else() {
        for (held, pushed) in [
            (r#"{"b": 1.0, "a": [9007199254740993]}"#, r#"{"a":[9007199254740992],"b":1}"#),
            (r#""\u00e9<""#, r#""é\u003c""#),
            ("-0", "0"),
            ("1e2", "100"),
        ] {
            assert!(same_text(held, pushed), "{held} {pushed}");
        }
        for (held, pushed) in
            [("1", "2"), ("1", "\"1\""), ("{}", "null"), (r#"{"a":1}"#, r#"{"b":1}"#), ("[1]", "[1,1]")]
        {
            assert!(!same_text(held, pushed), "{held} {pushed}");
        }
    }
}
