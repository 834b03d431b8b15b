//! Whether two contents are the same to a program that reads numbers as doubles.
//!
//! A client of go-sync-kit reads the data of an event into values and writes them again when it pushes it: keys in
//! another order, blanks gone, 1.0 as 1, integers above 2^53 rounded. Such a copy counts as the same content.

use synckit_core::{Event, NewEvent};

use crate::form::{sent, sent_text};
use crate::value::Value;

/// Returns whether a client that pulled the held event may push it again as the other.
pub(super) fn same_content(held: &Event, pushed: &NewEvent) -> bool {
    held.event_type == pushed.event_type
        && held.aggregate_id == pushed.aggregate_id
        && same_text(&sent(&held.data), &sent(&pushed.data))
        && same_text(&sent_text(held.metadata.as_json()), &sent_text(pushed.metadata.as_json()))
}

fn same_text(held: &str, pushed: &str) -> bool {
    held == pushed || Value::read(held).is_some_and(|held| Some(held) == Value::read(pushed))
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
            ("9.3123119522727791", "9.312311952272779"),
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
